"""Formulas for a page: derivative rules set as one writes mathematics."""
