"""Sources of rooms: procedural rooms, published real layouts and real scans, each as a ``Scene``."""
