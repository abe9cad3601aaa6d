"""What a user names to be looked at: an example, a run, a function of a file, an expression."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

from minigrad.op import Op
from minigrad.scalar import Value
from minigrad.tensor import Tensor
from minitransformer.interop.published import is_published
from viz.subject.examples import EXAMPLES
from viz.subject.expressions import evaluate, read_inputs
from viz.subject.runs import loss_of_run


class Computation(NamedTuple):
    """A result, the options with which it is best drawn, and what it is, as words and texts."""

    result: Tensor | Value
    options: Mapping[str, Any]
    about: Mapping[str, str]


def computation(
    what: str, inputs: Sequence[str] = (), seed: int = 0, target: str | None = None
) -> Computation:
    """What `what` names, computed.

    An example's name, a run folder or a published model (on the text that `inputs` spell, or on one
    that is chosen for it, and the loss of a `target`, or of its own answer), "FILE.py:FUNCTION" or
    an expression, these two on `inputs` such as "x=4x3", random by `seed`. ValueError when it is
    none of these, or when it fails.
    """
    is_model = is_published(what) or os.path.exists(what)
    is_run = is_model and what not in EXAMPLES and not is_function(what)
    if target is not None and not is_run:
        raise ValueError(f"a target is for the answer of a run; {what} has none")
    if is_run:
        return Computation(*loss_of_run(what, " ".join(inputs) or None, target))
    given = {"inputs": " ".join(inputs)} if inputs else {}
    if is_function(what):
        return Computation(call_function(what, read_inputs(inputs, seed)), {}, {"of": what} | given)
    if what not in EXAMPLES and (inputs or not PATH.fullmatch(what)):
        result = evaluate(what, read_inputs(inputs, seed))
        return Computation(result, {}, {"of": what} | given)
    if inputs:
        raise ValueError(f"inputs such as {inputs[0]} belong to an expression; {what} takes none")
    if what in EXAMPLES:
        compute, options = EXAMPLES[what]
        meaning = inspect.unwrap(getattr(compute, "func", compute)).__doc__ or what
        return Computation(compute(), options, {"of": f"the example {what}: {meaning}"})
    raise ValueError(
        f"{what!r} is neither one of {', '.join(EXAMPLES)}, nor a run folder, nor "
        'FILE.py:FUNCTION, nor an expression with its inputs ("sum(x**2)" x=2x3)'
    )


PATH = re.compile(r"[\w.~-]*(/[\w.~-]*)*")
"""What looks like a name or a path; an expression without inputs has at least a bracket."""


def is_function(what: str) -> bool:
    """Whether this is FILE.py:FUNCTION; ValueError for a file without its function."""
    if what.endswith(".py") and os.path.isfile(what):
        raise ValueError(f"name a function of the file too, as in {what}:loss")
    return what.rpartition(":")[0].endswith(".py")


def call_function(what: str, inputs: dict[str, Any]) -> Tensor | Value:
    """The result of a function in a file, given these inputs by its parameters' names."""
    file, _, name = what.rpartition(":")
    function = load_function(Path(file), name)
    result = bind_inputs(what, function, list(inputs))(*inputs.values())
    if not isinstance(result, Tensor | Value):
        code = getattr(inspect.unwrap(function), "__code__", None)
        where = f"{file}:{code.co_firstlineno}" if code else file
        kind = "None (does it lack a return?)" if result is None else type(result).__name__
        raise ValueError(f"{where}: {name}() gives {kind}, not a Tensor or a Value")
    return result


def load_function(file: Path, name: str) -> Callable[..., Any]:
    """A function in a file; what goes wrong there becomes one line with its place."""
    if not file.is_file():
        raise ValueError(f"{file}: no such file")
    unique = f"<{file}>"  # no import statement can say it, so it shadows nothing
    spec = importlib.util.spec_from_file_location(unique, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module  # where dataclasses look for the names in annotations
    try:
        with running(file):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[unique]
        raise
    function = getattr(module, name, None)
    if not callable(function):
        raise ValueError(f"{file} has no function {name!r}")

    @wraps(function)
    def called(*args: Any, **named: Any) -> Any:
        with running(file):
            return function(*args, **named)

    return called


@contextmanager
def running(file: Path) -> Iterator[None]:
    """A block that runs a file of a user: it may import its neighbours; errors become one line."""
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    except (Exception, SystemExit) as error:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        told = ": ".join(filter(None, [last_line(error, file), type(error).__name__, text]))
        raise ValueError(told) from error
    finally:
        sys.path.remove(folder)


def function(
    what: str, words: Sequence[str], seed: int = 0
) -> tuple[Callable[..., Any], list[Any]]:
    """(f, inputs) of FILE.py:FUNCTION, or of an expression, on inputs such as "x=4x3" in order.

    Random ones are not rounded: rounded numbers are often 0 or equal, where there may be a kink.
    ValueError when it is neither, without inputs, or where their names are not the function's.
    """
    in_file, inputs = is_function(what), read_inputs(words, seed, decimals=None)
    if not inputs:
        raise ValueError(f"give the inputs of {what!r}, as in x=4x3")
    if in_file:
        file, _, name = what.rpartition(":")
        f = bind_inputs(what, load_function(Path(file), name), list(inputs))
        return f, list(inputs.values())
    evaluate(what, inputs)  # what is wrong with it is best said at once
    return lambda *args: evaluate(what, dict(zip(inputs, args, strict=True))), list(inputs.values())


def bind_inputs(what: str, f: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    """`f` of inputs in the order of these names, each for the parameter that has its name.

    ValueError for a name that no parameter has, and for a parameter left without an input.
    """
    if isinstance(inspect.unwrap(f), Op):  # it names what is unknown or missing itself
        return lambda *args: f(**dict(zip(names, args, strict=True)))
    parameters = inspect.signature(f).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return f  # its inputs have no names to be passed by
    # In this signature the parameters before a "/" have names too; `bind` puts them in their order.
    signature = inspect.Signature([
        p.replace(kind=max(p.kind, p.POSITIONAL_OR_KEYWORD)) for p in parameters
    ])  # fmt: skip

    def bound(args: Iterable[Any]) -> inspect.BoundArguments:
        found = signature.bind(**dict(zip(names, args, strict=True)))
        found.apply_defaults()  # no gap may be left among those that go by position
        return found

    def called(*args: Any) -> Any:
        found = bound(args)
        return f(*found.args, **found.kwargs)

    try:
        bound(names)
    except TypeError as error:
        takes = ", ".join(signature.parameters) or "no inputs"
        given = ", ".join(names) or "none"
        raise ValueError(f"{what} takes {takes}, not {given}: {error}") from None
    return called


def last_line(error: BaseException, file: Path) -> str:
    """The last line of the file that led to the error, as "FILE.py:12"."""

    def is_here(filename: str | None) -> bool:  # Python makes the name of a file absolute
        return filename is not None and os.path.abspath(filename) == os.path.abspath(file)

    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if is_here(frame.filename)]
    if isinstance(error, SyntaxError) and is_here(error.filename):
        lines.append(error.lineno)
    return f"{file}:{lines[-1]}" if lines and lines[-1] else str(file)
