"""What is shown as the text of a function: its own lines, and nothing around them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from minigrad import TABLE
from viz.formula.source import source_of


def imported(path: Path, text: str) -> ModuleType:
    """A user's file, as a module."""
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("mine", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_of_several_lambdas_in_a_row_has_its_own_text() -> None:
    by_a, by_b = TABLE["multiply"].rules
    assert by_a is not None
    assert by_b is not None
    assert source_of(by_a.__code__) == "lambda g, y, a, b: g * b"
    assert source_of(by_b.__code__) == "lambda g, y, a, b: g * a"


def test_a_users_file_gives_the_text_of_its_functions(tmp_path: Path) -> None:
    module = imported(
        tmp_path / "mine.py",
        "# γράμματα\n"
        "pair = (lambda g, y, a, b: g * b), lambda g, y, a, b: (lambda t: t * a)(g)\n"
        "inner = (lambda: (lambda g, y, x: 2 * g))()\n"
        "def outer():\n"
        "    def rule(g, y, x):\n"
        '        """First.\n\n        Second.\n        """\n'
        "        return (g *\n"
        "                3)\n"
        "    return rule\n"
        "nested = outer()\n",
    )
    assert [source_of(rule.__code__) for rule in module.pair] == [
        "lambda g, y, a, b: g * b",
        "lambda g, y, a, b: (lambda t: t * a)(g)",
    ]
    assert source_of(module.inner.__code__) == "lambda g, y, x: 2 * g"
    assert source_of(module.nested.__code__) == (
        'def rule(g, y, x):\n    """First. …"""\n    return (g *\n            3)'
    )


def test_a_file_that_no_longer_reads_as_python_gives_no_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    module = imported(path, "rule = lambda g, y, x: g * x\n")
    path.write_text("def rule(:")
    assert source_of(module.rule.__code__) == ""
