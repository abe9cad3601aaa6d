"""What a page shows of an op's rules: what they compute, as a formula, and their own text."""

from __future__ import annotations

import html
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from minigrad import TABLE, Tensor
from minigrad.mode import Watcher, watching
from minigrad.op import Op, on
from minigrad.rules import formula, trace_rules
from viz.formula.rules import COMPOSITE, FUSED, rules_at, rules_of

ROOT = Path(__file__).parents[3]
ROWS = [pytest.param(row, id=row.name) for row in TABLE.values() if not row.in_words]
RULES = [pytest.param(row, id=row.name) for row in TABLE.values() if row.rules]


def trial(*rules: Any, forward: Any = np.positive, examples: Any = ()) -> Op:
    """A row that is in no table."""
    return Op("trial", "trial", "trial", forward, rules, examples=examples)


@pytest.mark.parametrize("op", ROWS)
def test_every_row_of_the_table_has_a_formula_for_each_input(op: Op) -> None:
    rules = rules_of(op)
    names = ("a", "b") if op.name in ("concatenate", "stack", "einsum") else op.input_names
    assert tuple(rule.name for rule in rules) == names
    for rule in rules:
        assert rule.text
        assert ElementTree.fromstring(rule.mathml).tag == "math"
        words = {x.text for x in ElementTree.fromstring(rule.mathml).iter("mtext")}
        assert words <= {"if", "otherwise"} or op.name in ("einsum", "full_convolution")


@pytest.mark.parametrize("op", RULES)
def test_the_text_is_what_the_table_of_rules_prints(op: Op) -> None:
    lines: list[str] = []
    for rule in rules_of(op):
        text = rule.text if "\n" in rule.text else f"∂/∂{rule.name} = {rule.text}"
        lines += [line for line in text.splitlines() if line not in lines]
    assert lines == [line for line in formula(op) if not line.startswith("subscripts = ")]
    assert {rule.note for rule in rules_of(op)} == {""}


@pytest.mark.parametrize("op", ROWS)
def test_the_source_stands_where_it_is_said_to_stand(op: Op) -> None:
    for rule in rules_of(op):
        if rule.text == "none":
            assert (rule.file, rule.line, rule.source) == ("", 0, "")
            continue
        lines = (ROOT / rule.file).read_text().splitlines()[rule.line - 1 :]
        if op.composite:  # a long docstring is cut to its first line
            shown = [line.removesuffix(' …"""') for line in rule.source.splitlines()]
            assert set(shown) <= set(lines)
            assert lines[0] == shown[0]
        else:
            assert 0 <= "\n".join(lines).find(rule.source) < len(lines[0])
        assert rule.source.startswith(("lambda ", "def ", "@"))


def test_a_rule_is_shown_with_its_file_and_its_text() -> None:
    by_a, by_b = rules_of(TABLE["matmul"])
    assert (by_a.text, by_b.text) == ("g @ b.T", "a.T @ g")
    assert by_a.file == by_b.file == "minigrad/ops/linalg.py"
    assert by_a.source.startswith("def matmul_left(g: Any, y: Any, a: Any, b: Any) -> Any:\n    ")
    assert by_b.source.startswith("def matmul_right(")


def test_a_fused_op_shows_the_derivative_by_each_input_and_the_text_of_its_joint_rule() -> None:
    rules = rules_of(TABLE["layer_norm"])
    assert [rule.name for rule in rules] == ["x", "weight", "bias"]
    assert [rule.text.splitlines()[-1] for rule in rules] == [
        "∂/∂x = (gn - along_ones - normal · along_normal) / deviation",
        "∂/∂weight = g · normal",
        "g",
    ]
    for rule in rules:
        assert rule.note == FUSED
        assert rule.source.startswith("@layer_norm.rule\ndef layer_norm_rule(")


def test_a_composite_shows_its_definition() -> None:
    rule, _ = rules_of(TABLE["mse_loss"])
    assert rule.text == "mse_loss(prediction, target) = mean(square(prediction - target))"
    assert rule.note == COMPOSITE
    assert "return mean(np.square(" in rule.source


def test_sizes_have_names_in_the_rules_of_a_call() -> None:
    x = Tensor(np.ones((2, 6)), requires_grad=True)
    (rule,) = rules_at(np.mean(x, axis=1))
    assert rule.text.splitlines() == [
        "N = size(x, axis) = 6",
        "∂/∂x = broadcast_to(expand_dims(g, axis) / N, shape(x))",
    ]
    (rule,) = rules_at(np.mean(x))
    assert rule.text.splitlines() == ["N = size(x) = 12", "∂/∂x = broadcast_to(g / N, shape(x))"]
    attended = TABLE["scaled_dot_product_attention"](x, x, x)
    by_query, by_key, by_value = [rule.text.splitlines() for rule in rules_at(attended)]
    weights = ["K = shape(query)[-1] = 6", "weights = softmax(query @ key.T / sqrt(K))"]
    assert by_query[:2] == weights
    assert by_key[-1] == "∂/∂key = gs.T @ query / sqrt(K)"
    assert by_value == [*weights, "∂/∂value = weights.T @ g"]


def test_the_rules_of_a_call_are_those_of_the_branch_it_takes() -> None:
    a = Tensor(np.ones((5, 2, 3)), requires_grad=True)
    b = Tensor(np.ones((5, 3, 4)), requires_grad=True)
    assert [rule.text for rule in rules_at(a @ b)] == [
        "g @ swapaxes(b, -1, -2)",
        "swapaxes(a, -1, -2) @ g",
    ]
    assert [rule.text for rule in rules_at(a @ b[0])] == [
        "g @ b.T",
        "reshape(a, (shape(a)[0] · shape(a)[1], shape(a)[2])).T @ "
        "reshape(g, (shape(g)[0] · shape(g)[1], shape(g)[2]))",
    ]


def test_any_number_of_inputs_have_a_name_each() -> None:
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    assert [rule.name for rule in rules_at(np.stack([x, x, x]))] == ["a", "b", "c"]
    rules = rules_at(np.concatenate([x] * 9))
    assert [rule.name for rule in rules] == [f"x{i}" for i in range(1, 10)]
    assert rules[-1].text.splitlines()[-1] == "∂/∂x9 = g[start:stop]"


def test_a_freed_graph_gives_the_rules_of_the_op_and_a_leaf_has_none() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = np.mean(x, axis=0)
    y.backward()
    assert rules_at(y) == rules_of(TABLE["mean"])
    assert rules_at(x) == ()


def test_printing_is_seen_by_no_watcher_and_changes_no_gradient() -> None:
    class Counting(Watcher):
        seen = 0

        def recorded(self, result: Tensor) -> None:
            self.seen += 1

    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = np.sum(np.exp(x) @ x)
    watcher = Counting()
    with watching(watcher):
        rules_at(y)
        rules_at(y.inputs[0])
        rules_of.__wrapped__(TABLE["softmax"])
    assert watcher.seen == 0
    y.backward()
    expected = Tensor(x.data, requires_grad=True)
    np.sum(np.exp(expected) @ expected).backward()
    np.testing.assert_array_equal(x.grad, expected.grad)


def test_numbers_that_overflow_are_printed_without_a_warning() -> None:
    x = Tensor([1000.0, 0.0], requires_grad=True)
    with np.errstate(all="ignore"):
        y = TABLE["silu"](x * 1e300) / x
    assert rules_at(y)[1].text == "-g · y / b"


def test_a_rule_typed_at_a_prompt_has_a_formula_and_no_source() -> None:
    space: dict[str, Any] = {}
    exec("\nrule = lambda g, y, x: g * x", space)
    (rule,) = rules_of(trial(space["rule"], examples=[on((2, 3))]))
    assert (rule.text, rule.file, rule.line, rule.source) == ("g · x", "<string>", 2, "")


def test_a_rule_that_is_no_plain_function_has_a_formula_and_no_place() -> None:
    (rule,) = rules_of(trial(partial(lambda k, g, y, x: g * k, 2.5), examples=[on((2, 3))]))
    assert (rule.text, rule.file, rule.line, rule.source) == ("g · 2.5", "", 0, "")


def raises(g: Any, y: Any, x: Any) -> Any:
    raise SystemError("no")


@pytest.mark.parametrize(
    ("rule", "examples", "text"),
    [
        (raises, [on((2, 3))], "raises(g, y, x)"),
        (raises, [], "raises(g, y, x)"),
        (lambda g, y, x: g, [], "rule(g, y, x)"),
        (lambda g, y, x: g, [on("no array")], "rule(g, y, x)"),
        (partial(lambda k, g, y, x: g * k, 2.5), [], "rule(g, y, x)"),
    ],
)
def test_whatever_a_rule_does_there_is_something_to_show(
    rule: Any, examples: Any, text: str
) -> None:
    op = trial(rule, examples=examples)
    (shown,) = rules_of(op)
    assert shown.text == text
    assert "".join(ElementTree.fromstring(shown.mathml).itertext()) == text.replace(" ", "")


def test_a_definition_that_cannot_be_run_is_named_with_its_inputs() -> None:
    def halve(x: Any) -> Any:
        raise SystemError("no")

    op = Op(
        "halve", "halve", "trial", halve, definition=halve, composite=True, examples=[on((2, 3))]
    )
    (shown,) = rules_of(op)
    assert (shown.text, shown.note) == ("halve(x)", COMPOSITE)


def test_an_op_without_example_is_printed_as_it_was_called() -> None:
    op = trial(lambda g, y, x: g * np.cos(x), forward=np.sin)
    x = Tensor([1.0, 2.0], requires_grad=True)
    assert rules_at(op(x))[0].text == "g · cos(x)"
    with pytest.raises(ValueError, match="no example"):
        trace_rules(op)


def test_the_whole_table_is_set_without_a_gap_or_an_overlap(browser: Any, tmp_path: Path) -> None:
    lines = [
        f"<tr><th>{html.escape(op.name)}<td>{'<br>'.join(rule.mathml for rule in rules_of(op))}"
        for op in TABLE.values()
    ]
    path = tmp_path / "sheet.html"
    path.write_text(f"<!doctype html><meta charset=utf-8><table>{''.join(lines)}</table>")
    browser.open(path)
    sizes = browser.run(
        "return [...document.querySelectorAll('math')].map(e => {"
        "  const {width, height} = e.getBoundingClientRect(); return [width, height]; })"
    )
    assert len(sizes) == sum(len(rules_of(op)) for op in TABLE.values())
    assert all(width > 4 and height > 4 for width, height in sizes)
    assert browser.overflow() == 0
