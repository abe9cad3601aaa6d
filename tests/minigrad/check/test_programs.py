"""What random programs promise: they are right, as PyTorch and differences see it; and when they
are not, they say so."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, reduce
from typing import Any

import numpy as np
import pytest

from minigrad import TABLE
from minigrad.check.drafts import draw
from minigrad.check.programs import (
    LAYERS,
    LAYOUTS,
    Input,
    Program,
    Step,
    Value,
    by_rules,
    is_wrong,
    layout_of,
    script,
    shrink,
    smaller_programs,
    trial,
)
from minigrad.op import Op

Array = np.ndarray[Any, Any]


@cache
def pytorchs_ops() -> dict[str, Callable[..., Any]]:
    """What PyTorch calls the rows of the table, and the layers that programs call."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)  # the arrays are tiny
    F = torch.nn.functional

    def axes(x: Any, axis: Any) -> Any:
        return tuple(range(x.ndim)) if axis is None else axis

    def along(f: Callable[..., Any]) -> Callable[..., Any]:
        """A reduction that takes all axes at once."""

        def reduced(x: Any, axis: Any = None, keepdims: bool = False, **params: Any) -> Any:
            if axis == ():
                return f(x[..., None], -1, keepdim=False, **params)
            return f(x, axes(x, axis), keepdim=keepdims, **params)

        return reduced

    def product(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        every = sorted((i % x.ndim for i in np.atleast_1d(axes(x, axis)).tolist()), reverse=True)
        return reduce(lambda x, i: torch.prod(x, int(i), keepdim=keepdims), every, x)

    def layer_norm(x: Any, weight: Any, bias: Any) -> Any:
        return F.layer_norm(x, (x.shape[-1],), weight, bias)

    def rms_norm(x: Any, weight: Any) -> Any:
        return F.rms_norm(x, (x.shape[-1],), weight, eps=1e-5)

    def rotary(x: Any, start: int = 0, back: bool = False) -> Any:
        turned = torch.view_as_complex(x.unflatten(-1, (2, -1)).transpose(-1, -2).contiguous())
        position, pair = np.arange(start, start + x.shape[-2]), np.arange(x.shape[-1] // 2)
        angle = position[:, None] / 10_000.0 ** (2 * pair / x.shape[-1])
        turned = turned * torch.tensor(np.exp((-1j if back else 1j) * angle)).to(turned.dtype)
        return torch.cat([turned.real, turned.imag], -1)

    def batch_norm(x: Any, weight: Any, bias: Any) -> Any:
        rows = x.reshape(-1, x.shape[-1])  # torch's own refuses a single one
        variance, mean = torch.var_mean(rows, 0, correction=0)
        return (x - mean) / torch.sqrt(variance + 1e-5) * weight + bias

    def cross_entropy(x: Any, target: Any, ignore_index: Any = None, **params: Any) -> Any:
        rows, target = x.reshape(-1, x.shape[-1]), torch.tensor(target).reshape(-1)
        ignored = -100 if ignore_index is None else ignore_index
        if ignore_index is not None and (target == ignored).all():
            return rows.sum() * 0
        return F.cross_entropy(rows, target, ignore_index=ignored, **params)

    def attention(query: Any, key: Any, value: Any, mask: Any = None) -> Any:
        if min(query.ndim, key.ndim) > 3 and 1 < key.shape[-3] < query.shape[-3]:
            n = query.shape[-3] // key.shape[-3]
            key, value = (x.repeat_interleave(n, dim=-3) for x in (key, value))
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        if mask is not None:
            scores = torch.where(torch.tensor(mask), scores, -torch.inf)
        return torch.softmax(scores, -1) @ value

    def self_attention(x: Any, weight: Any, heads: int, mask: Any = None) -> Any:
        parts = (x @ weight.T).chunk(3, -1)
        split = [y.unflatten(-1, (heads, -1)).transpose(1, 2) for y in parts]
        return attention(*split, mask=mask).transpose(1, 2).reshape(x.shape)

    def getitem(x: Any, index: Any) -> Any:
        return through(lambda n: n[index])(x)

    def through(f: Callable[..., Array]) -> Callable[..., Any]:
        """An op that only moves elements: NumPy's function on their numbers says where to."""

        def moved(x: Any, **params: Any) -> Any:
            places = f(np.arange(x.numel()).reshape(x.shape), **params)
            return x.reshape(-1)[torch.tensor(np.array(places, order="C"))]

        return moved

    def take_along_axis(x: Any, indices: Array, axis: int) -> Any:
        return through(lambda n: np.take_along_axis(n, indices, axis))(x)

    def scatter_add(x: Any, index: Array, shape: tuple[int, ...]) -> Any:
        return x.new_zeros(shape).index_add(0, torch.tensor(index % shape[0]), x)

    def pad(x: Any, pad_width: Any, constant_values: float) -> Any:
        pairs = np.broadcast_to(pad_width, (x.ndim, 2))[::-1].ravel().tolist()
        return F.pad(x, pairs, value=constant_values)

    def concatenate(parts: Any, axis: int | None = 0) -> Any:
        return torch.cat([x.reshape(-1) for x in parts] if axis is None else parts, axis or 0)

    def split(x: Any, places: Any, axis: int = 0) -> Any:
        return list(torch.tensor_split(x, places, axis))

    def dot(a: Any, b: Any) -> Any:
        return a * b if 0 in (a.ndim, b.ndim) else a @ b

    def gelu(x: Any, approximate: str = "none") -> Any:
        return F.gelu(x, approximate=approximate)

    def embedding(weight: Any, tokens: Array) -> Any:
        return weight[torch.tensor(tokens, dtype=torch.int64)]

    def where(mask: Array, a: Any, b: Any) -> Any:
        return torch.where(torch.tensor(mask), a, b)

    def masked_fill(x: Any, mask: Array, value: float = 0.0) -> Any:
        return torch.where(torch.tensor(mask), x.new_tensor(value), x)

    def dropout_mask(x: Any, keep: Array, scale: float = 1.0) -> Any:
        return x * torch.tensor(keep) * scale

    def cumsum(x: Any, axis: int | None = None) -> Any:
        return torch.cumsum(x.reshape(-1), 0) if axis is None else torch.cumsum(x, axis)

    def std(x: Any, ddof: int = 0, **params: Any) -> Any:
        return along(torch.std)(x, correction=ddof, **params)

    def var(x: Any, ddof: int = 0, **params: Any) -> Any:
        return along(torch.var)(x, correction=ddof, **params)

    def swapaxes(x: Any, axis1: int = 0, axis2: int = 1) -> Any:
        return x.transpose(axis1, axis2)

    def clip(x: Any, a_min: Any = None, a_max: Any = None) -> Any:
        return torch.clamp(x, a_min, a_max)

    return {
        "abs": torch.abs, "add": torch.add, "subtract": torch.subtract, "divide": torch.divide,
        "multiply": torch.multiply, "power": torch.pow, "maximum": torch.maximum,
        "minimum": torch.minimum, "outer": lambda a, b: torch.outer(a.reshape(-1), b.reshape(-1)),
        "relu": F.relu, "leaky_relu": F.leaky_relu, "softplus": F.softplus, "silu": F.silu,
        "gelu": gelu, "sigmoid": torch.sigmoid, "erf": torch.erf,
        "where": where, "masked_fill": masked_fill, "dropout_mask": dropout_mask, "clip": clip,
        "sum": along(torch.sum), "mean": along(torch.mean), "max": along(torch.amax),
        "min": along(torch.amin), "prod": product, "logsumexp": along(torch.logsumexp),
        "norm": along(lambda x, axis, keepdim: torch.sqrt((x * x).sum(axis, keepdim))),
        "var": var, "std": std, "cumsum": cumsum,
        "reshape": through(np.reshape), "ravel": through(np.ravel),
        "transpose": through(np.transpose), "swapaxes": swapaxes, "split": split,
        "broadcast_to": lambda x, shape: x.expand(shape), "expand_dims": through(np.expand_dims),
        "squeeze": through(np.squeeze), "concatenate": concatenate,
        "stack": lambda parts, axis=0: torch.stack(parts, axis),
        "flip": through(np.flip), "roll": through(np.roll), "pad": pad, "tile": through(np.tile),
        "repeat": through(np.repeat), "getitem": getitem, "take": through(np.take),
        "take_along_axis": take_along_axis, "scatter_add": scatter_add,
        "tril": lambda x, k=0: torch.tril(x, k), "triu": lambda x, k=0: torch.triu(x, k),
        "matmul": torch.matmul, "dot": dot, "einsum": torch.einsum, "linear": F.linear,
        "embedding": embedding, "layer_norm": layer_norm, "batch_norm": batch_norm,
        "rms_norm": rms_norm, "rotary": rotary,
        "softmax": lambda x, axis=-1: torch.softmax(x, axis),
        "log_softmax": lambda x, axis=-1: torch.log_softmax(x, axis),
        "cross_entropy": cross_entropy, "mse_loss": F.mse_loss,
        "binary_cross_entropy_with_logits": F.binary_cross_entropy_with_logits,
        "scaled_dot_product_attention": attention, "self_attention": self_attention,
        "nn.Linear": F.linear, "nn.LayerNorm": layer_norm, "nn.Embedding": embedding,
    }  # fmt: skip


@cache
def comparable() -> list[str]:
    """The names of the ops that PyTorch has as well."""
    torch = pytest.importorskip("torch")
    known = pytorchs_ops()

    def has(op: Op) -> bool:
        """Whether PyTorch has it under its own name: so it is with most functions of numbers."""
        return (
            op.family == "elementwise"
            and op.arity == 1
            and not op.composite
            and hasattr(torch, op.name)
        )

    return [name for name in [*TABLE, *LAYERS] if name in known or has(TABLE[name])]


def in_pytorch(name: str) -> Callable[..., Any]:
    """PyTorch's form of an op, which takes arguments of several dtypes as NumPy does."""
    torch = pytest.importorskip("torch")
    f = pytorchs_ops().get(name) or getattr(torch, name)

    def promoted(x: Any, dtype: Any) -> Any:
        if isinstance(x, list):
            return [promoted(item, dtype) for item in x]
        return x.to(dtype) if isinstance(x, torch.Tensor) else x

    def call(*args: Any, **params: Any) -> Any:
        flat = [y for x in args for y in (x if isinstance(x, list) else [x])]
        dtypes = [x.dtype for x in flat if isinstance(x, torch.Tensor)]
        return f(*[promoted(x, reduce(torch.promote_types, dtypes)) for x in args], **params)

    return call


def by_pytorch(program: Program) -> tuple[list[Array], list[Array]]:
    """The gradients by the variables and their derivatives in the program's direction."""
    torch = pytest.importorskip("torch")
    tensors = [torch.tensor(x.array().copy(), requires_grad=not x.constant) for x in program.inputs]
    leaves = [x for x in tensors if x.requires_grad]

    def gradients(y: Any, **params: Any) -> list[Any]:
        if not y.requires_grad:
            return [torch.zeros_like(x) for x in leaves]
        found = torch.autograd.grad(y, leaves, allow_unused=True, **params)
        pairs = zip(leaves, found, strict=True)
        return [torch.zeros_like(x) if g is None else g for x, g in pairs]

    loss = program.loss(program.run(tensors, in_pytorch), torch.tensor)
    first = gradients(loss, create_graph=True)
    pairs = zip(first, program.direction(), strict=True)
    second = gradients(sum((g * torch.tensor(v)).sum() for g, v in pairs))
    return [g.detach().clone().numpy() for g in first], [h.clone().numpy() for h in second]


def off_by(ours: list[Array], theirs: list[Array]) -> float:
    """How far some derivatives are from others at worst, relative to the largest of the others."""
    worst = max(np.abs(g - h).max() for g, h in zip(ours, theirs, strict=True))
    return float(worst / max(1e-3, *(np.abs(h).max() for h in theirs)))


def agrees(program: Program) -> bool:
    """Whether the derivatives have PyTorch's shapes and dtypes, and its values if it has any.

    To 1e-10 in float64. In float32 they may be off from float64's by 1e-3, and where PyTorch's are
    further off, as a function can be ill-conditioned, by thirty times as much.
    """
    reference = by_pytorch(program)
    if not all(np.isfinite(g).all() for part in reference for g in part):
        return True
    is_exact = all(x.values.dtype == np.float64 for x in program.inputs)
    truth = reference if is_exact else by_pytorch(program.in_float64())
    for ours, theirs, exact in zip(by_rules(program), reference, truth, strict=True):
        if [(g.shape, g.dtype) for g in ours] != [(g.shape, g.dtype) for g in theirs]:
            return False
        tolerance = 1e-10
        if not is_exact:
            tolerance = max(1e-3, 30 * off_by(theirs, exact))
        if not off_by(ours, exact) <= tolerance:
            return False
    return True


def differs(program: Program) -> bool:
    """Whether a program can be run here and in PyTorch, and the derivatives differ."""
    try:
        program.values()
        by_pytorch(program)
    except Exception:
        return False
    try:
        return not agrees(program)
    except Exception:
        return True


def explained(program: Program, fails: Callable[[Program], bool]) -> str:
    """What a failing test says: the smallest program that fails, as a script."""
    return f"seed {program.seed}:\n{script(shrink(program, fails))}"


@pytest.mark.parametrize("start", range(0, 100, 25))
def test_random_programs_have_the_derivatives_that_pytorch_finds(start: int) -> None:
    for seed in range(start, start + 25):
        program = draw(seed, comparable())
        assert agrees(program), explained(program, differs)


@pytest.mark.parametrize("start", range(1000, 1040, 20))
def test_random_programs_have_the_derivatives_that_differences_find(start: int) -> None:
    for seed in range(start, start + 20):
        program = draw(seed)
        assert not is_wrong(program), explained(program, is_wrong)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_holds_the_same_elements_and_is_recognised(layout: str) -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    x = np.repeat(x[:1], 2, axis=0) if layout == "repeated" else x
    laid = LAYOUTS[layout](x)
    assert np.array_equal(laid, x)
    assert layout_of(laid) == layout
    assert (laid.strides == x.strides) == (layout == "rows")


def found(names: list[str]) -> Program:
    """The first random program of these ops that is wrong, made small."""
    for program in (draw(seed, names) for seed in range(60)):
        if is_wrong(program):
            return shrink(program, is_wrong)
    raise AssertionError("nothing was found")


@pytest.mark.parametrize("name", ["tanh", "mean", "matmul", "getitem", "log_softmax"])
def test_a_rule_wrong_by_a_thousandth_is_found_and_laid_bare(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = TABLE[name].rules

    def off(*args: Any, **params: Any) -> Any:
        assert first is not None
        return first(*args, **params) * 1.001

    monkeypatch.setattr(TABLE[name], "rules", (off, *others))
    program = found([name, "add", "multiply", "transpose", "reshape", "concatenate"])
    assert [step.op for step in program.steps] == [name]
    assert 1e-4 < trial(program).error < 2e-3


def test_a_sum_that_a_fused_rule_forgets_is_found_and_laid_bare(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = TABLE["linear"].joint
    assert right is not None

    def rule(g: Any, *others: Any) -> Any:
        by_x, by_weight, _ = right(g, *others)
        return by_x, by_weight, g.reshape(-1, g.shape[-1])[0]

    monkeypatch.setattr(TABLE["linear"], "joint", rule)
    text = script(found(["linear", "tanh", "multiply", "reshape", "softmax"]))
    assert text.count(" = mg.TABLE") == 1
    exec(text, {})
    said = capsys.readouterr().out
    assert "the derivative of order 1 is wrong" in said
    assert ": linear: gradient by bias: " in said


def test_an_axis_of_two_is_shortened_as_longer_ones_are() -> None:
    program = Program((Input(0, np.zeros((2, 3))), Step(1, "exp", (Value(0),), {})), (1,), seed=0)
    shapes = {x.values.shape for smaller in smaller_programs(program) for x in smaller.inputs}
    assert shapes >= {(1, 3), (2, 2), (2, 1)}


def test_a_rule_that_breaks_is_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TABLE["exp"], "rules", (lambda g, y, x: g @ np.ones(7),))
    program = found(["exp", "add", "transpose"])
    assert [step.op for step in program.steps] == ["exp"]
    assert str(trial(program)).startswith("ValueError")


@pytest.mark.parametrize("name", ["abs", "relu", "leaky_relu"])
def test_a_kink_is_no_fault_but_cannot_be_measured(name: str) -> None:
    program = Program((Input(0, np.zeros(3)), Step(1, name, (Value(0),), {})), (1,), seed=0)
    assert trial(program).verdict == "unmeasured"
    assert not is_wrong(program)


def test_a_script_gives_the_gradients_of_its_program(capsys: pytest.CaptureFixture[str]) -> None:
    for program in (draw(seed) for seed in range(12)):
        text, check, _ = script(program).partition("for order in")
        assert check
        scope: dict[str, Any] = {}
        exec(text, scope)
        for g, leaf in zip(by_rules(program)[0], scope["leaves"], strict=True):
            np.testing.assert_allclose(np.zeros(g.shape) if leaf.grad is None else leaf.grad, g)
