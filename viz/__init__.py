"""viz: pictures of what happens inside: computation graphs, attention, learning curves.

Matplotlib is imported by the functions that need it, when they are called.
"""

from __future__ import annotations

from viz.figure.maps import draw_attention
from viz.figure.plots import draw_curve
from viz.graphs.build import retain_grads
from viz.graphs.comparison import compare
from viz.graphs.dot import RenderError, graph, render
from viz.pages.attention import attention
from viz.pages.explain import explain
from viz.pages.film import film

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
