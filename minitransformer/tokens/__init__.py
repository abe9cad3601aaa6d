"""Text becomes numbers: reading it, splitting it, numbering its tokens."""
