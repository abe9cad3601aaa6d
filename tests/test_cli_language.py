"""The commands that ask language models: generate, fill and model, and what they cannot do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

import cli

SIZES = [
    "--d-model", "8", "--heads", "2", "--layers", "1", "--d-ff", "16", "--context", "12",
    "--batch-size", "4", "--warmup", "2", "--steps", "20", "--evaluate-every", "20",
]  # fmt: skip


class Said(NamedTuple):
    """How the command ended, and what it wrote to standard output and standard error."""

    code: int
    out: str
    err: str


def minigrad(*args: object) -> Said:
    result = CliRunner().invoke(cli.main, list(map(str, args)), prog_name="minigrad")
    return Said(result.exit_code, result.stdout, result.stderr)


def succeeds(*args: object) -> str:
    said = minigrad(*args)
    assert said.code == 0, said
    return said.out


def fails(*args: object) -> str:
    """The one line that the command says when it cannot do what was asked."""
    said = minigrad(*args)
    assert said.code == 2, said
    assert said.out == ""
    assert re.fullmatch(r"Error: .+\n", said.err), said.err
    return said.err


def written(*args: object) -> str:
    """What `generate` adds to its prompt."""
    out = succeeds("generate", *args)
    assert out.endswith("\n")
    return out.removesuffix("\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs on a text, with characters and with bytes as tokens, and one with gaps."""
    folder = tmp_path_factory.mktemp("runs")
    text = folder / "text.txt"
    text.write_text("the cat sat on the mat . the dog sat on the cat .\n" * 20)
    for name, task, tokens in [
        ("text", "text", "char"), ("bytes", "text", "bpe"), ("gaps", "masked", "word")
    ]:  # fmt: skip
        options = ["--data", text, "--tokens", tokens, "--out", folder / name, *SIZES]
        succeeds("train", task, *options, *(["--subwords", "300"] if tokens == "bpe" else []))
    return folder


@pytest.mark.parametrize("run", ["text", "bytes"])
def test_a_prompt_is_gone_on_with(run: str, folder: Path) -> None:
    out = written(folder / run, "the cat ", "--length", "30")
    assert out.startswith("the cat ")
    assert len(out) > len("the cat ")  # more than the model's places


def test_it_says_how_many_tokens_and_how_fast(folder: Path) -> None:
    said = minigrad("generate", folder / "text", "the ", "--length", "7", "--temperature", "0")
    assert len(said.out.removesuffix("\n")) == len("the ") + 7
    assert re.fullmatch(r"\(7 tokens, \d+\.\d ms each\)\n", said.err)


@pytest.mark.parametrize("run", ["text", "bytes"])
def test_what_is_streamed_is_the_same(run: str, folder: Path) -> None:
    for options in ([], ["--temperature", "0"], ["--seed", "3"]):
        whole = succeeds("generate", folder / run, "the ", *options)
        assert succeeds("generate", folder / run, "the ", "--stream", *options) == whole


def test_a_seed_draws_another_text_and_the_same_one_the_same(folder: Path) -> None:
    run = folder / "text"
    usual = written(run, "the ")
    assert usual == written(run, "the ") == written(run, "the ", "--seed", "0")
    assert usual != written(run, "the ", "--seed", "1")


def test_at_temperature_0_and_of_one_token_the_likeliest_is_taken(folder: Path) -> None:
    run = folder / "text"
    likeliest = written(run, "the ", "--temperature", "0")
    assert likeliest == written(run, "the ", "--top-k", "1")
    assert likeliest == written(run, "the ", "--top-p", "1e-9")
    assert likeliest == written(run, "the ", "--temperature", "1e-6")
    assert likeliest != written(run, "the ", "--temperature", "2")


def test_a_prompt_may_be_longer_than_the_model(folder: Path) -> None:
    prompt = "the dog sat on the cat . " * 5
    assert written(folder / "text", prompt, "--length", "3").startswith(prompt)


@pytest.mark.parametrize("command", ["generate", "fill"])
def test_unknown_characters_are_noted(command: str, folder: Path) -> None:
    run, text = (("text", "the ж"), ("gaps", "the ж [MASK]"))[command == "fill"]
    said = minigrad(command, folder / run, text)
    assert said.code == 0
    unknown = "[UNK]" if command == "fill" else "<unk>"
    assert said.err.startswith(f"note: 'ж' is not in the vocabulary; it is read as {unknown}\n")


def test_nothing_is_unknown_where_tokens_are_of_bytes(folder: Path) -> None:
    said = minigrad("generate", folder / "bytes", "жж🙂", "--length", "2")
    assert said.code == 0 and "note" not in said.err
    assert said.out.startswith("жж🙂")


def test_gaps_are_filled_with_the_likeliest_of_the_candidates_shown(folder: Path) -> None:
    out = succeeds("fill", folder / "gaps", "the [MASK] sat on the [MASK] .", "--top", "3")
    filled, *table = out.splitlines()
    rows = re.findall(r"\b([12])[│ ]+(\S+)[│ ]+([\d.]+) %", "\n".join(table))
    assert [row[0] for row in rows] == ["1"] * 3 + ["2"] * 3
    first, second = rows[0][1], rows[3][1]
    assert filled == f"the {first} sat on the {second} ."
    shares = [float(row[2]) for row in rows]
    assert shares[:3] == sorted(shares[:3], reverse=True)
    assert 0 < sum(shares[:3]) <= 100.1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--temperature", "0", "--top-k", "3"], "at --temperature 0 nothing is drawn"),
        (["--temperature", "0", "--top-p", "0.5"], "at --temperature 0 nothing is drawn"),
        (["--temperature", "0", "--seed", "0"], "leave out --top-k, --top-p, --seed"),
        (["--temperature", "-1"], "--temperature must be a number above 0, not -1.0"),
        (["--temperature", "nan"], "temperature must be a number above 0, not nan"),
        (["--temperature", "inf"], "temperature must be a number above 0, not inf"),
        (["--temperature", "warm"], "Invalid value for '--temperature'"),
        (["--top-k", "0"], "--top-k must be at least 1, not 0"),
        (["--top-p", "0"], "--top-p must be above 0 and at most 1, not 0.0"),
        (["--top-p", "1.5"], "--top-p must be above 0 and at most 1, not 1.5"),
        (["--length", "0"], "Invalid value for '--length'"),
        (["--seed", "-1"], "Invalid value for '--seed'"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--stream"]])
def test_what_cannot_be_drawn_is_one_line(
    options: list[str], said: str, more: list[str], folder: Path
) -> None:
    assert said in fails("generate", folder / "text", "the ", *options, *more)


@pytest.mark.parametrize("more", [[], ["--stream"]])
def test_nothing_is_written_where_nothing_can_be_gone_on_with(
    more: list[str], folder: Path
) -> None:
    error = fails("generate", folder / "text", "", *more)
    assert "nothing to go on from: the text is empty" in error
    error = fails("generate", folder / "gaps", "the [MASK] ж", *more)
    assert "not for `minigrad generate`: ask it with `minigrad fill" in error


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("the cat", r"no gap to fill: write [MASK] in the place of a word"),
        ("", "nothing to answer: the text is empty"),
        ("[MASK] " * 13, "13 tokens are more than the 12"),
        ("the [mask] sat", "no gap to fill"),
    ],
)
def test_what_cannot_be_filled_is_one_line(text: str, said: str, folder: Path) -> None:
    assert said in fails("fill", folder / "gaps", text)


@pytest.mark.parametrize(
    ("run", "command", "right"),
    [("text", "fill", "generate"), ("text", "predict", "generate"), ("gaps", "predict", "fill")],
)
def test_a_run_says_which_command_asks_it(run: str, command: str, right: str, folder: Path) -> None:
    error = fails(command, folder / run, "the ж [MASK]")
    assert f"not for `minigrad {command}`: ask it with `minigrad {right}" in error


@pytest.mark.parametrize("command", ["generate", "fill"])
def test_a_run_and_a_text_are_asked_for(command: str, folder: Path, tmp_path: Path) -> None:
    run = folder / "text"
    for words in ([], [run], [run, "the", "cat"], ["--pretrained", "smollm", "the", "cat"],
                  ["--pretrained", "smollm"]):  # fmt: skip
        error = fails(command, *words)
        assert "give a run and a text, or --pretrained and a text" in error
        assert f"See `minigrad {command} --help`" in error
    assert "the path is empty" in fails(command, "", "the cat")
    assert str(tmp_path / "none") in fails(command, tmp_path / "none", "the [MASK]")
    assert "holds no run" in fails(command, tmp_path, "the [MASK]")


@pytest.mark.parametrize(
    ("run", "command", "text"), [("text", "generate", "the "), ("gaps", "fill", "the [MASK]")]
)
def test_an_unfinished_run_is_noted(run: str, command: str, text: str, folder: Path) -> None:
    summary = folder / run / "summary.json"
    content = summary.read_bytes()
    summary.unlink()
    try:
        said = minigrad(command, folder / run, text)
    finally:
        summary.write_bytes(content)
    assert said.code == 0
    assert said.err.startswith("note: this run is not finished\n")


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("gpt2", "124,439,808"),
        ("gpt3", "174,604,259,328"),
        ("bert", "109,514,298"),
        ("llama", "134,515,008"),
    ],
)
def test_the_models_of_papers_are_counted(name: str, count: str) -> None:
    out = succeeds("model", name)
    assert out.splitlines()[0].split()[1] == count
    assert out.endswith("counted: all weights and biases, the tied embedding matrix once\n")


@pytest.mark.parametrize("name", ["gpt4", "GPT2", ""])
def test_what_is_no_model_is_one_line(name: str) -> None:
    fails("model", name)
