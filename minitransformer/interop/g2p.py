"""The GRU of the package g2p-en: how an English word is spoken, from its letters alone.

An encoder and a decoder without attention, 256 wide, by Park and Kim (2018), for words that their
dictionary does not have: https://github.com/Kyubyong/g2p. Code and weights are under Apache-2.0.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase
from tokenize import TokenError
from zipfile import BadZipFile

import numpy as np

from minigrad import nn
from minitransformer.forms import Pairs
from minitransformer.interop.safetensors import WeightsError, reading
from minitransformer.models.recurrent import GRUSettings, SequenceToSequence
from minitransformer.tokens import Characters, Special, Words

LETTERS = "<pad>", "<unk>", "</s>", *ascii_lowercase
PHONEMES = (
    "<pad>", "<unk>", "<s>", "</s>",
    "AA0", "AA1", "AA2", "AE0", "AE1", "AE2", "AH0", "AH1", "AH2", "AO0", "AO1", "AO2",
    "AW0", "AW1", "AW2", "AY0", "AY1", "AY2", "B", "CH", "D", "DH", "EH0", "EH1", "EH2",
    "ER0", "ER1", "ER2", "EY0", "EY1", "EY2", "F", "G", "HH", "IH0", "IH1", "IH2",
    "IY0", "IY1", "IY2", "JH", "K", "L", "M", "N", "NG", "OW0", "OW1", "OW2",
    "OY0", "OY1", "OY2", "P", "R", "S", "SH", "T", "TH", "UH0", "UH1", "UH2",
    "UW", "UW0", "UW1", "UW2", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip
"""The tokens in the order of their numbers. Phonemes are CMUdict's; a vowel says its stress."""

WIDTH = 256
"""Numbers in a vector and in the state."""

LONGEST = 100
"""Letters of a word at most, and phonemes of an answer. A state has no limit; this is one."""

PARTS = {"encoder.layers.0.forth.": "enc_", "decoder.layers.0.forth.": "dec_"}
ARRAYS = {
    "input_weight": "w_ih", "state_weight": "w_hh", "input_bias": "b_ih", "state_bias": "b_hh",
}  # fmt: skip
ROWS = {
    "source_embedding.weight": "enc_emb",
    "target_embedding.weight": "dec_emb",
    **{part + ours: x + theirs for part, x in PARTS.items() for ours, theirs in ARRAYS.items()},
    "projection.weight": "fc_w",
    "projection.bias": "fc_b",
}
"""Our parameters, and what the package calls them. The gates are in one order, PyTorch's."""


@dataclass(frozen=True)
class Spoken(Pairs):
    """Words and their phonemes. What is read is in small letters and ends with </s>."""

    def read(self, text: str) -> list[int]:
        return [*super().read(text.lower()), self.source.special.eos]

    def unknown(self, text: str) -> list[str]:
        return super().unknown(text.lower())


def load_g2p(path: Path) -> tuple[SequenceToSequence, Spoken]:
    """The model in checkpoint20.npz, and the form of its questions.

    FileError says in one line what cannot be read or does not fit.
    """
    source = Characters(LETTERS, Special(pad=0, unk=1, bos=2, eos=2))
    target = Words(PHONEMES, Special(pad=0, unk=1, bos=2, eos=3))
    form = Spoken(source, target, LONGEST, LONGEST)
    with reading(path):
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (BadZipFile, EOFError, AttributeError, TokenError, zlib.error) as error:
            raise ValueError(str(error)) from error
    model = SequenceToSequence(form.shape, GRUSettings(d_model=WIDTH, layers=1), nn.source(0))
    shapes = {ROWS[name]: parameter.shape for name, parameter in model.named_parameters()}
    for name, shape in shapes.items():
        if name not in arrays:
            raise WeightsError(f"{path} is no g2p-en: it lacks {name}")
        found = arrays[name]
        if found.shape != shape or found.dtype.kind != "f":
            told = f"{name} is {found.shape} of {found.dtype}, not {shape} of floats"
            raise WeightsError(f"{path} is no g2p-en: {told}")
    model.load_state_dict({ours: arrays[theirs] for ours, theirs in ROWS.items()})
    return model, form


def read_homographs(path: Path) -> dict[str, list[list[str]]]:
    """Real words and how they are spoken, from homographs.en of the package: it has some hundred
    that are spoken in two ways, each with the phonemes of both.

    FileError says in one line what cannot be read.
    """
    found = {}
    with reading(path):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                word, first, second, _ = line.split("|")  # then, what part of speech has the first
                found[word.lower()] = [first.split(), second.split()]
        spoken = [each for ways in found.values() for each in ways]
        if not spoken or not all(spoken) or {x for each in spoken for x in each} - {*PHONEMES}:
            raise ValueError("not words and their phonemes")
    return found
