"""Question types: one file each, with a pure function from a ``View`` of a clip to candidates.

A new file in this folder is found without being named anywhere.
"""
