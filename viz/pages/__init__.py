"""Pages one can step through: each a Python file that gathers the numbers, a script and a style."""
