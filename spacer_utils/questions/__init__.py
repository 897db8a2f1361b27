"""Question types: pure functions of what a model is given of a clip; one file each, and a new file
appears by itself."""
