"""The commands that look inside: graphs, pages, reasons and checks, and one line per error."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from cli import main
from minigrad import TABLE, Tensor
from minigrad.nn import count_parameters
from minigrad.ops.neural import cross_entropy
from minigrad.why import CAUSES
from minitransformer.answering import Predictor
from viz.graphs.look import ZOOMS
from viz.subject.examples import EXAMPLES

EXPRESSION = ["mean((tanh(x @ w + b) - y)**2)", "x=4x3", "w=3x2", "b=2", "y=4x2"]

FILE = """
import numpy as np
from minigrad import Tensor, Value
from minigrad.op import Op

halved = Op("halved", "½", "demo", lambda x: x / 2, [lambda g, y, x: g * 2])

def loss():
    x = Tensor([1.0, -2.0, 3.0], requires_grad=True, name="<script>alert(1)</script>")
    return (x * x).sum()

def number():
    return Value(2.0) * 3.0

def right(x, w):
    return np.tanh(x @ w)

def wrong(x):
    return halved(x)

def scaled(x, *, factor, mean=0.0):
    return x * factor - mean

def summed(*xs):
    return sum(x.sum() for x in xs)

def doubled(x, /):
    return 2 * x
"""


def run(*args: object) -> Result:
    """Run the command here."""
    return CliRunner().invoke(main, [str(arg) for arg in args], prog_name="minigrad")


def notes(result: Result) -> str:
    """What the command said beside its output that is no error: which shapes it has read."""
    return "".join(x for x in result.stderr.splitlines(True) if x.startswith("note: "))


def succeeds(*args: object) -> str:
    """What the command says when all goes well."""
    result = run(*args)
    assert (result.exit_code, result.stderr) == (0, notes(result)), result.output
    return result.stdout


def fails(*args: object) -> str:
    """The one line that the command says when it cannot do what was asked."""
    result = run(*args)
    assert result.exit_code == 2, result.output
    said = result.stderr.removeprefix(notes(result))
    assert re.fullmatch(r"Error: .+\n", said), result.output
    return said


def data(page: str) -> Any:
    """What a page holds."""
    text = Path(page).read_text(encoding="utf-8")
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    return json.loads(found)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run every test in a folder of its own, with a file of a user in it."""
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(FILE, encoding="utf-8")
    yield


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a filmed run, which no test may change."""
    path = tmp_path_factory.mktemp("runs") / "reverse"
    tiny = "--length 4 --vocab 5 --d-model 8 --heads 2 --layers 1 --d-ff 16 --batch-size 8"
    short = "--steps 40 --evaluate-every 20 --warmup 5"
    said = succeeds("train", "reverse", *tiny.split(), *short.split(), "--film", "--out", path)
    assert said.endswith(f"see it learn: minigrad film {path} -o film.html\n")
    return path


def test_the_help_names_the_examples_and_the_zooms_that_there_are() -> None:
    said = "".join(succeeds("graph", "--help").split())
    assert f"--zoom[{'|'.join(ZOOMS)}]" in said
    assert f"WHATisanexample({','.join(EXAMPLES)})," in said


def test_a_zoom_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    said = fails("graph", "softmax", "--zoom", "atom", "-o", "graph.dot")
    assert all(f"'{zoom}'" in said for zoom in ZOOMS)


@pytest.mark.parametrize("what", EXAMPLES)
def test_every_example_is_drawn(what: str) -> None:
    succeeds("graph", what, "--values", "--grads", "-o", "graph.dot")
    source = Path("graph.dot").read_text()
    assert source.startswith("digraph") and "∂" in source


@pytest.mark.parametrize("zoom", ZOOMS)
def test_an_expression_is_drawn_at_every_zoom_with_the_same_loss(zoom: str) -> None:
    succeeds("graph", *EXPRESSION, "--zoom", zoom, "--values", "--grads", "-o", "graph.dot")
    assert ">1.507<" in Path("graph.dot").read_text()


@pytest.mark.parametrize("what", EXAMPLES)
def test_every_example_is_drawn_at_every_zoom_or_it_is_said_what_works(what: str) -> None:
    costs = ["--costs"] * isinstance(EXAMPLES[what][0](), Tensor)  # of Values nobody knows them
    for zoom in ZOOMS:
        result = run("graph", what, "--zoom", zoom, "--values", "--grads", *costs, "-o", "g.dot")
        if result.exit_code:
            assert zoom == "scalar"
            named = result.stderr.partition("; a part that is small enough: ")[2]
            succeeds("graph", what, *named.split(), "--values", "--grads", "-o", "g.dot")
        assert "∂" in Path("g.dot").read_text()
        Path("g.dot").unlink()


def test_one_part_is_opened_and_the_rest_stays_folded() -> None:
    opened = "encoder.layers.0.self_attention"
    succeeds("graph", "transformer", "--zoom", "module", "-o", "folded.dot")
    succeeds("graph", "transformer", "--zoom", "module", "--open", opened, "-o", "opened.dot")
    folded, more = (Path(name).read_text() for name in ("folded.dot", "opened.dot"))
    assert "× 2" in folded
    assert ">attention<" not in folded and ">attention<" in more
    assert "there is no 'nothing' to open" in fails(
        "graph", "transformer", "--open", "nothing", "-o", "x.dot"
    )


def test_one_element_is_drawn_as_scalars() -> None:
    product = ["x @ w", "x=4x3", "w=3x2"]
    succeeds("graph", *product, "--zoom", "scalar", "--element", "0,1", "-o", "one.dot")
    source = Path("one.dot").read_text()
    assert "x[0,2]" in source and "x[1,0]" not in source
    assert "whole numbers" in fails(
        "graph", *product, "--zoom", "scalar", "--element", "a", "-o", "x.dot"
    )
    assert not Path("x.dot").exists()


def test_costs_and_parameters_are_shown_where_asked() -> None:
    succeeds("graph", "encoder-layer", "--zoom", "module", "--costs", "--parameters", "-o", "g.dot")
    source = Path("g.dot").read_text()
    assert "FLOP" in source and "query.weight 64×64" in source


def test_two_graphs_stand_side_by_side_with_what_differs() -> None:
    said = succeeds("graph", "attention", "--against", "attention-unmasked", "-o", "g.svg")
    assert "differ" in said or "only" in said
    assert "only here" in Path("g.svg").read_text(encoding="utf-8")
    assert "no difference" in succeeds("graph", "softmax", "--against", "softmax", "-o", "g.svg")
    norms = ("encoder-layer", "--against", "encoder-layer-pre")
    succeeds("graph", *norms, "--grads", "-o", "g.svg")
    assert "no grad yet" not in Path("g.svg").read_text(encoding="utf-8")


def test_the_model_of_a_run_is_drawn_and_folded(filmed: Path) -> None:
    assert succeeds("graph", filmed, "-o", "graph.svg").startswith("graph.svg")
    assert "self_attention" in Path("graph.svg").read_text()


def test_what_cannot_be_drawn_is_one_line() -> None:
    assert "neither one of neuron, expression" in fails("graph", "nonsense", "-o", "x.svg")
    assert "cannot draw .gif" in fails("graph", "softmax", "-o", "x.gif")
    assert "cannot write no/x.svg" in fails("graph", "softmax", "-o", "no/x.svg")
    assert "not allowed in an expression" in fails("graph", "x.data", "x=2", "-o", "x.svg")
    assert "scalars" in fails("graph", "transformer", "--zoom", "scalar", "-o", "x.svg")
    assert list(Path().iterdir()) == [Path("mine.py")]


@pytest.mark.parametrize("what", [EXPRESSION, ["mine.py:loss"], ["mine.py:number"], ["softmax"]])
def test_a_computation_becomes_a_page_to_step_through(what: list[str]) -> None:
    assert re.match(r"page\.html  \(\d+ kB", succeeds("explain", *what, "-o", "page.html"))
    text = Path("page.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "<script>alert" not in text
    assert data("page.html")


def page_record(path: str) -> Any:
    """What a page of explain holds."""
    return json.loads(zlib.decompress(base64.b64decode(data(path))))


def test_a_run_is_explained_on_a_text_and_the_page_says_so(filmed: Path) -> None:
    predictor = Predictor(filmed)
    succeeds("explain", filmed, 3, 1, 2, "--target", "2 2", "-o", "page.html")
    about = page_record("page.html")["about"]
    assert (about["input"], about["target"]) == ("3 1 2", "2 2")
    assert about["model"] == f"{filmed}: {count_parameters(predictor.model):,} parameters"
    expected = predictor.inspect(predictor.form.read("3 1 2"), "2 2").normal.loss
    assert about["loss"] == f"cross-entropy of the target, {expected:.4g}"
    assert f"<h1>{filmed}: 3 1 2</h1>" in Path("page.html").read_text(encoding="utf-8")
    succeeds("explain", filmed, "-o", "page.html")
    about = page_record("page.html")["about"]
    assert about["input"] == "0 1 2 3 (chosen here: no text was given)"
    (answer,) = predictor.answer("0 1 2 3")
    assert about["target"] == f"{answer} (the model's own answer)"
    succeeds("graph", filmed, "3 1", "--values", "-o", "g.dot")
    assert "unknown token '9'" in fails("explain", filmed, "9", "-o", "x.html")
    assert "unknown token '9'" in fails("explain", filmed, "1", "--target", "9", "-o", "x.html")
    assert "tokens and its end are more than" in fails(
        "explain", filmed, "1", "--target", "1 1 1 1 1 1", "-o", "x.html"
    )
    assert "a target is for the answer of a run" in fails(
        "explain", "softmax", "--target", "1", "-o", "x.html"
    )


def test_attention_becomes_a_page_or_a_picture(filmed: Path) -> None:
    succeeds("attention", filmed, "1 2 3", "-o", "page.html")
    predictor = Predictor(filmed)
    expected = predictor.inspect(predictor.form.read("1 2 3"))
    shown = data("page.html")
    assert [layer["path"] for layer in shown["layers"]] == [x.path for x in expected.layers]
    for name in ("a.png", "a.svg"):
        assert succeeds("attention", filmed, "1 2 3", "-o", name) == f"{name}\n"
        assert Path(name).stat().st_size > 1000


def test_a_page_can_hold_the_model_which_then_answers_its_own(filmed: Path) -> None:
    assert "live.html  (" in succeeds("attention", filmed, "1 2 3", "--live", "-o", "live.html")
    assert data("live.html")["source"] == Predictor(filmed).form.read("1 2 3")
    for more in (["-o", "a.png"], ["-o", "a.html", "--target", "1"]):
        said = fails("attention", filmed, "1 2 3", "--live", *more)
        assert "--live makes a page (.html) in which the model's own answer changes" in said


def test_the_loss_of_another_target_is_asked_for(filmed: Path) -> None:
    succeeds("attention", filmed, "1 2 3", "--target", "2 2", "-o", "page.html")
    predictor = Predictor(filmed)
    batch = predictor.form.batch(
        [(predictor.form.read("1 2 3"), predictor.form.read_answer("2 2"))]
    )
    expected = cross_entropy(predictor.model.eval()(*batch.inputs), batch.labels)
    assert np.isclose(float(data("page.html")["normal"]["loss"]), expected.item())
    assert "unknown token '9'" in fails("attention", filmed, "1", "--target", "9", "-o", "x.html")
    said = fails("attention", filmed, "1", "-o", "x.gif")
    assert "write a page (.html) or a picture (.png, .svg, .pdf)" in said


def test_a_film_is_shown_where_there_is_one(filmed: Path, tmp_path: Path) -> None:
    succeeds("film", filmed, "-o", "film.html")
    steps = [frame["step"] for frame in data("film.html")["frames"]]
    assert steps[0] == 0 and steps[-1] == 40
    assert "a page is written as .html" in fails("film", filmed, "-o", "film.gif")
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.toml").write_bytes((filmed / "config.toml").read_bytes())
    assert "has no film; train with --film" in fails("film", tmp_path / "bare", "-o", "f.html")


def test_a_gradient_is_explained() -> None:
    said = succeeds("why", "sum(relu(x))", "x=[-1.0, -2.0]", "x")
    assert said.startswith("x (2,): the gradient is zero.\nrelu lets nothing through")
    table = succeeds("why", "sum(relu(x) * w)", "x=[-1.0, -2.0]", "w=2")
    assert re.search(r"x +│ 2 +│ 0\.00e\+00 │ 100%", table)
    assert "\ndead-relu: relu lets nothing through where its input is 0 or less\n" in table
    assert "there are x\n" in fails("why", "sum(relu(x))", "x=[-1.0]", "nothing")


def test_the_gradients_of_a_model_are_surveyed(filmed: Path) -> None:
    table = succeeds("why", filmed, "--all")
    assert "projection.bias" in table and "│ fine" in table
    said = succeeds("why", filmed, "projection.bias")
    assert said.startswith("projection.bias (")


def test_of_many_tensors_the_remarkable_ones_are_listed_and_the_others_counted(
    filmed: Path,
) -> None:
    everything, said = succeeds("why", filmed, "--all"), succeeds("why", filmed)
    fine = len(re.findall(r"│ fine", everything))
    assert "│ fine" not in said
    (found,) = re.findall(r"(\d+) more of (\d+) are fine, of norms .* \(--all lists them\)", said)
    shown = len(re.findall(r"│ (?:partly zero|zero|tiny) ", said))
    assert (int(found[0]), int(found[1])) == (fine, fine + shown)
    for cause in set(re.findall(r"│ ([a-z-]+) +│$", said, re.M)) - {"fine", "cause"}:
        assert f"\n{cause}: {CAUSES[cause]}\n" in said
    assert "--all is for the table" in fails("why", filmed, "projection.bias", "--all")


def test_a_tensor_may_be_named_by_the_end_of_its_name(filmed: Path) -> None:
    said = succeeds("why", filmed, "cross_attention.query.weight")
    assert said.startswith("decoder.layers.0.cross_attention.query.weight (8, 8): ")
    assert said == succeeds("why", filmed, "layers.0.cross_attention.query.weight")
    assert (
        "3 tensors are called 'query.weight': encoder.layers.0.self_attention.query.weight, "
        "decoder.layers.0.self_attention.query.weight, "
        "decoder.layers.0.cross_attention.query.weight"
    ) in fails("why", filmed, "query.weight")
    assert "no tensor is called 'ery.weight'" in fails("why", filmed, "ery.weight")


@pytest.mark.parametrize("columns", [1, 20, 40, 60, 80, 200])
def test_tables_lose_nothing_at_any_width(
    columns: int, filmed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def words(text: str) -> str:
        return re.sub(r"[^\w.×+%-]", "", text)

    monkeypatch.setenv("COLUMNS", "500")
    commands = (["why", filmed, "--all"], ["check", "softmax"])
    wide = [succeeds(*command) for command in commands]
    monkeypatch.setenv("COLUMNS", str(columns))
    for command, whole in zip(commands, wide, strict=True):
        text = succeeds(*command)
        assert "…" not in text
        if columns >= 20:
            table = re.split(r"\n(?=[a-z-]+: |\d+ of)", text)[0]
            assert max(map(len, table.splitlines())) <= columns
        flowing = words(text)
        for line in whole.splitlines():
            if line.startswith("│"):
                name, *cells = line.strip("│ ").split("│")
                at = 0
                for cell in cells:
                    assert words(cell) in flowing
                if columns < 60:  # one paragraph for each row, its cells in their order
                    at = flowing.index(words(name))
                    for cell in filter(str.strip, cells):
                        at = flowing.index(words(cell), at)


def test_a_length_that_may_have_been_meant_as_a_number_is_told() -> None:
    result = run("graph", "x*y", "x=2", "y=2", "-o", "g.dot")
    assert result.stderr == (
        "note: x=2 and y=2 are shapes, with random numbers; the numbers are x=2. and y=2.\n"
    )
    for command in (["why", "sum(x)", "x=2"], ["check", "x", "x=2"]):
        assert (
            notes(run(*command))
            == "note: x=2 is a shape, with random numbers; the number is x=2.\n"
        )
    said = run("explain", "sum(x*y)", "x=2.", "y=[1.0, 2.0]", "-o", "p.html")
    assert (said.exit_code, said.stderr) == (0, "")
    assert run("graph", "sum(x)", "x=2x2", "-o", "g.dot").stderr == ""


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["graph", "softmax", "--seed", "3"], "--seed draws inputs given by a shape"),
        (["graph", "x*2", "x=1.5", "--seed", "3"], "--seed draws inputs given by a shape"),
        (["explain", "mine.py:loss", "--seed", "3"], "--seed draws inputs given by a shape"),
        (["why", "softmax", "--seed", "3"], "--seed draws inputs given by a shape"),
        (["check", "mine.py:right", "x=1.5", "--seed", "0"], "--seed draws inputs given"),
        (["graph", "softmax", "--seed", "-1"], "--seed"),
        (["graph", "softmax", "--depth", "-1"], "--depth"),
        (["graph", "softmax", "--element", "0"], 'zoom="scalar" only'),
        (["graph", "transformer", "--zoom", "model", "--depth", "1"], "leave one out"),
        (["graph", "softmax", "--zoom", "scalar", "--depth", "0"], "scalars are never folded"),
        (["graph", "encoder-layer", "--parameters"], "choose zoom module or model"),
        (["graph", "softmax", "--parameters"], "choose zoom module or model"),
        (["graph", "mine.py:number", "--parameters"], "not for Values"),
        (["graph", "mine.py:number", "--depth", "0"], "not for Values"),
        (["graph", "mine.py:number", "--costs"], "not for Values"),
        (["graph", "x*2", "x=3", "--zoom", "scalar", "--element", "0,,1"], "whole numbers"),
    ],
)
def test_an_option_that_does_not_apply_is_refused_and_never_ignored(
    args: list[str], told: str
) -> None:
    out = {"graph": ["-o", "x.dot"], "explain": ["-o", "x.html"]}
    assert told in fails(*args, *out.get(args[0], []))
    assert list(Path().iterdir()) == [Path("mine.py")]


def test_a_depth_of_zero_folds_every_module() -> None:
    succeeds("graph", "encoder-layer", "--depth", "0", "-o", "none.dot")
    succeeds("graph", "encoder-layer", "--depth", "1", "-o", "one.dot")
    none, one = (Path(name).read_text() for name in ("none.dot", "one.dot"))
    assert "self_attention" not in none and "EncoderLayer" in none
    assert "self_attention" in one


BROKEN = """import numpy as np

def divided(x):
    y = x * 2
    return y / 0 * (1 / 0)

def nothing(x):
    x * 2

def leaving(x):
    raise SystemExit(3)

def endless(x):
    return endless(x)

def listed(x):
    return [x, x]
"""


@pytest.mark.parametrize(
    ("text", "function", "told"),
    [
        (BROKEN, "divided", "broken.py:5: ZeroDivisionError: division by zero"),
        (BROKEN, "leaving", "broken.py:11: SystemExit: 3"),
        (BROKEN, "endless", "broken.py:14: RecursionError: maximum recursion depth exceeded"),
        (BROKEN, "missing", "broken.py has no function 'missing'"),
        ("x = 1\ndef f(x:\n", "f", "broken.py:2: SyntaxError: '(' was never closed"),
        ("\nimport no_such_module\n", "f", "broken.py:2: ModuleNotFoundError: No module named"),
        ("import sys\nsys.exit('no')\n", "f", "broken.py:2: SystemExit: no"),
        ("def f(x):\n    raise ValueError\n", "f", "broken.py:2: ValueError\n"),
        ("x = '\0'\n", "f", "broken.py: SyntaxError: source code string cannot contain null"),
        ("def f(x):\n    1 / 0\n\ndef g(x):\n    f(x)\n", "g", "broken.py:2: ZeroDivisionError"),
    ],
)
def test_a_fault_in_a_users_file_is_told_with_its_line(text: str, function: str, told: str) -> None:
    Path("broken.py").write_text(text, encoding="utf-8")
    out = {"graph": ["-o", "x.svg"], "explain": ["-o", "x.html"]}
    for command in ("graph", "explain", "why", "check"):
        assert told in fails(command, f"broken.py:{function}", "x=2x3", *out.get(command, []))


def test_a_function_that_gives_no_tensor_is_told_with_the_line_where_it_begins() -> None:
    Path("broken.py").write_text(BROKEN, encoding="utf-8")
    said = fails("graph", "broken.py:nothing", "x=2x3", "-o", "x.svg")
    assert "broken.py:7: nothing() gives None (does it lack a return?), not a Tensor" in said
    said = fails("why", "broken.py:listed", "x=2x3")
    assert "broken.py:16: listed() gives list, not a Tensor" in said
    assert "broken.py:divided takes x, not y" in fails("why", "broken.py:divided", "y=2x3")


def test_what_is_wrong_with_the_loss_stands_below_the_table() -> None:
    said = succeeds("why", "sum(log(x))", "x=[1.0, -1.0]")
    assert "The loss itself is nan. log made nan at element (1,) of its result (2,)" in said
    assert "The loss itself" not in succeeds("why", "sum(log(x))", "x=[1.0, 2.0]")


def test_derivative_rules_are_checked() -> None:
    said = succeeds("check", "exp", "stack")
    assert "[(2, 3), (2, 3)]" in said  # not taken for markup
    assert re.search(r"(\d+) of \1 checks pass in \d+\.\d s\n$", said)
    assert "no op is called 'nope'" in fails("check", "nope")


def test_functions_of_users_are_checked_and_diagnosed() -> None:
    right = succeeds("check", "mine.py:right", "x=2x3", "w=3x2").splitlines()
    assert [" passes: " in right[0], " at x[" in right[1] or " at w[" in right[1]] == [True, True]
    assert len(right) == 2
    wrong = run("check", "mine.py:wrong", "x=3")
    assert wrong.exit_code == 1
    assert "4 times what it should be" in wrong.stdout
    assert len(succeeds("check", "sum(tanh(x))", "x=3").splitlines()) == 2
    assert "give the inputs" in fails("check", "mine.py:right")


def test_the_inputs_of_a_function_are_passed_by_their_names() -> None:
    assert " passes: " in succeeds("check", "mine.py:right", "w=3x1", "x=2x3")
    assert " passes: " in succeeds("check", "mine.py:scaled", "factor=3", "x=3")
    assert " passes: " in succeeds("check", "mine.py:scaled", "factor=3", "x=3", "mean=1.5")
    assert " passes: " in succeeds("check", "mine.py:summed", "a=2", "b=3")  # those have no names
    assert " passes: " in succeeds("check", "mine.py:doubled", "x=2")
    assert "mine.py:right takes x, w, not x: missing a required argument: 'w'" in fails(
        "check", "mine.py:right", "x=2"
    )
    assert "mine.py:right takes x, w, not x, w, y: got an unexpected keyword argument 'y'" in fails(
        "check", "mine.py:right", "x=2", "w=2", "y=2"
    )
    assert "4 times what it should be" in run("check", "mine.py:halved", "x=3").stdout
    assert "halved takes x; missing: x" in fails("check", "mine.py:halved", "y=3")


def test_right_gradients_are_not_called_wrong_where_numbers_happen_to_be_round() -> None:
    for seed in range(10):
        succeeds("check", "relu(x)", "x=4x3", "--seed", seed)
        succeeds("check", "1/x", "x=4x3", "--seed", seed)


def test_what_cannot_be_measured_is_told_from_what_is_wrong() -> None:
    for expression, numbers in (("relu(x)", "x=[0.0, 1.0]"), ("1/x", "x=[1.0, 0.0]")):
        said = run("check", expression, numbers)
        assert said.exit_code == 3
        assert "cannot be measured here" in said.stdout


def test_the_evidence_is_shown_where_asked() -> None:
    said = succeeds("check", "tanh", "--diagnose")
    assert said.startswith("tanh  (2, 3)\n")
    assert "Taylor remainder: falls like h^2" in said
    said = succeeds("check", "sum(tanh(x))", "x=3", "--diagnose")
    assert "no suspicion" in said
    assert "Taylor remainder: falls like h^2" in said
    assert "central differences by x[" in said


def test_random_programs_are_checked_and_the_first_wrong_one_is_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = succeeds("check", "--random", "6", "--seed", "3")
    assert re.fullmatch(r"6 of 6 random programs are right \(\d+\.\d s\)\n", said)
    assert "no op is called 'nope'" in fails("check", "nope", "--random", "2")
    assert "leave out --diagnose" in fails("check", "--random", "2", "--diagnose")
    assert "leave it out beside --diagnose" in fails("check", "Value", "--diagnose")
    monkeypatch.setattr(TABLE["tanh"], "rules", (lambda g, y, x: g * (1 - y),))
    found = run("check", "tanh", "add", "--random", "50")
    assert found.exit_code == 1
    assert re.match(r"random program \d+ is wrong: the derivative of order 1", found.stderr)
    assert found.stdout.count('mg.TABLE["tanh"]') == 1
    exec(found.stdout, {})


@pytest.mark.parametrize("expression", ["sum(abs(x))", "sum(maximum(x, 0.))", "norm(x)"])
def test_what_passes_at_a_kink_by_chance_ends_with_exit_code_3(expression: str) -> None:
    found = run("check", expression, "x=0.")
    assert found.exit_code == 3
    assert "x has a kink here: slope " in found.stdout
    assert succeeds("check", expression, "x=0.5")


def test_random_programs_that_cannot_be_measured_end_with_exit_code_3(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("minigrad.check.programs.TOLERANCE", {"float32": 0.0, "float64": 0.0})
    found = run("check", "--random", "2")
    assert found.exit_code == 3
    assert found.stdout.startswith("0 of 2 random programs are right; 2 cannot be measured")
