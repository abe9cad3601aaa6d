"""A model as a program: the ops that it records, written down for inputs of any length.

A recorded graph is that of one input, with its sizes in it. So a model is recorded reading the
longest input, and again with each of its inputs a token shorter. What differs depends on that
length: a size is the length, and an array, such as positions or a mask, has as many rows or columns
of the longest one's. Nobody has to know what the model is made of.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minigrad.table import TABLE
from minigrad.tensor import Array, Tensor, behind
from minitransformer.inside.maps import attention_steps, recorded


@dataclass(frozen=True)
class Program:
    """The steps from token numbers to logits, which JSON can say, and the arrays that they use.

    lengths: of each input, by its name, the most tokens. arrays: weights and other constants.
    steps: {"op": "linear", "inputs": […], "params": {…}}, and of attention its module's "path".
    An input or a param is a number, a text, None, a list of such values, or

        {"step": 3}                          the result of that step
        {"input": "source"}                  the tokens (1, S) of an input
        {"array": 7}                         one of `arrays`; with "axes": [null, "source"] the
                                             beginning of it, as long there as that input is
        {"length": "source"}                 the number of tokens of that input
    """

    lengths: dict[str, int]
    steps: list[dict[str, Any]]
    arrays: list[Array]

    def __call__(self, **inputs: Any) -> Any:
        """The logits of inputs (1, length), computed step by step.

        >>> from minitransformer import LanguageConfig, LanguageModel
        >>> sizes = {"num_layers": 1, "d_model": 8, "num_heads": 2, "d_ff": 16, "dropout": 0.0}
        >>> model = LanguageModel(LanguageConfig(vocab=14, **sizes), rng=5)
        >>> text = np.array([[5, 6, 7]])
        >>> program = record(model, {"source": 12}, token=1)
        >>> [step["op"] for step in program.steps[:4]]
        ['embedding', 'embedding', 'add', 'layer_norm']
        >>> bool(np.allclose(program(source=text), model(text).data, rtol=1e-5, atol=1e-6))
        True
        """
        values: list[Any] = []

        def value(x: Any) -> Any:
            match x:
                case {"step": number}:
                    return values[number]
                case {"input": side}:
                    return inputs[side]
                case {"length": side}:
                    return np.shape(inputs[side])[1]
                case {"array": number}:
                    axes = x.get("axes", [])
                    ends = [side and np.shape(inputs[side])[1] for side in axes]
                    return self.arrays[number][tuple(map(slice, ends))]
                case [*items]:
                    return tuple(map(value, items))
            return x

        for step in self.steps:
            params = {name: value(x) for name, x in step["params"].items()}
            values.append(TABLE[step["op"]](*map(value, step["inputs"]), **params))
        return values[-1]


class Recording(NamedTuple):
    """A forward pass: what was read, and the results of its ops, oldest first."""

    inputs: dict[str, Array]
    steps: list[Tensor]
    paths: dict[int, str]  # of the modules that attend, by the order of their steps

    @classmethod
    def of(cls, model: Any, lengths: Mapping[str, int], token: int) -> Recording:
        """A model reading this token so many times."""
        inputs = {side: np.full((1, length), token) for side, length in lengths.items()}
        with recorded(model):
            logits = model(*inputs.values())
        found = attention_steps(logits, model)
        paths = {step.order: path for path, steps in found.items() for step in steps}
        return cls(inputs, [x for x in behind(logits) if x.op is not None], paths)


def record(
    model: Any, lengths: Mapping[str, int], token: int, known: Collection[str] = TABLE
) -> Program:
    """The program of a model whose inputs, in their order, have at most these `lengths`.

    token: the number of a token that no mask hides. known: the ops that it may consist of.
    ValueError for a model with another, and for one that computes differently at another length.
    """
    longest = Recording.of(model, lengths, token)
    for step in longest.steps:
        if step.op is not None and step.op.name not in known:
            raise ValueError(
                f"the model is not made of attention alone: it has a step {step.op.name}"
            )
    shorter = {
        side: Recording.of(model, {**lengths, side: length - 1}, token)
        for side, length in lengths.items()
        if length > 1
    }
    return Writer(longest, shorter).program()


class Writer:
    """What writes down a recording, beside others with one of its inputs a token shorter."""

    def __init__(self, longest: Recording, shorter: Mapping[str, Recording]) -> None:
        self.longest, self.shorter = longest, shorter
        self.lengths = {side: x.shape[1] for side, x in longest.inputs.items()}
        self.numbers = {step.order: number for number, step in enumerate(longest.steps)}
        self.arrays: list[Array] = []
        self.places: dict[int, int] = {}  # of arrays, by their identity: tied weights are one

    def program(self) -> Program:
        """All of it. ValueError where the recordings do not have the same steps."""
        names = [names_of(recording) for recording in (self.longest, *self.shorter.values())]
        if any(each != names[0] for each in names):
            raise ValueError("the model takes other steps where its input is shorter")
        steps = []
        for number, step in enumerate(self.longest.steps):
            others = {side: each.steps[number] for side, each in self.shorter.items()}
            steps.append(self.step(step, others))
        return Program(self.lengths, steps, self.arrays)

    def step(self, step: Tensor, others: Mapping[str, Tensor]) -> dict[str, Any]:
        """A step as JSON."""
        inputs, params = (
            self.value(getattr(step, part), {side: getattr(x, part) for side, x in others.items()})
            for part in ("inputs", "params")
        )
        path = self.longest.paths.get(step.order)
        attends = {} if path is None else {"path": path}
        assert step.op is not None
        return {"op": step.op.name, "inputs": inputs, "params": params, **attends}

    def value(self, x: Any, others: Mapping[str, Any]) -> Any:
        """An input, or a param, as JSON. `others` is what stands in its place in other recordings,
        by the input that is shorter there."""
        if isinstance(x, Tensor):
            if x.op is not None:
                return {"step": self.numbers[x.order]}
            return self.array(x.data, {side: y.data for side, y in others.items()})
        if isinstance(x, np.ndarray):
            sides = [side for side, tokens in self.longest.inputs.items() if tokens is x]
            return {"input": sides[0]} if sides else self.array(x, others)
        if isinstance(x, tuple | list | dict):
            places = x if isinstance(x, dict) else range(len(x))
            each = {i: self.value(x[i], {side: y[i] for side, y in others.items()}) for i in places}
            return each if isinstance(x, dict) else [*each.values()]
        varies = [side for side, y in others.items() if y != x]
        return self.length(x, varies) if varies else x

    def array(self, x: Array, others: Mapping[str, Array]) -> dict[str, Any]:
        """An array as JSON."""
        varies = [side for side, y in others.items() if not is_beginning(y, x)]
        if varies and x.size == 1:
            return self.length(x.item(), varies)
        axes = [
            [side for side, y in others.items() if y.shape[axis : axis + 1] != (size,)]
            for axis, size in enumerate(x.shape)
        ]
        if varies or any(len(sides) > 1 for sides in axes):
            raise ValueError("the model computes otherwise where its input is shorter")
        if id(x) not in self.places:
            self.places[id(x)] = len(self.arrays)
            self.arrays.append(x)
        written: dict[str, Any] = {"array": self.places[id(x)]}
        if not any(axes):
            return written
        return {**written, "axes": [sides[0] if sides else None for sides in axes]}

    def length(self, x: Any, sides: Sequence[str]) -> dict[str, Any]:
        """A number that depends on inputs, as JSON: it has to be the length of one."""
        if len(sides) > 1 or x != self.lengths[sides[0]]:
            raise ValueError("a size of the model depends on its input and is not its length")
        return {"length": sides[0]}


def names_of(recording: Recording) -> list[str]:
    """The ops of a recording."""
    return [step.op.name for step in recording.steps if step.op is not None]


def is_beginning(part: Array, whole: Array) -> bool:
    """Whether an array is the first rows, columns and so on of another."""
    return part.ndim == whole.ndim and np.array_equal(whole[tuple(map(slice, part.shape))], part)
