"""What a user names to be looked at: an example, a run, a function in a file, an expression."""
