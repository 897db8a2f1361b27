"""What turns clips into a dataset: questions balanced, written, read back and audited."""
