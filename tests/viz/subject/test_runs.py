"""What is shown of a run, or of a published model, to somebody who names nothing but it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

import cli
from minitransformer.answering import Predictor
from minitransformer.forms import Form, Masked, Pairs, Text
from minitransformer.inside.maps import attention_maps
from minitransformer.tokens import BytePairs, Characters, Special, WordPiece, Words
from minitransformer.tokens.tokeniser import BERT, OWN
from tests.minitransformer.interop.folders import with_tokeniser
from viz.subject.runs import MOST, SENTENCE, asked_for, example_for, loss_of_run

PAIRS = BytePairs.train([SENTENCE, "so it goes"], 280)
PIECES = WordPiece.train([SENTENCE], 60)
GRAMMAR = Words((*BERT.values(), "one", "two"), Special.find(BERT, BERT.values()))
MANY = Words((*OWN.values(), *map(str, range(100))))


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (Text(PAIRS, 64), SENTENCE),
        (Text(PAIRS, 2), "The "),
        (Text(Characters.train([SENTENCE]), 7), "The cat"),
        (Masked(PIECES, 40), SENTENCE.replace("cross", "[MASK]").replace(".", " .")),
        (Masked(GRAMMAR, 9), "one two"),
        (Pairs(MANY, MANY, 90, 90), " ".join(map(str, range(MOST)))),
    ],
)
def test_a_model_is_given_a_sentence_or_what_it_knows_as_much_as_fits(
    form: Form, text: str
) -> None:
    source = example_for(form)
    assert len(source) <= form.max_source
    assert form.text(source) == text
    if isinstance(form, Masked):
        assert (source[0], source[-1]) == (form.source.special.bos, form.source.special.eos)


def test_what_the_loss_of_a_text_asks_for_is_said() -> None:
    form = Text(PAIRS, 64)
    (newline,) = PAIRS.encode("\n")
    assert asked_for(form, [*PAIRS.encode("so"), newline]) == (
        "each next token of the text; after the last “⏎” (the model's own choice)"
    )


def published(folder: Path, kind: str) -> Path:
    """A folder as of Hugging Face, with a small random model."""
    tokeniser = PAIRS if kind == "gpt2" else PIECES
    return with_tokeniser(folder, tokeniser, kind, len(tokeniser))


@pytest.mark.parametrize("kind", ["gpt2", "bert"])
def test_every_page_opens_on_a_published_model(kind: str, tmp_path: Path) -> None:
    folder = published(tmp_path, kind)
    text = "it was" if kind == "gpt2" else "it [MASK] too"
    for arguments in [
        ("attention", folder, text, "-o", tmp_path / "page.html"),
        ("attention", "--pretrained", folder, text, "-o", tmp_path / "maps.png"),
        ("explain", folder, text, "-o", tmp_path / "page.html"),
        ("graph", folder, "-o", tmp_path / "graph.svg"),
        ("why", folder),
    ]:
        result = CliRunner().invoke(cli.main, [*map(str, arguments)])
        assert result.exit_code == 0, result.output


def test_of_a_reader_without_a_head_its_vectors_and_weights_are_shown(tmp_path: Path) -> None:
    folder = published(tmp_path, "bert")
    tensors = load_file(folder / "model.safetensors")
    kept = {name: x for name, x in tensors.items() if not name.startswith("cls.")}
    save_file(kept, folder / "model.safetensors")
    predictor = Predictor(folder)
    source = predictor.form.read("it was")
    result, _, about = loss_of_run(str(folder), "it was")
    np.testing.assert_array_equal(result.data, predictor.model([source]).data)
    assert "no head that answers" in about["result"]
    maps = attention_maps(predictor.model, [source])
    assert {(x.queries, x.keys) for x in maps.values()} == {("source", "source")}
    for out in ("page.html", "maps.png"):
        ask = ["attention", str(folder), "it was", "-o", str(tmp_path / out)]
        asked = CliRunner().invoke(cli.main, ask)
        assert asked.exit_code == 0, asked.output
        refused = CliRunner().invoke(cli.main, [*ask, "--target", "it"])
        assert refused.exit_code == 2
        assert "no head that answers: fine-tune it" in refused.output
