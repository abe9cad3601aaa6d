"""What the house promises: imports point downward, from room to room, and never in a circle."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

PACKAGES = ["minigrad", "minitransformer", "viz", "cli"]
"""Each imports only those before it."""

FLOORS = {
    "minigrad": [
        "scalar sums words caller changes mode table tensor op names stale backward transforms "
        "files memory",
        "ops",
        "module nn optim | formula origins rules",
        "check | why",
    ],
    "minitransformer": [
        "progress",
        "tokens | batch | settings",
        "decoding | parts | runs",
        "forms | models",
        "interop | tasks | capacity",
        "recipe",
        "transfer",
        "training",
        "inside | bench",
        "workflow | answering | finetuning",
        "studies",
    ],
    "viz": [
        "figure",
        "graphs | console | walkthrough",
        "formula | subject",
        "pages",
        "gallery",
    ],
}
"""The modules and folders of each package, from the ground up. A floor sees those below it; rooms
on one floor, which a bar divides, see nothing of each other."""

EXCUSED = {
    ("minigrad.tensor", "minigrad.backward"): "`t.backward()`, a method of what it walks over",
    ("minigrad.backward", "minigrad.stale"): "it asks the rules what they need, so it applies them",
}
"""The imports within a function that close a circle, and why each may."""


class Import(NamedTuple):
    """That one module imports another: as it is loaded, within a function, or for types alone."""

    importer: str
    imported: str
    when: str


def module_files(root: Path) -> dict[str, Path]:
    """The file of each module of the project, by its dotted name."""
    files = [*root.glob("cli.py"), *(f for name in PACKAGES for f in root.glob(f"{name}/**/*.py"))]
    parts = {file: file.relative_to(root).with_suffix("").parts for file in files}
    return {".".join(p[: -1 if p[-1] == "__init__" else None]): f for f, p in parts.items()}


def imports_in(
    tree: ast.AST, when: str = "load"
) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    """Each import statement and when it runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, when
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for statement in node.body:
                yield from imports_in(ast.Module([statement], []), "types")
            for statement in node.orelse:
                yield from imports_in(ast.Module([statement], []), when)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports_in(node, "call" if inside and when == "load" else when)


def read_imports(root: Path) -> list[Import]:
    """Every import of the project; of what is not the project's, the whole dotted name."""
    files = module_files(root)
    found = []
    for importer, file in files.items():
        for node, when in imports_in(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                assert not node.level, f"{importer}: write imports from the root, not relative ones"
                module = str(node.module)
                parts = [f"{module}.{alias.name}" for alias in node.names]
                names = [part if part in files else module for part in parts]
            found += [Import(importer, name, when) for name in dict.fromkeys(names)]
    return found


def circle_in(imports: list[Import]) -> list[str]:
    """The modules of a circle, the first one once more at its end; none if there is no circle."""
    files = {x.importer for x in imports}
    graph: dict[str, set[str]] = {}
    for importer, imported, when in imports:
        if when != "types" and imported in files and (importer, imported) not in EXCUSED:
            graph.setdefault(importer, set()).add(imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def place_of(module: str) -> tuple[int, int] | None:
    """The floor and the room of a module; None for a package itself, which offers all its rooms."""
    package, *path = module.split(".")
    for floor, line in enumerate(FLOORS[package]):
        for room, names in enumerate(line.split("|")):
            if path and path[0] in names.split():
                return floor, room
    assert not path, f"{module} has no room yet: give it one in FLOORS"
    return None


def is_upward(x: Import) -> bool:
    """Whether an import within a package leads to a higher floor, or to another room of its own."""
    here, there = place_of(x.importer), place_of(x.imported)
    if here is None:
        return False
    return there is None or there > here or (there[0] == here[0] and there != here)


IMPORTS = read_imports(ROOT)


def test_packages_import_only_those_before_them() -> None:
    for x in IMPORTS:
        importer, imported = x.importer.split(".")[0], x.imported.split(".")[0]
        if imported in PACKAGES:
            assert PACKAGES.index(imported) <= PACKAGES.index(importer), x


def test_minigrad_imports_nothing_but_numpy_and_the_standard_library() -> None:
    outside = {x.imported.split(".")[0] for x in IMPORTS if x.importer.startswith("minigrad")}
    assert outside - sys.stdlib_module_names == {"minigrad", "numpy"}


@pytest.mark.parametrize("package", FLOORS)
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    inside = [x for x in IMPORTS if x.importer.split(".")[0] == package]
    assert not (circle := circle_in(inside)), " → ".join(circle)


def test_each_excuse_is_needed() -> None:
    for excused in EXCUSED:
        assert (*excused, "call") in IMPORTS
        others = [x for x in IMPORTS if (x.importer, x.imported) != excused]
        back = TopologicalSorter({excused[0]: {excused[1]}})
        for importer, imported, when in others:
            if when != "types" and (importer, imported) not in EXCUSED:
                back.add(importer, imported)
        with pytest.raises(CycleError):
            back.prepare()


@pytest.mark.parametrize("package", FLOORS)
def test_no_import_leads_upward(package: str) -> None:
    inside = [x for x in IMPORTS if {package} == {y.split(".")[0] for y in x[:2]}]
    assert inside
    assert [x for x in inside if is_upward(x)] == []


@pytest.mark.parametrize("package", FLOORS)
def test_each_room_stands_once_in_the_table(package: str) -> None:
    names = " ".join(FLOORS[package]).replace("|", "").split()
    assert len(names) == len(set(names))
    assert set(names) == {
        x.split(".")[1] for x in module_files(ROOT) if x.startswith(f"{package}.")
    }


@pytest.mark.parametrize(
    ("line", "upward", "circle"),
    [
        ("from minigrad.check.rows import check_op", True, True),
        ("def f(): import minigrad.check.rows", True, True),
        ("if TYPE_CHECKING: from minigrad.check.rows import Row", True, False),
        ("from minigrad.op import Op", False, False),
    ],
)
def test_an_import_in_the_wrong_direction_is_seen(
    tmp_path: Path, line: str, upward: bool, circle: bool
) -> None:
    for name, text in {
        "nn": line,
        "op": "import numpy",
        "check/rows": "from minigrad import nn",
    }.items():
        file = tmp_path / "minigrad" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    imports = read_imports(tmp_path)
    ours = [x for x in imports if x.imported.startswith("minigrad")]
    assert any(map(is_upward, ours)) is upward
    found = circle_in(imports)
    assert [set(pair) for pair in pairwise(found)] == (
        [{"minigrad.nn", "minigrad.check.rows"}] * 2 if circle else []
    )
