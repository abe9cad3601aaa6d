"""What a user may name to be looked at, and what is said when it is nothing of the kind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from minigrad import Tensor, Value
from minitransformer.tokens import BytePairs
from tests.minitransformer.interop.folders import with_tokeniser
from viz.subject.examples import EXAMPLES
from viz.subject.what import computation, function

FILE = """
import helper
from minigrad import Tensor, Value

def loss():
    return (helper.x * 2).sum()

def number():
    return Value(2.0) * 3

def broken():
    return loss() / \\
        Tensor([1.0, 2.0]) @ Tensor([1.0, 2.0, 3.0])

def nothing():
    return None

def product(x, *, w):
    return x @ w

def ordered(x, y=2.0, z=3.0, /, *, w=0.0):
    return x * 100 + y * 10 + z + w

def leave():
    raise SystemExit(0)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A user's file, beside a file that it imports."""
    (tmp_path / "helper.py").write_text(
        "from minigrad import Tensor\nx = Tensor([1.0, 2.0], requires_grad=True)\n"
    )
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


def test_a_function_of_a_file_is_called(file: Path) -> None:
    result = computation(f"{file}:loss").result
    assert isinstance(result, Tensor) and result.item() == 6
    number = computation(f"{file}:number").result
    assert isinstance(number, Value) and number.data == 6
    assert str(file.parent) not in sys.path


def test_a_function_is_given_its_inputs_by_their_names(file: Path) -> None:
    result = computation(f"{file}:product", ["w=3x2", "x=4x3"]).result
    assert isinstance(result, Tensor) and result.shape == (4, 2)
    assert [x.name for x in result.inputs] == ["x", "w"]
    with pytest.raises(ValueError, match=r"product takes x, w, not none: missing .* 'x'$"):
        computation(f"{file}:product")
    with pytest.raises(ValueError, match=r"product takes x, w, not x, y: missing .* 'w'$"):
        computation(f"{file}:product", ["x=4x3", "y=2"])
    with pytest.raises(ValueError, match=r"loss takes no inputs, not x: "):
        computation(f"{file}:loss", ["x=4x3"])


def test_parameters_before_a_slash_are_found_by_their_names_too(file: Path) -> None:
    for words, expected in (
        (["x=1.0"], 123.0),
        (["y=7.0", "x=1.0"], 173.0),
        (["z=5.0", "x=1.0"], 125.0),
        (["w=0.5", "z=5.0", "y=7.0", "x=1.0"], 175.5),
    ):
        result = computation(f"{file}:ordered", words).result
        assert isinstance(result, Tensor) and result.item() == expected
        f, inputs = function(f"{file}:ordered", words)
        assert f(*inputs).item() == expected
    with pytest.raises(ValueError, match=r"ordered takes x, y, z, w, not y: missing .* 'x'$"):
        computation(f"{file}:ordered", ["y=7.0"])


def test_a_file_alone_is_told_what_is_missing_wherever_it_is_given(file: Path) -> None:
    for words in ([], ["x=3"]):
        with pytest.raises(ValueError, match=r"name a function of the file too, as in .*mine\.py:"):
            computation(str(file), words)
        with pytest.raises(ValueError, match=r"name a function of the file too, as in .*mine\.py:"):
            function(str(file), words)


def test_a_file_may_hold_dataclasses_and_be_called_as_a_module_of_python(tmp_path: Path) -> None:
    import random

    file = tmp_path / "random.py"
    file.write_text(
        "from __future__ import annotations\n"
        "from dataclasses import KW_ONLY, dataclass\n"
        "from minigrad import Value\n\n"
        "@dataclass\n"
        "class Slope:\n"
        "    x: float\n"
        "    _: KW_ONLY\n"
        "    by: float = 3.0\n\n"
        "def loss():\n"
        "    return Value(Slope(2.0).x) * Slope(2.0).by\n"
    )
    result = computation(f"{file}:loss").result
    assert isinstance(result, Value) and result.data == 6
    assert sys.modules["random"] is random
    known = set(sys.modules)
    (tmp_path / "failing.py").write_text("1 / 0\n")
    with pytest.raises(ValueError, match=r"failing\.py:1: ZeroDivisionError"):
        computation(f"{tmp_path / 'failing.py'}:loss")
    assert set(sys.modules) == known


def test_what_goes_wrong_in_the_file_is_one_line_with_its_place(file: Path) -> None:
    with pytest.raises(ValueError, match=r"mine\.py:1[23]: ValueError: matmul") as caught:
        computation(f"{file}:broken")
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"mine\.py:\d+: nothing\(\) gives None \("):
        computation(f"{file}:nothing")
    with pytest.raises(ValueError, match=r"mine\.py:\d+: SystemExit: 0"):
        computation(f"{file}:leave")
    with pytest.raises(ValueError, match="has no function 'missing'"):
        computation(f"{file}:missing")
    with pytest.raises(ValueError, match="no such file"):
        computation(f"{file.with_name('other.py')}:loss")
    with pytest.raises(ValueError, match=r"name a function of the file too, as in .*mine\.py:"):
        computation(str(file))
    file.write_text("def loss(:\n")
    with pytest.raises(ValueError, match=r"mine\.py:1: SyntaxError"):
        computation(f"{file}:loss")


def test_an_expression_comes_with_its_inputs() -> None:
    text, inputs = "mean((tanh(x @ w + b) - y)**2)", ["x=4x3", "w=3x2", "b=2", "y=4x2"]
    result, _, about = computation(text, inputs)
    assert isinstance(result, Tensor) and result.shape == ()
    assert about == {"of": text, "inputs": "x=4x3 w=3x2 b=2 y=4x2"}


@pytest.mark.parametrize("name", ["expression", "softmax"])
def test_an_example_is_called_by_its_name(name: str) -> None:
    result, options, about = computation(name)
    assert isinstance(result, Tensor) and result.op is not None
    assert options == EXAMPLES[name][1]
    assert about["of"].startswith(f"the example {name}: ")


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"neither one of neuron, .* nor a run folder"):
        computation("expresion")
    with pytest.raises(ValueError, match=r"'runs/nope' is neither .* nor a run folder"):
        computation("runs/nope")
    with pytest.raises(ValueError, match=r"'\./nope' is neither"):
        computation("./nope")
    with pytest.raises(ValueError, match="belong to an expression"):
        computation("expression", ["x=2"])


def test_an_expression_may_look_like_a_path() -> None:
    result = computation("x/y", ["x=2", "y=2"]).result
    assert isinstance(result, Tensor) and result.op is not None
    assert result.op.name == "divide"


def test_a_published_model_is_computed_on_a_text(tmp_path: Path) -> None:
    pairs = BytePairs.train(["the cat sat on the mat"], 270)
    folder = with_tokeniser(tmp_path, pairs, "gpt2", len(pairs))
    result, _, about = computation(str(folder), ["the", "cat"])
    assert result.shape == () and about["input"] == "the cat"
    assert "no text was given" in computation(str(folder)).about["input"]
