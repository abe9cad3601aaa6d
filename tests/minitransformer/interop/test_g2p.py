"""The GRU of g2p-en says here what it says in its own package."""

from __future__ import annotations

from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad.files import FileError
from minitransformer import Predictor
from minitransformer.interop.g2p import (
    LETTERS,
    PHONEMES,
    ROWS,
    WIDTH,
    load_g2p,
    read_homographs,
)
from minitransformer.interop.published import find, open_source
from minitransformer.transfer import open_lender

WORDS = ["transformer", "attention", "a", "zzz", "backpropagationalgorithm", "don't"]


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    if find_spec("g2p_en") is None:
        pytest.skip("needs g2p-en")
    return find("g2p")


def spoken(weights: Any, word: str) -> list[str]:
    """What the model answers, as its own code computes it: g2p_en/g2p.py, written anew."""

    def step(x: Any, h: Any, side: str) -> Any:
        given = weights[f"{side}_w_ih"] @ x + weights[f"{side}_b_ih"]
        kept = weights[f"{side}_w_hh"] @ h + weights[f"{side}_b_hh"]
        r, z = 1 / (1 + np.exp(-(given + kept).reshape(3, -1)[:2]))
        n = np.tanh(given.reshape(3, -1)[2] + r * kept.reshape(3, -1)[2])
        return (1 - z) * n + z * h

    h = np.zeros(256, np.float32)
    for letter in [*word, "</s>"]:
        number = LETTERS.index(letter) if letter in LETTERS else 1
        h = step(weights["enc_emb"][number], h, "enc")
    found = [PHONEMES.index("<s>")]
    while found[-1] != PHONEMES.index("</s>"):
        h = step(weights["dec_emb"][found[-1]], h, "dec")
        found.append(int((weights["fc_w"] @ h + weights["fc_b"]).argmax()))
    return [PHONEMES[number] for number in found[1:-1]]


def test_it_says_transformer(checkpoint: Path) -> None:
    assert Predictor("g2p").answer("Transformer") == ["T R AE0 N S F AO1 R M ER0"]


def test_it_answers_as_its_own_code_does_and_many_at_once_as_one(checkpoint: Path) -> None:
    with np.load(checkpoint) as weights:
        wanted = [" ".join(spoken(weights, word)) for word in WORDS]
    predictor = Predictor("g2p")
    assert predictor.answer(WORDS) == wanted
    assert [predictor.answer(word)[0] for word in WORDS] == wanted


def test_what_it_cannot_read_is_told(checkpoint: Path) -> None:
    form = Predictor("g2p").form
    assert form.unknown("Don't") == ["'"]
    assert form.source.spell(form.read("Don't")) == ["d", "o", "n", "<unk>", "t", "</s>"]
    with pytest.raises(ValueError, match="100"):
        form.read("a" * 101)
    with pytest.raises(ValueError):
        form.read(" ")


def blank() -> dict[str, Any]:
    """Arrays of the right names and shapes."""
    rows = {"enc_emb": len(LETTERS), "dec_emb": len(PHONEMES), "fc_w": len(PHONEMES)}
    shapes = {name: (rows.get(name, 3 * WIDTH), WIDTH) for name in ROWS.values()}
    shapes |= {name: shapes[name][:1] for name in shapes if "_b" in name}
    shapes["fc_b"] = (len(PHONEMES),)
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


def test_a_file_of_the_right_arrays_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **blank())
    model, form = load_g2p(tmp_path / "x.npz")
    assert model(np.array([form.read("abc")]), np.array([[2]])).shape == (1, 1, 74)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x: x.pop("enc_w_hh"), "lacks enc_w_hh"),
        (
            lambda x: x.update(dec_emb=np.zeros((3, 4))),
            r"dec_emb is \(3, 4\) of float64, not \(74, 256\)",
        ),
        (lambda x: x.update(fc_w=np.array("a")), r"fc_w is \(\) of <U1"),
        (lambda x: x.update(fc_w=np.array({})), "malformed"),
    ],
)
def test_a_file_that_does_not_fit_is_one_line(tmp_path: Path, change: Any, told: str) -> None:
    arrays = blank()
    change(arrays)
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(FileError, match=told) as error:
        load_g2p(tmp_path / "x.npz")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive", None])
def test_a_file_that_is_none_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    np.savez(tmp_path / "x.npz", **blank())
    whole = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "x.npz").write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(FileError, match="malformed") as error:
        load_g2p(tmp_path / "x.npz")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_with_wrong_bytes_is_one_line(tmp_path: Path, compressed: bool) -> None:
    """Whatever they come upon: the header of an array is read as Python."""
    (np.savez_compressed if compressed else np.savez)(tmp_path / "x.npz", **blank())
    whole, rng = (tmp_path / "x.npz").read_bytes(), np.random.default_rng(0)
    for place in [*range(40, 170), *rng.integers(len(whole), size=60)]:
        (tmp_path / "x.npz").write_bytes(whole[:place] + b"(" + whole[place + 1 :])
        with suppress(FileError):
            load_g2p(tmp_path / "x.npz")


def test_a_list_of_homographs_has_both_ways_to_speak_each(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("# word|one|other|part\nABUSE|AH0 B Y UW1 Z|AH0 B Y UW1 S|V\n\n")
    assert read_homographs(tmp_path / "x") == {
        "abuse": [["AH0", "B", "Y", "UW1", "Z"], ["AH0", "B", "Y", "UW1", "S"]]
    }


@pytest.mark.parametrize(
    "text", ["", "# nothing", "ABUSE|AH0|V", "ABUSE|AH0||V", "ABUSE|AH0|abuse|V", "\udcff"]
)
def test_a_list_of_anything_else_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").write_text(text, errors="surrogateescape")
    with pytest.raises(FileError, match="malformed") as error:
        read_homographs(tmp_path / "x")
    assert "\n" not in str(error.value)


def test_it_lends_its_weights_to_nobody(checkpoint: Path) -> None:
    with pytest.raises(FileError, match="says how words are spoken, and no more"):
        open_source(checkpoint)
    with pytest.raises(FileError, match="says how words are spoken, and no more"):
        open_lender("g2p")
