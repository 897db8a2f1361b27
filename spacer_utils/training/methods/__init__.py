"""Training methods: one file each, and a new file appears by itself."""
