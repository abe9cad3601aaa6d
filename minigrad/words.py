"""Words of PyTorch that have another name here, so that an error can say which."""

from __future__ import annotations

from typing import Any

ONE_DEVICE = "leave it out: everything lives in main memory"

TENSOR = {
    **dict.fromkeys(["view", "view_as", "reshape_as"], "reshape(...)"),
    "permute": "transpose(...)",
    "t": "T",
    "transpose_": "swapaxes(a, b)",
    "unsqueeze": "np.expand_dims(t, axis)",
    "dim": "ndim",
    "numel": "size",
    "nelement": "size",
    "element_size": "data.itemsize",
    **dict.fromkeys(["to", "cuda", "cpu", "device", "is_cuda", "pin_memory"], ONE_DEVICE),
    "type": "astype(dtype)",
    "double": "astype(np.float64)",
    "float": "astype(np.float32)",
    "half": "astype(np.float16)",
    "long": "astype(np.int64), or np.asarray(t.data, int)",
    "int": "astype(np.int32)",
    "clone": "a copy, Tensor(t.data), or +t to stay in the graph",
    "copy": "Tensor(t.data), or +t to stay in the graph",
    "copy_": "t.data = values",
    "data_ptr": "t.data.ctypes.data",
    "contiguous": "leave it out",
    "is_contiguous": "t.data.flags.c_contiguous",
    "grad_fn": "op and inputs",
    "register_hook": "retain_grad(), or a Watcher (minigrad.mode)",
    "mm": "@",
    "bmm": "@",
    "matmul": "@",
    "expand": "np.broadcast_to(t, shape)",
    "expand_as": "np.broadcast_to(t, other.shape)",
    "chunk": "np.split(t, n)",
    "split": "np.split(t, sections, axis)",
    "unbind": "a loop over t",
    "gather": "np.take_along_axis(t, indices, axis)",
    "scatter_add": "minigrad.scatter_add",
    "scatter_add_": "minigrad.scatter_add",
    "masked_fill_": "masked_fill(mask, value)",
    "index_select": "take(indices, axis)",
    "where": "np.where(mask, t, other)",
    "pow": "**",
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "neg": "-t",
    "norm_": "norm()",
    "clamp": "clip(low, high)",
    "clamp_": "clip(low, high)",
    "amax": "max(axis)",
    "amin": "min(axis)",
    "eq": "==",
    "lt": "<",
    "gt": ">",
    **dict.fromkeys(["add_", "sub_", "mul_", "div_", "zero_", "fill_"], "t.data *= … and the like"),
    **dict.fromkeys(
        ["zeros", "ones", "full", "eye", "arange", "linspace", "empty", "zeros_like", "ones_like"],
        "NumPy's, such as Tensor(np.zeros(3), requires_grad=True)",
    ),
    **dict.fromkeys(
        ["randn", "rand", "randint", "uniform", "normal", "randn_like", "rand_like"],
        "NumPy's, such as Tensor(np.random.default_rng(0).standard_normal(3), requires_grad=True)",
    ),
}

MODULE = {
    **dict.fromkeys(["to", "cuda", "cpu"], ONE_DEVICE),
    "float": "astype(np.float32)",
    "double": "astype(np.float64)",
    "half": "astype(np.float16)",
    "modules": "named_modules()",
    "named_children": "children()",
    "named_buffers": "named_state()",
    "buffers": "named_state()",
    "register_buffer": "an array as an attribute: self.name = array",
    "register_parameter": "a tensor as an attribute: self.name = nn.parameter(array)",
    "add_module": "a module as an attribute: self.name = module",
    "apply": "a loop over named_modules()",
    "requires_grad_": "a loop over parameters()",
    "append": "a list of modules as an attribute, or ModuleList(modules)",
}

LAYERS = {
    "Parameter": "nn.parameter(array)",
    "functional": "minigrad itself: mg.relu, mg.softmax, mg.cross_entropy …",
    "init": "NumPy: model.weight.data = rng.normal(…)",
    "utils": "minigrad.optim.clip_grad_norm",
    **dict.fromkeys(["BatchNorm1d", "BatchNorm2d"], "nn.BatchNorm, features last"),
    "MultiheadAttention": "minitransformer.parts.attention.MultiHeadAttention",
    "Transformer": "minitransformer.Transformer",
    **{name: f"minitransformer.parts.recurrent.{name}" for name in ("RNN", "GRU", "LSTM")},
    "ModuleDict": "a dict of modules as an attribute",
    "ParameterList": "a list of tensors as an attribute",
    "NLLLoss": "nn.CrossEntropyLoss, on logits",
    "BCELoss": "nn.BCEWithLogitsLoss, on logits",
    "L1Loss": "np.abs(prediction - target).mean()",
    "HuberLoss": "np.where and a formula",
    "Unflatten": "reshape",
}

OPTIM = {
    "lr_scheduler": "optimizer.learning_rate = warmup_cosine(…)(step)",
    "clip_grad_norm_": "clip_grad_norm",
    **dict.fromkeys(["RMSprop", "Adagrad", "Adadelta", "NAdam", "LBFGS"], "SGD, Adam or AdamW"),
}

PACKAGE = {
    **dict.fromkeys(["as_tensor", "from_numpy", "FloatTensor", "Variable"], "Tensor(array)"),
    "LongTensor": "an array of integers",
    "manual_seed": "rng=0 of each layer; random numbers come from NumPy's generators",
    "functional": "minigrad itself: mg.relu, mg.softmax, mg.cross_entropy …",
    **dict.fromkeys(["cat", "concat"], "np.concatenate"),
    **dict.fromkeys(["mm", "bmm"], "@"),
    "unsqueeze": "np.expand_dims",
    "permute": "np.transpose",
    "clamp": "np.clip",
    "gather": "np.take_along_axis",
    **dict.fromkeys(["cuda", "device"], ONE_DEVICE),
    "save": "np.savez(path, **model.state_dict())",
    "load": "model.load_state_dict(dict(np.load(path)))",
    "inference_mode": "no_grad()",
    "enable_grad": "a with-block less: ops are recorded outside of no_grad()",
    "autograd": "grad, vjp, jacobian or tensor.backward()",
    "utils": "minigrad.optim.clip_grad_norm",
    "compile": "leave it out",
    "float16": "np.float16",
    "float32": "np.float32",
    "float64": "np.float64",
    "long": "np.int64",
    **dict.fromkeys(
        ["zeros", "ones", "full", "eye", "arange", "linspace", "randn", "rand", "randint"],
        "NumPy's, such as Tensor(np.zeros(3), requires_grad=True)",
    ),
}


class Elsewhere:
    """An attribute that is not there: looking for it says what to write instead.

    Put into a class, it costs nothing where it is not asked for, as `__getattr__` would.
    """

    def __init__(self, name: str, words: dict[str, str]) -> None:
        self.name, self.words = name, words

    def __get__(self, instance: Any, owner: type) -> Any:
        raise missing(owner.__name__, self.name, self.words)


def point_elsewhere(cls: type, words: dict[str, str]) -> None:
    """Make the class answer to words that it does not know with those that it does."""
    for name in words:
        if not hasattr(cls, name):
            setattr(cls, name, Elsewhere(name, words))


def missing(owner: str, name: str, words: dict[str, str]) -> AttributeError:
    """The error for an attribute that is not there, with our word for it where there is one."""
    instead = words.get(name, "")
    hint = f"; {instead}" if instead.startswith("leave") else f"; use {instead}" if instead else ""
    return AttributeError(f"{owner} has no {name!r}{hint}")
