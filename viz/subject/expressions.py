"""Expressions as text, such as "mean((tanh(x @ w + b) - y)**2)", computed on Tensors.

The text is parsed into a syntax tree, and only what stands in the tables below is carried out:
arithmetic, comparisons, the ops of the table, `.T`, indexing. It is never given to `eval`, so an
expression from a stranger can do nothing but compute.
"""

from __future__ import annotations

import ast
import difflib
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.table import TABLE
from minigrad.tensor import Tensor

LONGEST = 2000  # characters
LARGEST = 1_000_000  # elements of an input

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.MatMult: operator.matmul,
    ast.Pow: operator.pow,
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def evaluate(text: str, inputs: Mapping[str, Any]) -> Tensor:
    """The result of an expression on named inputs, recorded where they require gradients.

    ValueError, with the place, for anything that is no arithmetic on the inputs and the ops.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> evaluate("sum(x**2) / 2", {"x": x})
    Tensor(2.5, op=divide)
    """
    if len(text) > LONGEST:
        raise ValueError(f"an expression has at most {LONGEST:,} characters, not {len(text):,}")
    for name in inputs.keys() & TABLE.keys():
        raise ValueError(f"{name} is an op; choose another name for the input")
    try:
        tree = ast.parse(text.strip(), mode="eval")
        result = Evaluator(inputs).value(tree.body)
    except SyntaxError as error:
        raise ValueError(f"{text!r} is no expression: {error.msg}") from None
    except RecursionError:
        raise ValueError("the expression is nested too deeply") from None
    except OverflowError:
        raise ValueError(f"{text!r} holds a power too large for a float") from None
    except (TypeError, IndexError, ZeroDivisionError) as error:
        raise ValueError(f"{text!r}: {error}") from error
    unused = inputs.keys() - {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if unused:
        raise ValueError(f"{', '.join(sorted(unused))} does not occur in {text!r}")
    if not isinstance(result, Tensor):
        raise ValueError(
            f"{text!r} holds nothing to differentiate by; give it an input of floats, as in x=2x3 "
            "or x=[1.0, 2.0]"
        )
    return result


class Evaluator:
    """Carries out a syntax tree, as far as it may."""

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        self.inputs = inputs

    def value(self, node: ast.expr) -> Any:
        """The value of a part of the tree."""
        match node:
            case ast.Constant(value=bool() | int() | float() | str() | None):
                return node.value
            case ast.Name():
                return self.input(node)
            case ast.Tuple(elts=items) | ast.List(elts=items):
                return (tuple if isinstance(node, ast.Tuple) else list)(map(self.value, items))
            case ast.UnaryOp(op=op, operand=x) if type(op) in UNARY:
                return UNARY[type(op)](self.value(x))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
                return self.binary(op, self.value(left), self.value(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARISONS:
                return COMPARISONS[type(op)](self.value(left), self.value(right))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
                params = {word.arg: self.value(word.value) for word in keywords if word.arg}
                if len(params) == len(keywords):
                    return self.call(name, [*map(self.value, args)], params)
            case ast.Attribute(value=x, attr="T"):
                return np.transpose(self.value(x))
            case ast.Subscript(value=x, slice=index):
                return self.value(x)[self.index(index)]
        raise ValueError(
            f"{ast.unparse(node)!r} is not allowed in an expression: it takes numbers, inputs, "
            "+ - * / @ **, comparisons, x[…], x.T and the ops that `minigrad ops` lists"
        )

    def input(self, node: ast.Name) -> Any:
        """The input of this name."""
        if node.id in self.inputs:
            return self.inputs[node.id]
        if node.id in TABLE:
            raise ValueError(f"{node.id} is an op; call it, as in {node.id}(x)")
        raise ValueError(f"{node.id} is not given; add its shape, as in {node.id}=4x3")

    def binary(self, op: ast.operator, left: Any, right: Any) -> Any:
        """An operator applied; plain numbers only grow as floats do, so that 9**9**9 ends."""
        if isinstance(op, ast.Pow) and isinstance(left, int) and isinstance(right, int):
            left = float(left)
        return BINARY[type(op)](left, right)

    def call(self, name: str, args: Sequence[Any], params: Mapping[str, Any]) -> Any:
        """The result of the op of this name."""
        if name not in TABLE:
            close = difflib.get_close_matches(name, TABLE)
            hint = f"did you mean {' or '.join(close)}?" if close else "see `minigrad ops`"
            raise ValueError(f"no op is called {name!r}; {hint}")
        try:
            return TABLE[name](*args, **params)
        except AttributeError:  # an op takes an argument for an array that it is not
            kinds = ", ".join(type(x).__name__ for x in args)
            raise ValueError(f"{name} takes no ({kinds}); see `minigrad ops`") from None

    def index(self, node: ast.expr) -> Any:
        """What stands in the brackets of x[…]."""
        if isinstance(node, ast.Tuple):
            return tuple(map(self.index, node.elts))
        if isinstance(node, ast.Slice):
            parts = node.lower, node.upper, node.step
            return slice(*(part and self.value(part) for part in parts))
        index = self.value(node)
        return np.asarray(index) if isinstance(index, list) else index


def read_inputs(given: Sequence[str], seed: int = 0, decimals: int | None = 1) -> dict[str, Any]:
    """The inputs that words such as "x=4x3", "b=2", "c=1.5" or "t=[0, 2]" describe.

    A shape gives random numbers with so many decimals, None for all that they have; a number with a
    point and a list give themselves. What is floating becomes a Tensor that requires a gradient;
    integers are constants. ValueError for any other word.

    >>> read_inputs(["c=1.5", "t=[0, 2]"])
    {'c': Tensor(1.5, requires_grad=True), 't': array([0, 2])}
    """
    rng = np.random.default_rng(seed)
    inputs: dict[str, Any] = {}
    for word in given:
        name, is_given, text = word.partition("=")
        if not (is_given and name.isidentifier() and text.strip()):
            raise ValueError(f"{word!r} is no input; write a name and a shape, as in x=4x3")
        if name in inputs:
            raise ValueError(f"{name} is given twice")
        inputs[name] = variable(name, read_array(word, text.strip(), rng, decimals))
    return inputs


SHAPE = re.compile(r"\w+=\s*\d+(x\d+)*\s*")
LENGTH = re.compile(r"\w+=\s*\d+\s*")


def mistakable(words: Sequence[str]) -> str:
    """What to tell of words such as "x=2", which are shapes and may have been meant as numbers.

    >>> mistakable(["x=2", "w=3x2", "b=1.5"])
    'x=2 is a shape, with random numbers; the number is x=2.'
    """
    found = [word.strip() for word in words if LENGTH.fullmatch(word)]
    names, numbers = " and ".join(found), " and ".join(f"{word}." for word in found)
    if len(found) < 2:
        return f"{names} is a shape, with random numbers; the number is {numbers}" if found else ""
    return f"{names} are shapes, with random numbers; the numbers are {numbers}"


def read_array(
    word: str, text: str, rng: np.random.Generator, decimals: int | None
) -> np.ndarray[Any, Any]:
    """The array that a shape, a number or a list means."""
    if all(part.isdecimal() for part in text.split("x")):
        shape = tuple(map(int, text.split("x")))
        if not (size := math.prod(shape)):
            raise ValueError(f"{word!r} has no element; write a shape as in x=4x3")
        if size > LARGEST:
            raise ValueError(f"{word!r} has {size:,} elements; the most are {LARGEST:,}")
        numbers = rng.normal(size=shape)
        return np.asarray(numbers if decimals is None else numbers.round(decimals))
    try:
        array = np.array(ast.literal_eval(Numbers().visit(ast.parse(text, mode="eval"))))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        array = np.array(None)
    if array.dtype.kind not in "bif":
        raise ValueError(
            f"{word!r} is neither a shape (4x3) nor a number (1.5) nor a list ([1, 2])"
        )
    return array


class Numbers(ast.NodeTransformer):
    """Makes numbers of the names nan and inf, as they are written in lists."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(float(node.id)) if node.id in ("nan", "inf") else node


def variable(name: str, array: np.ndarray[Any, Any]) -> Any:
    """A named Tensor to differentiate by; integers and booleans stay arrays."""
    return Tensor(array, requires_grad=True, name=name) if array.dtype.kind == "f" else array
