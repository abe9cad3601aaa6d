"""viz: pictures of what happens inside: computation graphs, attention, learning curves.

`graphs/` and `pages/` show a computation and its way back, `formula/` sets rules as mathematics,
`figure/` holds what matplotlib draws, and `subject/` finds what a command names. Each function
loads what it needs when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from viz.figure.maps import draw_attention
    from viz.figure.plots import draw_curve
    from viz.graphs.build import retain_grads
    from viz.graphs.comparison import compare
    from viz.graphs.dot import graph
    from viz.graphs.render import RenderError, render
    from viz.pages.attend import attend
    from viz.pages.attention import attention
    from viz.pages.explain import explain
    from viz.pages.film import film

ON_DEMAND = {
    "RenderError": "graphs.render",
    "attend": "pages.attend",
    "attention": "pages.attention",
    "compare": "graphs.comparison",
    "draw_attention": "figure.maps",
    "draw_curve": "figure.plots",
    "explain": "pages.explain",
    "film": "pages.film",
    "graph": "graphs.dot",
    "render": "graphs.render",
    "retain_grads": "graphs.build",
}
"""What viz offers, and the module that defines it."""


def __getattr__(name: str) -> Any:
    if name not in ON_DEMAND:
        raise AttributeError(f"viz has no {name!r}")
    found = globals()[name] = getattr(import_module(f"viz.{ON_DEMAND[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *ON_DEMAND})


__all__ = [
    "RenderError",
    "attend",
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
