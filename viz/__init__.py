"""viz: pictures of what happens inside: computation graphs, attention, learning curves.

Matplotlib is imported by the functions that need it, when they are called.
"""

from __future__ import annotations

from viz.comparison import compare
from viz.dot import RenderError, graph, render
from viz.graphs import retain_grads
from viz.maps import draw_attention
from viz.pages.attention import attention
from viz.pages.explain import explain
from viz.pages.film import film
from viz.plots import draw_curve

__all__ = [
    "RenderError",
    "attention",
    "compare",
    "draw_attention",
    "draw_curve",
    "explain",
    "film",
    "graph",
    "render",
    "retain_grads",
]
