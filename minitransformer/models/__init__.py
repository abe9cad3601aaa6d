"""Models, each an entry in one table."""
