"""Names: what messages and pictures call modules, ops and their inputs."""

from __future__ import annotations

from minigrad.mode import Scope, outward
from minigrad.tensor import Tensor


def describe_op(node: Tensor) -> str:
    """An op and where it was called: "divide (÷) in encoder.layers.0 (EncoderLayer)"."""
    assert node.op is not None
    symbol = f" ({node.op.symbol})" if len(node.op.symbol) == 1 else ""
    return f"{node.op.name}{symbol}{in_module(node)}"


def in_module(node: Tensor) -> str:
    """ " in encoder.layers.0 (EncoderLayer)", or nothing outside of modules."""
    path = module_path(node.scope)
    kind = type(node.scope.module).__name__ if node.scope else ""
    return f" in {path}" + (f" ({kind})" if kind != path else "") if path else ""


def argument_name(node: Tensor, i: int) -> str:
    """What the op calls its input number `i`."""
    assert node.op is not None
    return node.op.names(node.inputs)[i]


def input_name(node: Tensor, i: int) -> str:
    """The input's own name or its module's for it, else what the op calls it."""
    x = node.inputs[i]
    own = isinstance(x, Tensor) and (x.name or parameter_path(x, node.scope))
    return own or argument_name(node, i)


def module_path(scope: Scope | None) -> str:
    """The dotted name of the module whose call this is, such as "encoder.layers.0".

    The outermost module, and one that no module around it has, go by their class; no call is "".
    """
    return "" if scope is None else below_outermost(scope) or type(scope.module).__name__


def below_outermost(scope: Scope) -> str:
    """The dotted name within the outermost module; "" where nothing around has this one."""
    for around in outward(scope.parent):
        for name, module in around.module.named_modules():
            if name and module is scope.module:
                outer = below_outermost(around)
                return f"{outer}.{name}" if outer else name
    return ""


def parameter_path(x: Tensor, scope: Scope | None) -> str:
    """What the outermost module around a call names this parameter; "" if none there has it."""
    found = ""
    for call in outward(scope):
        named = call.module.named_parameters()
        found = next((name for name, own in named if own is x), found)
    return found
