"""viz: pictures of what happens inside: computation graphs, attention, learning curves.

Matplotlib is imported by the functions that need it, when they are called.
"""

from __future__ import annotations

from viz.attention import draw_attention
from viz.dot import RenderError, draw, render
from viz.graph import retain_grads
from viz.plots import draw_curve

__all__ = ["RenderError", "draw", "draw_attention", "draw_curve", "render", "retain_grads"]
