"""The package viz: what it offers, and what it loads for that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import viz

ROOT = Path(viz.__file__).parents[1]
HEAVY = {"matplotlib", "graphviz", "minigrad", "minitransformer"}


def loaded(program: str) -> set[str]:
    """The modules that a program has loaded, of itself and of all that takes long."""
    said = subprocess.run(
        [sys.executable, "-c", f"{program}; import sys; print(*sys.modules)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(said.stdout.split())


def test_importing_viz_loads_nothing_else() -> None:
    assert not HEAVY & loaded("import viz")


@pytest.mark.parametrize("name", viz.__all__)
def test_all_that_it_offers_is_found_by_its_name_and_listed(name: str) -> None:
    assert getattr(viz, name).__name__ == name
    assert name in dir(viz)


def test_a_module_of_a_room_leaves_the_functions_of_viz_as_they_are() -> None:
    every = "import viz.graphs.dot, viz.pages.attention, viz.pages.explain, viz.pages.film"
    functions = "viz.graph, viz.attention, viz.explain, viz.film, viz.compare"
    loaded(f"{every}; assert all(map(callable, [{functions}]))")


def test_what_it_does_not_offer_is_said() -> None:
    with pytest.raises(AttributeError, match="viz has no 'graf'"):
        viz.graf  # noqa: B018


@pytest.mark.parametrize(
    "name",
    ["graph", "compare", "explain", "render", "retain_grads", "draw_attention", "draw_curve"],
)
def test_what_shows_a_computation_or_numbers_needs_minigrad_alone(name: str) -> None:
    assert not {"matplotlib", "minitransformer"} & loaded(f"import viz; viz.{name}")
