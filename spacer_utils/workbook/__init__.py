"""What runs, plans and records the notebooks."""
