"""The table of ops, a family a file: each row is a NumPy function and its derivative rules."""
