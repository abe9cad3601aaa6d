"""The `minigrad` command: parse, call, print. What it does lives in the packages."""

from __future__ import annotations

import os
import signal
from threading import current_thread, main_thread

# What follows takes 0.2 s to load, in which Ctrl-C would end in a traceback.
INTERRUPT = signal.getsignal(signal.SIGINT)
LOADING = INTERRUPT is signal.default_int_handler and current_thread() is main_thread()
if LOADING:
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

import difflib
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, cached_property, partial
from importlib import import_module
from io import BufferedIOBase, BytesIO, TextIOWrapper
from pathlib import Path
from shlex import quote
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from minigrad.tensor import Tensor
from minitransformer.settings import SettingError, option
from minitransformer.tokens.text import TextError, decode, lines_at_hand, split_lines

if TYPE_CHECKING:
    from minigrad.check import Report
    from minitransformer.answering import Predictor
    from minitransformer.recipe import Setting
    from minitransformer.runs import Run
    from minitransformer.settings import Training
    from minitransformer.training import Trainer
    from viz.graphs.look import TooManyScalarsError
    from viz.pages.page import Page

if LOADING:
    signal.signal(signal.SIGINT, INTERRUPT)

WRONG_SHOWN = 3
"""How many wrong answers the end of a run shows; errors.tsv has them all."""


class Commands(click.Group):
    """Commands, and one for each study. Foreseeable errors are one line and exit code 2; Ctrl-C
    ends with 130."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from minitransformer.studies import STUDIES

        return sorted([*super().list_commands(ctx), *STUDIES])

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return super().get_command(ctx, name) or study_command(name)

    def main(self, *args: Any, **extra: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                encoding = stream.encoding if stream.isatty() else "utf-8"
                # "→" is no reason to fail where it cannot be shown
                stream.reconfigure(encoding=encoding, errors="backslashreplace")
        return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            # Training itself refuses NaN, and what looks inside shows it.
            calm = np.errstate(over="ignore", invalid="ignore", divide="ignore")
            with calm, warnings.catch_warnings():
                warnings.showwarning = show_note
                return super().invoke(ctx)
        except (BrokenPipeError, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            click.echo(err=True)
            sys.exit(130)
        except click.UsageError as error:
            command = (error.ctx or ctx).command_path
            message = shorten(error.format_message().rstrip("."), 240)
            text = f"{message}{'' if message.endswith('?') else '.'} See `{command} --help`."
            raise ForeseeableError(text) from error
        except (ValueError, OSError, MemoryError, RuntimeError) as error:
            raise one_line(error) from error


def show_note(message: Warning | str, *_: Any, **__: Any) -> None:
    """Show a warning as one line."""
    click.echo(f"note: {message}", err=True)


class ForeseeableError(click.ClickException):
    """An error that the user can mend."""

    exit_code = 2


def one_line(error: Exception) -> click.ClickException:
    """An error as the user sees it."""
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    elif isinstance(error, SettingError):
        text = error.naming(option)
    elif isinstance(error, MemoryError):
        text = "not enough memory; choose smaller sizes"
    else:
        text = str(error)
    return ForeseeableError(shorten(" ".join(text.split()), 600))


def shorten(text: str, length: int = 40) -> str:
    """A text of at most that length, the middle left out where it is longer."""
    half = length // 2 - 1
    return text if len(text) <= length else f"{text[:half]} … {text[-half:]}"


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="minigrad-transformer", prog_name="minigrad")
def main() -> None:
    """An autograd engine and transformers, small enough to read: train, look inside, check."""


class ChoiceOf(click.Choice):  # type: ignore[type-arg]  # it takes none before click 8.4
    """A choice of the names that a module lists; it is loaded once they are asked for."""

    def __init__(self, module: str, names: str) -> None:
        self.module, self.names, self.case_sensitive = module, names, True

    @cached_property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]  # click only reads it
        """The names."""
        return tuple(getattr(import_module(self.module), self.names))


class NamedPath(click.Path):
    """A path as a Path, but not the empty one, which would mean the folder that one is in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the path is empty", param, ctx)
        return Path(os.fsdecode(super().convert(value, param, ctx)))


Options = list[tuple[str, list[click.Parameter]]]
"""(heading, options) of groups of settings."""


class TrainCommand(click.Command):
    """A command with an option for each setting of every task, every model and the training.

    They are read off the tables, when somebody asks: other commands need not load any model.
    """

    def settings(self) -> Options:
        """The options, by headings for those of tasks, of models and of the training."""
        return setting_options()

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        given = super().get_params(ctx)
        return [*given[:-1], *(x for group in self.settings() for x in group[1]), given[-1]]

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What the command does, with the names of the tasks."""
        from minitransformer.tasks import TASKS

        self.help = (self.help or "").replace("{tasks}", ", ".join(TASKS))
        super().format_help_text(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, with headings."""
        groups: list[tuple[str, Sequence[click.Parameter]]] = [*self.settings()]
        for heading, options in [("Options", super().get_params(ctx)), *groups]:
            rows = [
                row
                for x in options
                if isinstance(x, click.Option) and (row := x.get_help_record(ctx))
            ]
            with formatter.section(heading):
                formatter.write_dl(rows)


class FinetuneCommand(TrainCommand):
    """A command with an option for each setting that is left to somebody who fine-tunes."""

    def settings(self) -> Options:
        return finetuning_options()


@cache
def setting_options() -> Options:
    """Those of all tasks, all models and the training."""
    from minitransformer.models import MODELS
    from minitransformer.recipe import settings_of
    from minitransformer.settings import Training
    from minitransformer.tasks import TASKS

    tables = (("Task", TASKS.values()), ("Model", MODELS.values()), ("Training", [Training]))
    return [(name, list(map(as_option, settings_of(groups)))) for name, groups in tables]


@cache
def finetuning_options() -> Options:
    """Those of labels and of the training, with their defaults for fine-tuning; the sizes of the
    model and its tokens are decided."""
    from minitransformer.finetuning import USUAL, WAYS
    from minitransformer.models.model import NetworkSettings
    from minitransformer.recipe import settings_of
    from minitransformer.settings import Training
    from minitransformer.tasks.pairs import Labelled

    usual = USUAL | WAYS["fine-tuned"]
    groups = (("Data", Labelled), ("Training", Training), ("Training", NetworkSettings))
    found: dict[str, list[click.Parameter]] = {}
    for heading, group in groups:
        for each in settings_of([group]):
            default = usual.get(each.name, each.default)
            if each.name not in ("tokens", "subwords", "from_run", "d_model", "layers"):
                each = replace(each, default=default, exceptions={})
                found.setdefault(heading, []).append(as_option(each))
    return [*found.items()]


def as_option(setting: Setting) -> click.Parameter:
    """The option for a setting; one that is not given stays None."""
    whose = f"{', '.join(setting.owners)}: " if setting.owners else ""
    others = [f"; {', '.join(x)}: {value}" for value, x in setting.exceptions.items()]
    default = f"  [default: {setting.default}{''.join(others)}]" if setting.default != "" else ""
    return click.Option(
        [option(setting.name), setting.name],
        type=click.Choice(setting.choices) if setting.choices else setting.kind,
        help=f"{whose}{setting.help}{default}",
    )


@cache
def study_command(name: str) -> click.Command | None:
    """The command for a study, its settings as options; None where no study is called so."""
    from minitransformer.recipe import settings_of
    from minitransformer.studies import STUDIES

    if name not in STUDIES:
        return None
    entry = STUDIES[name]
    options: list[click.Parameter] = []
    for each in settings_of([entry]):
        if each.name == entry.argument:
            several = each.kind is not str
            argument = click.Argument(
                [each.name],
                nargs=-1 if several else 1,
                required=each.default is None,
                metavar=each.help,
            )
            options.insert(0, argument)
        else:
            options.append(as_option(replace(each, exceptions={})))
    folder = f"folder for what is found  [default: in runs/, called {name}]"
    options.append(click.Option(["--out"], type=NamedPath(), help=folder))
    about = (entry.__doc__ or "").replace("``", "")
    return click.Command(name, callback=partial(conduct, entry), params=options, help=about)


def conduct(entry: type[Any], out: Path | None, **given: Any) -> None:
    """Find out what a study asks; print it, write it down, and draw it."""
    from minitransformer.studies.results import results_folder, write_summary
    from viz.console import preparation, print_finding
    from viz.figure.findings import draw_finding

    chosen = {name: x for name, x in given.items() if x is not None}
    study = entry(**chosen)
    started = time.perf_counter()
    with results_folder(out, entry.name) as folder:
        with preparation():
            finding = study.find()
        print_finding(finding)
        summary = write_summary(folder, finding, study, time.perf_counter() - started)
        pictures = draw_finding(finding, folder)
    for path in (*pictures, summary):
        click.echo(f"  {path}")


@main.command(cls=TrainCommand)
@click.argument("task", required=False)
@click.option("--model", help="the model that learns it; see `minigrad models`")
@click.option("--config", type=NamedPath(), help="TOML file of settings")
@click.option("--out", type=NamedPath(),
              help="run folder  [default: in runs/, called after TASK or data]")  # fmt: skip
@click.option("--resume", is_flag=True, help="go on with the run in --out, longer with --steps")
@click.option("--film", is_flag=True, help="keep what every head looks at, for `minigrad film`")
def train(
    task: str | None,
    config: Path | None,
    out: Path | None,
    resume: bool,
    film: bool,
    **given: Any,
) -> None:
    """Train a model on a task.

    TASK is one of {tasks}: `minigrad tasks` says what each of them is. With --data alone it is
    pairs: to answer as the lines of your own file do. An option belongs to the tasks or models that
    are named before it, or to all.

    Training stops after --steps, or once every held-out example has been answered right in
    --patience evaluations running; the run folder then holds the model, its metrics and its
    pictures.
    """
    from minitransformer import workflow
    from minitransformer.recipe import merge
    from minitransformer.runs import RunError, read_toml
    from viz.console import preparation

    given = {name: value for name, value in {"task": task, **given}.items() if value is not None}
    for name in ("data", "test", "from_run"):
        if given.get(name) == "":
            raise ValueError(f"{option(name)}: the path is empty")
    chosen = merge(read_toml(config) if config else {}, given)
    try:
        if resume:
            if out is None:
                raise RunError("--resume needs --out, the folder of the run to go on with")
            go_on(out, chosen, film)
            return
        with preparation():
            trainer, run = workflow.start(chosen, out)
        with run.locked():
            follow(trainer, run, film)
    except SettingError as error:
        if not config or given.keys() & set(error.settings):
            raise
        raise ValueError(f"{config}: {error}") from error  # by the names that the file has


@main.command(cls=FinetuneCommand)
@click.argument("run", type=NamedPath(), metavar="RUN --data FILE")
@click.option("--freeze", is_flag=True,
              help="train the head alone; --learning-rate is then 0.01 by default")  # fmt: skip
@click.option("--compare", type=click.IntRange(1, 100), metavar="SEEDS",
              help="then compare by so many seeds: fine-tuned, frozen, from scratch")  # fmt: skip
@click.option("--out", type=NamedPath(), help="run folder  [default: in runs/, called after data]")
@click.option("--film", is_flag=True, help="keep what every head looks at, for `minigrad film`")
def finetune(
    run: Path, freeze: bool, compare: int | None, out: Path | None, film: bool, **given: Any
) -> None:
    """Teach a trained encoder to label texts, by few examples.

    RUN is one of `minigrad train masked`, one that labels already, or a published BERT: minilm, or
    a folder as of Hugging Face. The new run has its sizes, its tokens and its weights, and a new
    head; it needs RUN no more.
    """
    from minitransformer import workflow
    from minitransformer.finetuning import settings_of_way
    from minitransformer.recipe import merge
    from viz.console import preparation

    given = {name: value for name, value in given.items() if value is not None}
    for name in ("data", "test"):
        if given.get(name) == "":
            raise ValueError(f"{option(name)}: the path is empty")
    if freeze and given.setdefault("layer_decay", 0.0):
        raise ValueError("--freeze is --layer-decay 0; leave one of them out")
    given = merge(given, {"from_run": str(run), "task": "labels"})
    note_unfinished(run)
    way = "fine-tuned" if given.get("layer_decay", 1.0) else "frozen"
    with preparation():
        trainer, made = workflow.start(settings_of_way(way, given), out)
    with made.locked():
        follow(trainer, made, film)
    if compare:
        show_comparison(trainer, given, compare)


def show_comparison(trainer: Trainer, given: dict[str, Any], seeds: int) -> None:
    """Print how often each way of training is right, and who does not even read the texts."""
    from minitransformer.finetuning import compare, without_reading

    first = trainer.settings.seed
    numbers = "".join(f"{f'seed {seed}':>9}" for seed in range(first, first + seeds))
    click.echo(f"\n{'right':12}{numbers}{'mean':>9}")
    for found in compare(given, seeds):
        shares = "".join(f"{100 * x:7.1f} %" for x in (*found.accuracies, found.mean))
        click.echo(f"{found.way:12}{shares}")
    click.echo("; ".join(f"{x}: {100 * p:.1f} %" for x, p in without_reading(trainer).items()))


def go_on(out: Path, chosen: dict[str, Any], filmed: bool) -> None:
    """Go on with the run in a folder, saying from where; or say that it is finished."""
    from minitransformer import workflow
    from minitransformer.runs import Run
    from viz.console import preparation

    run = Run.open(out)
    with run.locked():
        with preparation():
            trainer = workflow.resume(run, chosen)
        if trainer.finished and run.is_finished():
            click.echo(
                f"{out} is finished, at step {trainer.step:,}: nothing is left to do; "
                "to train it longer, add --steps"
            )
            return
        if trainer.step and not trainer.finished:
            rate, last = trainer.schedule(trainer.step + 1), trainer.settings.steps
            click.echo(
                f"goes on from step {trainer.step:,} to {last:,}; the learning rate goes on "
                f"from {rate:.2g} to {trainer.schedule(last):.2g}"
            )
        follow(trainer, run, filmed or (run.path / "film").exists())


def follow(trainer: Trainer, run: Run, filmed: bool) -> None:
    """Train, showing progress; Ctrl-C stops after the step in hand."""
    from minigrad.nn import count_parameters
    from minitransformer.training import DivergenceError
    from minitransformer.workflow import follow as followed
    from minitransformer.workflow import warnings
    from viz.console import plain_console, progress

    console = plain_console()
    data, folder = trainer.data, quote(str(run.path))
    console.print(
        f"{data.name} ({trainer.recipe.model.name}): {count_parameters(trainer.model):,} "
        f"parameters, {len(data.test):,} held-out examples, "
        f"up to {trainer.settings.steps:,} steps → {run.path}"
    )
    for line in (trainer.borrowed, *warnings(trainer)):
        if line:
            console.print(f"note: {line}")
    with stopped_by_ctrl_c(trainer):
        with progress(console, trainer) as (show, tick):
            try:
                for record in followed(trainer, run, filmed, tick):
                    show(record)
            except DivergenceError as error:
                raise ValueError(
                    f"{error}: minigrad train --resume --out {folder} {remedy(trainer.settings)} "
                    f"goes on from step {run.load()[2]['step']:,}"
                ) from error
        if not trainer.stopped:
            finish(trainer, run, console)
            if filmed:
                console.print(f"see it learn: minigrad film {folder} -o film.html")
            return
    console.print(
        f"stopped at step {trainer.step:,}; go on with: minigrad train --resume --out {folder}"
    )
    sys.exit(130)


def remedy(settings: Training) -> str:
    """The options that a run which has lost its numbers should go on with."""
    usual = type(settings)()
    rate = min(settings.learning_rate / 10, usual.learning_rate)
    if settings.weight_decay * rate < 0.1:
        return f"--learning-rate {rate:.2g}"
    # A decay of 1 in a step would make each weight 0, and a larger one change its sign.
    return f"--learning-rate {rate:.2g} --weight-decay {usual.weight_decay}"


@contextmanager
def stopped_by_ctrl_c(trainer: Trainer) -> Iterator[None]:
    """A block in which Ctrl-C lets the trainer finish its step; a second one ends at once."""

    def handle(number: int, frame: Any) -> None:
        if trainer.stopped:
            raise KeyboardInterrupt
        trainer.stop()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def finish(trainer: Trainer, run: Run, console: Any) -> None:
    """The pictures of a finished run, and the summary that says it is finished."""
    from minigrad.files import trying_to
    from minitransformer import workflow
    from viz.figure.plots import amount, draw_curve
    from viz.subject.runs import draw_maps

    curve = run.path / "curve.png"
    with trying_to("write", curve):
        draw_curve(run.metrics(), curve, title=f"Learning: {trainer.data.name}")
    source, text = workflow.example(trainer)
    pictures = [curve, *draw_maps(trainer, source, text, run.path / "attention.png")]
    summary, wrong = workflow.finish(trainer, run)
    metric = trainer.form.metric
    console.print(
        f"{metric.replace('_', ' ')} {amount(metric, summary[metric])} on {summary['held_out']:,} "
        f"examples never seen in training, after {summary['steps']:,} "
        f"step{'s' * (summary['steps'] > 1)} "
        f"in {summary['seconds']:.1f} s",
        style="bold",
    )
    if "always_the_most_frequent" in summary:
        share = amount(metric, summary["always_the_most_frequent"])
        console.print(f"always the most frequent token would fill {share}")
    if "bleu" in summary:
        console.print(f"BLEU {summary['bleu']:.1f}")
    console.print(f"  {text}  →  {trainer.form.show(trainer.model, source)}")
    for asked, expected, answered in wrong[:WRONG_SHOWN]:
        console.print(f"  {asked}  →  {answered}   wrong: {expected} is right")
    errors = [run.path / "errors.tsv"] if wrong else []
    for path in (*pictures, run.path / "summary.json", *errors):
        console.print(f"  {path}")
    command = trainer.form.command
    console.print(f"ask it: minigrad {command} {quote(str(run.path))} {quote(text)}")


class AnyModel(click.Command):
    """A command about a model and a text: of a run, or of what others have published."""

    least = 2
    """How many of the two must be given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        words, published = ctx.params.pop("words"), ctx.params.pop("pretrained")
        given = [published, *words] if published is not None else [*words]
        if not self.least <= len(given) <= 2:
            raise click.UsageError(
                f"give a run and a text, or --pretrained and a text, not {len(given)} of them", ctx
            )
        if not given[0]:
            raise click.UsageError("the path is empty", ctx)
        if published:
            from minitransformer.interop.published import find

            find(published)  # what is no such model is said before anything else
        ctx.params["what"] = given[0]
        ctx.params["text"] = decode_argument(given[1]) if given[1:] else None
        return rest


class AnyModelAndLines(AnyModel):
    """One that takes its text from standard input where none is given."""

    least = 1


def any_model(text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The parameters by which a command names a model and a text."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        metavar = f"RUN {text} | --pretrained MODEL {text}"
        command = click.option("--pretrained", help="a published model: a name, file or folder")(
            command
        )
        return click.argument("words", nargs=-1, metavar=metavar)(command)

    return decorate


@main.command(cls=AnyModelAndLines)
@any_model("[TEXT]")
@click.option(
    "--beam", type=click.IntRange(1, 1000), default=1, help="answers pursued at once  [default: 1]"
)
@click.option("--attention", type=NamedPath(), help="draw the attention maps here")
def predict(what: str, text: str | None, beam: int, attention: Path | None) -> None:
    """Answer TEXT, or lines of standard input, by the model in RUN.

    Or by a published one (--pretrained): g2p, which says how an English word is spoken.

    Lines are answered as they come, each in its place: one that cannot be answered gives an empty
    line, is named on standard error, and makes the exit code 2. At a terminal Ctrl-D ends.
    """
    from minitransformer.answering import Predictor
    from viz.figure.style import PICTURES
    from viz.subject.runs import draw_maps

    if attention is not None and attention.suffix.lower() not in PICTURES:
        raise ValueError(f"{attention}: --attention draws a picture ({', '.join(PICTURES)})")
    predictor = Predictor(what)
    predictor.require("predict")
    note_unfinished(Path(what))
    if text is None and attention is None:
        if not answer_lines(predictor, beam):
            sys.exit(2)
        return
    if text is None:
        lines = decode(standard_input().read()).rstrip("\n").split("\n")
        if len(lines) > 1:
            raise ValueError("--attention draws one text, not several lines")
        text = lines[0]
    source = predictor.form.read(text)
    note_unknown(predictor, text)
    answer = predictor.answer([source], beam)[0]
    if attention is not None and not draw_maps(predictor, source, text, attention):
        raise ValueError(f"{what}: this model has no attention to draw; leave out --attention")
    click.echo(answer)


def note_unfinished(run: Path) -> None:
    """Say so where a run has not come to its end."""
    if (run / "config.toml").exists() and not (run / "summary.json").exists():
        click.echo("note: this run is not finished", err=True)


def answer_lines(predictor: Predictor, beam: int) -> bool:
    """Answer each line of standard input in its place as soon as it is there; whether all could be.

    ValueError where there are none.
    """
    number, right = 0, True
    known: set[str] = set()  # to be noted once
    for lines in asked_lines():
        sources: list[list[int]] = []
        places: list[int | None] = []  # of each line's source, if it has one
        for line in lines:
            number += 1
            place = None
            try:
                text = decode(line)
                source = predictor.form.read(text)
                note_unknown(predictor, text, known)
                place = len(sources)
                sources.append(source)
            except ValueError as error:
                right = False
                fault = error.fault if isinstance(error, TextError) else error
                click.echo(f"Error: line {number}: {shorten(str(fault), 240)}", err=True)
            places.append(place)
        answers = predictor.answer(sources, beam)
        click.echo("\n".join("" if place is None else answers[place] for place in places))
    if not number and not at_terminal():
        raise ValueError("give a text, or lines on standard input")
    return right


def asked_lines() -> Iterator[list[bytes]]:
    """The lines of standard input, as many as are there already; at a terminal, one at a time."""
    if not at_terminal():
        yield from lines_at_hand(standard_input())
        return
    click.echo("Type a text and Return; Ctrl-D ends.", err=True)
    while True:
        click.echo("> ", nl=False, err=True)
        line = standard_input().readline()
        if not line:
            click.echo(err=True)
            return
        if line.strip():
            yield split_lines(line)


def at_terminal() -> bool:
    """Whether somebody types standard input; it may also have been closed."""
    return sys.stdin is not None and sys.stdin.isatty()


def standard_input() -> BufferedIOBase:
    """The bytes of standard input: what they spell is decoded as a file is, whatever the locale."""
    if sys.stdin is None:
        return BytesIO()
    buffer = getattr(sys.stdin, "buffer", None)
    return buffer if buffer is not None else BytesIO(sys.stdin.read().encode())


def decode_argument(text: str) -> str:
    """A text of the command line as UTF-8, whatever the locale that Python has read it by.

    ValueError for one that is not UTF-8.
    """
    try:
        return decode(os.fsencode(text))
    except UnicodeEncodeError:  # not of this locale, so it does not come from the command line
        return text
    except TextError as error:
        raise ValueError(f"the text is {error.fault.partition(';')[0]}") from error


def note_unknown(predictor: Predictor, text: str, known: set[str] | None = None) -> None:
    """Say which tokens of a text the run has never seen, but not those that are `known`."""
    tokeniser = predictor.form.tokenisers["source"]
    unk = tokeniser.special.unk
    fate = "left out" if unk is None else f"read as {tokeniser.tokens[unk]}"
    for token in predictor.form.unknown(text):
        if known is None or token not in known:
            click.echo(f"note: {shorten(token)!r} is not in the vocabulary; it is {fate}", err=True)
        if known is not None:
            known.add(token)


SEED = click.option("--seed", type=click.IntRange(0), help="seed of random inputs  [default: 0]")


def of_computation(metavar: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The arguments that name a computation: WHAT, words such as an expression's inputs, a seed."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for decorate in (
            SEED,
            click.argument(
                "words",
                nargs=-1,
                metavar=metavar,
                callback=lambda _, __, words: tuple(map(decode_argument, words)),
            ),
            click.argument("what"),
        ):
            command = decorate(command)
        return command

    return add


WHAT = (
    "WHAT is an example ({examples}), a run folder or a published model, such as smollm (with a "
    "TEXT for the model, in graph and explain), FILE.py:FUNCTION with the inputs "
    'that it takes, or an expression with its inputs: "mean((tanh(x @ w + b) - y)**2)" x=4x3 w=3x2 '
    "b=2 y=4x2. An input is a shape, a number with a point or a list: x=[0.5, -1]"
)


class OfComputation(click.Command):
    """A command whose help ends with what WHAT can be."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write it, with the examples that there are."""
        from viz.subject.examples import EXAMPLES

        self.epilog = WHAT.format(examples=", ".join(EXAMPLES))
        super().format_epilog(ctx, formatter)


def seeded(words: Sequence[str], seed: int | None) -> int:
    """The seed for these inputs; a note of what may have been meant as a number goes before."""
    from viz.subject.expressions import SHAPE, mistakable

    if seed is not None and not any(map(SHAPE.fullmatch, words)):
        raise ValueError("--seed draws inputs given by a shape, as in x=4x3, and here are none")
    if text := mistakable(words):
        click.echo(f"note: {text}", err=True)
    return seed or 0


@main.command(cls=AnyModel)
@any_model("PROMPT")
@click.option("--length", type=click.IntRange(1, 100_000), default=100,
              help="tokens to write at most  [default: 100]")  # fmt: skip
@click.option("--temperature", type=float, default=0.8,
              help="below 1 sharper, above 1 wilder, 0 the likeliest  [default: 0.8]")  # fmt: skip
@click.option("--top-k", type=int, help="draw among so many of the likeliest  [default: all]")
@click.option("--top-p", type=float, help="draw among the likeliest, of this probability in all")
@click.option("--seed", type=click.IntRange(0), help="seed of what is drawn  [default: 0]")
@click.option("--chat", is_flag=True, help="PROMPT is a message, to be answered (smollm)")
@click.option("--stream", is_flag=True, help="show the text as it is written")
def generate(
    what: str,
    text: str,
    length: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    seed: int | None,
    chat: bool,
    stream: bool,
) -> None:
    """Go on with PROMPT, as a language model does.

    The model is one of `minigrad train text`, or a published one (--pretrained): smollm, a .gguf
    file, or a folder as of Hugging Face.
    """
    from minitransformer.answering import Predictor
    from minitransformer.decoding import drawing, likeliest

    if temperature == 0 and (top_k, top_p, seed) != (None, None, None):
        raise ValueError("at --temperature 0 nothing is drawn; leave out --top-k, --top-p, --seed")
    choose = drawing(temperature, top_k, top_p, seed or 0) if temperature else likeliest
    predictor = Predictor(what)
    note_unfinished(Path(what))
    found = predictor.go_on(text, length, choose, chat)
    note_unknown(predictor, text)
    started, count = time.perf_counter(), 0
    pieces = [] if chat else [text]
    if stream:
        click.echo("".join(pieces), nl=False)
    for piece in found:
        count += 1
        pieces.append(piece)
        if stream:
            click.echo(piece, nl=False)
    click.echo("" if stream else "".join(pieces))
    each = 1e3 * (time.perf_counter() - started) / max(count, 1)
    click.echo(f"({count} tokens, {each:.1f} ms each)", err=True)


@main.command(cls=AnyModel)
@any_model("TEXT")
@click.option("--top", type=click.IntRange(1, 100), default=5,
              help="candidates to show for each gap  [default: 5]")  # fmt: skip
def fill(what: str, text: str, top: int) -> None:
    """Fill each [MASK] in TEXT.

    The model is one of `minigrad train masked`, or a published BERT (--pretrained).
    """
    from minitransformer.answering import Predictor
    from viz.console import print_table

    predictor = Predictor(what)
    predictor.require("fill")
    filled, candidates = predictor.fill(text, top)
    note_unfinished(Path(what))
    note_unknown(predictor, text)
    click.echo(filled)
    rows = [
        (f"{place}", token, f"{100 * p:.1f} %")
        for place, tokens in enumerate(candidates, 1)
        for token, p in tokens
    ]
    print_table(("gap", "token", "probability"), rows)


@main.command(cls=OfComputation)
@of_computation("[NAME=SHAPE]... | [TEXT]")
@click.option("-o", "--out", type=NamedPath(), required=True,
              help="picture: .svg, .png, .pdf or .dot")  # fmt: skip
@click.option("--zoom", type=ChoiceOf("viz.graphs.look", "ZOOMS"), help="detail  [default: WHAT's]")
@click.option("--open", "opened", multiple=True, metavar="NAME",
              help="a module or an op to open further; may be given again")  # fmt: skip
@click.option("--element", metavar="I,J", help="of the result: the one number to zoom to")
@click.option("--depth", type=click.IntRange(0), help="open modules down to this depth")
@click.option("--values", is_flag=True, help="show the numbers")
@click.option("--grads", is_flag=True, help="run backward and show the gradients")
@click.option("--parameters", is_flag=True, help="list the parameters of folded modules")
@click.option("--costs", is_flag=True, help="show operations and bytes, and colour by them")
@click.option("--against", metavar="WHAT", help="draw this beside it, and mark what differs")
def graph(
    what: str,
    words: tuple[str, ...],
    seed: int | None,
    out: Path,
    opened: tuple[str, ...],
    element: str | None,
    against: str | None,
    **options: Any,
) -> None:
    """Draw a computation graph, down to single numbers."""
    from viz.graphs.comparison import compare
    from viz.graphs.dot import graph as drawn
    from viz.graphs.look import TooManyScalarsError
    from viz.graphs.render import render
    from viz.subject.what import computation

    number = seeded(words, seed)
    result, usual, _ = computation(what, words, number)
    given = {name: x for name, x in options.items() if x is not None and x is not False}
    if opened:
        given["open"] = opened
    if element is not None:
        given["element"] = index(element)
    other = None if against is None else computation(against, words, number).result
    chosen = given if {"zoom", "depth"} & given.keys() else {**usual, **given}
    try:
        if other is None:
            picture = drawn(result, **chosen)
        else:
            titles = what, f"{against}, again" if against == what else f"{against}"
            picture = compare(result, other, titles, **chosen)
    except TooManyScalarsError as error:
        raise error if error.way_out is None else ValueError(in_options(error)) from error
    render(picture, out)
    click.echo(f"{out}{f'  ({picture.note})' if picture.note else ''}")


def in_options(error: TooManyScalarsError) -> str:
    """What is wrong, and the options with which fewer scalars are drawn."""
    assert error.way_out is not None
    name, element = error.way_out
    opened = f"--open {name} " if name else ""
    chosen = f"--element {','.join(map(str, element))}" if element else ""
    return f"{error.said}; a part that is small enough: --zoom scalar {opened}{chosen}"


def index(text: str) -> tuple[int, ...]:
    """The element that "0,2" names."""
    try:
        return tuple(map(int, text.split(","))) if text.strip() else ()
    except ValueError:
        raise ValueError(f"--element takes whole numbers, as in 0,2, not {text!r}") from None


@main.command(cls=OfComputation)
@of_computation("[NAME=SHAPE]... | [TEXT]")
@click.option("-o", "--out", type=NamedPath(), required=True, help="page: .html")
@click.option("--target", help="what the loss of a run asks for  [default: the model's own answer]")
def explain(
    what: str, words: tuple[str, ...], seed: int | None, out: Path, target: str | None
) -> None:
    """Make a page that steps through a computation, number by number.

    Forward and backward, with the rule of each step.
    """
    from viz.pages.explain import explain as explained
    from viz.subject.what import computation

    result, _, about = computation(what, words, seeded(words, seed), target)
    title = f"{what}: {' '.join(words)}" if "model" in about and words else what
    save(explained(result, title=title, about=about), out)


def save(page: Page, out: Path) -> None:
    """Write a page."""
    page.save(out)
    click.echo(f"{out}  ({len(page.html.encode()) / 1e3:,.0f} kB, for any browser, offline too)")


@main.command(cls=AnyModel)
@any_model("TEXT")
@click.option("-o", "--out", type=NamedPath(), required=True,
              help="page: .html; picture: .png, .svg or .pdf")  # fmt: skip
@click.option("--target", help="what the loss asks for  [default: the model's own answer]")
@click.option("--live", is_flag=True, help="put the model into the page, which then answers anew")
def attention(what: str, text: str, out: Path, target: str | None, live: bool) -> None:
    """Show what every head does with TEXT.

    Its weights, their gradients, and the answer without it.

    Of a model that only makes vectors, such as minilm, weights alone.

    With --live a page computes weights and answer anew when a token is changed, a head switched off
    or a weight set by hand; it holds a model of attention with up to a million weights.
    """
    from minitransformer.answering import Predictor
    from viz.figure.style import PICTURES
    from viz.pages.attention import attention as explored
    from viz.pages.page import SUFFIXES
    from viz.subject.runs import draw_heads, weights_alone

    is_page = out.suffix.lower() in SUFFIXES
    if not is_page and out.suffix.lower() not in PICTURES:
        raise ValueError(f"{out}: write a page (.html) or a picture ({', '.join(PICTURES)})")
    if live and (not is_page or target is not None):
        raise ValueError("--live makes a page (.html) in which the model's own answer changes")
    predictor = Predictor(what)
    source = predictor.form.read(text)
    note_unknown(predictor, text)
    title = f"Attention: {text}"
    if live:
        from viz.pages.live import live as alive

        predictor.require_head()
        save(alive(predictor.model, predictor.form, source, f"Live: {text}"), out)
    elif not is_page:
        draw_heads(predictor, source, target, title, out)
        click.echo(out)
    elif predictor.answers or target is not None:
        save(explored(predictor.inspect(source, target), title=title), out)
    else:
        maps, tokens = weights_alone(predictor, source)
        save(explored(maps, tokens, tokens, title), out)


@main.command()
@click.argument("texts", nargs=-1, required=True, metavar="TEXT...")
@click.option("-o", "--out", type=NamedPath(), help="a page to step through: .html")
@click.option("--qkv", "learned", is_flag=True, help="go on with queries, keys and values")
@click.option("--heads", type=click.IntRange(1), help="how many heads they have  [default: 1]")
@click.option("--head", type=click.IntRange(1), multiple=True,
              help="show only this one; may be given again  [default: the first four]")  # fmt: skip
@click.option("--causal", is_flag=True, help="let no word look at later ones")
@click.option("--weights", multiple=True, metavar='"W W; W W"',
              help="take these, a row for each word; once for each TEXT  "
                   "[default: from dot products]")  # fmt: skip
@click.option("--from", "origin", type=NamedPath(), metavar="RUN|MODEL",
              help="take vectors and the first layer of a run or published model")  # fmt: skip
@click.option("--width", type=click.IntRange(1, 1024), help="numbers of a vector  [default: 4]")
@click.option("--seed", type=click.IntRange(0), help="seed of vectors and matrices  [default: 0]")
def attend(texts: tuple[str, ...], out: Path | None, origin: Path | None, **options: Any) -> None:
    """Show self-attention on sentences, every number on the way.

    First without parameters, by dot products of the words' vectors; then, with --qkv, --heads or
    --from, with queries, keys and values. Where several TEXTs share a word, the end shows how its
    vectors differ.
    """
    from minitransformer.answering import Predictor
    from viz.subject.sentences import steps_of
    from viz.walkthrough import print_steps

    texts = tuple(map(decode_argument, texts))
    predictor = None if origin is None else Predictor(origin)
    steps = steps_of(texts, predictor, **options)
    if predictor is not None:
        note_unfinished(predictor.path)
        note_unknown(predictor, " ".join(texts))
    if out is None:
        print_steps(steps)
        return
    from viz.pages.attend import attend as stepped

    save(stepped(steps, title=f"Self-attention: {' / '.join(texts)}"), out)


@main.command()
@click.argument("run", type=NamedPath())
@click.option("-o", "--out", type=NamedPath(), required=True, help="page: .html")
def film(run: Path, out: Path) -> None:
    """Make a page that shows a run of `train --film`, frame by frame."""
    from viz.pages.film import film as filmed

    save(filmed(run), out)


@main.command()
@click.option("-o", "--out", type=NamedPath(), required=True, help="folder, new or empty")
@click.option("--quick", is_flag=True, help="in less time: shorter trainings, fewer seeds")
def gallery(out: Path, quick: bool) -> None:
    """Make a page of all there is to see, with what is measured.

    Its commands run in the folder, and leave there what they make; index.html shows it in order.
    """
    from viz.console import preparation
    from viz.gallery.make import make_gallery

    with preparation():
        failed = make_gallery(out, quick)
    click.echo(out / "index.html")
    for ran in failed:
        last = ran.output.strip().rpartition("\n")[2]
        click.echo(f"failed: {ran.command}: {shorten(last, 240)}", err=True)
    sys.exit(1 if failed else 0)


@main.command(cls=OfComputation)
@of_computation("[NAME=SHAPE]... [TENSOR]...")
@click.option("--all", "everything", is_flag=True, help="a line also for what is fine")
def why(what: str, words: tuple[str, ...], seed: int | None, everything: bool) -> None:
    """Say why a gradient is none, zero, huge or no number.

    Of each TENSOR, or in a table, of all.

    A TENSOR is a parameter, such as encoder.layers.0.feed_forward.inner.weight, or the end of such
    a name, or a named input.
    """
    from minigrad.why import explain_grad, leaves, survey
    from minigrad.why.blame import trouble
    from viz.console import print_gradients
    from viz.subject.what import computation

    inputs = [word for word in words if "=" in word]
    loss = computation(what, inputs, seeded(inputs, seed)).result
    names = [word for word in words if "=" not in word]
    if names and everything:
        raise ValueError(f"--all is for the table of all tensors; leave out {' '.join(names)}")
    if not isinstance(loss, Tensor):
        raise ValueError(f"{what} is a Value, not a Tensor; see it with minigrad explain")
    if loss.size != 1:
        raise ValueError(f"a loss is one number, and {what} has shape {loss.shape}; sum it, say")
    rows, known = survey(loss), leaves(loss)
    if not names:
        print_gradients(rows, everything)
        if text := trouble(loss):
            click.echo(text)
    for name in [full_name(name, known) for name in names]:
        click.echo(explain_grad(known[name], loss))


def full_name(name: str, known: Collection[str]) -> str:
    """The one of these names that is meant: it may be given by its end, as in query.weight."""
    from viz.console import listed

    alike = [name] if name in known else [full for full in known if full.endswith(f".{name}")]
    if len(alike) == 1:
        return alike[0]
    if alike:
        raise ValueError(f"{len(alike)} tensors are called {name!r}: {listed(alike, 8)}")
    close = difflib.get_close_matches(name, known, 4, 0.3)
    close = close or [full for full in known if name in full][:4] or list(known)[:4]
    more = ", …" if len(close) < len(known) else ""
    raise ValueError(f"no tensor is called {name!r}; there are {', '.join(close)}{more}")


@main.command()
@click.argument("what", nargs=-1, metavar="[OP]... | FILE.py:FUNCTION|EXPRESSION NAME=SHAPE...")
@SEED
@click.option("--diagnose", is_flag=True, help="show the evidence also for what passes")
@click.option("--random", type=click.IntRange(min=1), help="check so many random programs instead")
def check(what: tuple[str, ...], seed: int | None, diagnose: bool, random: int | None) -> None:
    """Compare derivative rules with finite differences.

    First and second order: of all ops, of those named, or of your own function: minigrad check
    mine.py:f x=4x3. Value names the operations on single numbers. With --random, of programs of
    5 to 40 ops, drawn from all or from those named; the first that is wrong is made small and
    printed as Python.

    Ends with exit code 1 when something is wrong, and with 3 when it cannot be told: where the
    function has a kink or a pole, or is too rough for the differences.
    """
    if "Value" in what and (diagnose or random is not None):
        raise click.UsageError("Value is no op: leave it out beside --diagnose and --random.")
    if random is not None:
        if diagnose:
            raise click.UsageError("--random prints its own evidence; leave out --diagnose.")
        check_programs(random, what, seed or 0)
    elif not all(word.isidentifier() for word in what):
        from minigrad.check import diagnose as diagnosed
        from viz.subject.what import function

        number = seeded(what[1:], seed)
        f, inputs = function(what[0], what[1:], number)
        show_diagnoses([diagnosed(f, inputs, seed=number)], evidence=diagnose)
    elif diagnose:
        show_diagnoses(of_ops(what, seed or 0), evidence=True)
    else:
        show_checks(what, seed or 0)


def check_programs(count: int, names: Sequence[str], seed: int) -> None:
    """Check random programs, from this seed on, up to the first that is wrong.

    Exit code 1 if there is one, 3 if none could be measured.
    """
    from minigrad.check.drafts import draw
    from minigrad.check.programs import is_wrong, script, shrink, trial
    from minigrad.table import rows

    chosen = [row.name for row in rows(names)] if names else None
    started = time.perf_counter()
    right = 0
    at_terminal = sys.stderr.isatty()
    for number in range(seed, seed + count):
        if at_terminal and number % 20 == 0:
            click.echo(f"\r{number - seed:,} of {count:,}", nl=False, err=True)
        program = draw(number, chosen)
        finding = trial(program)
        if finding.verdict == "wrong":
            click.echo(f"random program {number} is wrong: {finding}", err=True)
            click.echo(script(shrink(program, partial(is_wrong, order=finding.order))))
            sys.exit(1)
        right += finding.verdict == "right"
    click.echo("\r" * at_terminal, nl=False, err=True)
    rest = f"; {count - right:,} cannot be measured" if right < count else ""
    seconds = time.perf_counter() - started
    click.echo(f"{right:,} of {count:,} random programs are right{rest} ({seconds:.1f} s)")
    sys.exit(0 if right else 3)


def show_diagnoses(reports: Iterable[Report], evidence: bool) -> None:
    """Print what was found, also for what passes if the `evidence` is asked for."""
    codes = set()
    for report in reports:
        is_right = report.ok and not report.suspicions
        click.echo(report.measurement if is_right and not evidence else report)
        codes.add(0 if is_right else 3 if report.excused else 1)
    sys.exit(1 if 1 in codes else max(codes, default=0))


def of_ops(names: Sequence[str], seed: int) -> Iterator[Report]:
    """The diagnosis of each example of these ops, or of all."""
    from minigrad.check import diagnose
    from minigrad.check.rows import as_function, describe_call
    from minigrad.table import rows

    for op in rows(names or None):
        for example in op.examples:
            click.secho(f"{op.name}  {describe_call(example)}", bold=True)
            yield diagnose(*as_function(op, example, np.random.default_rng(seed)))


def show_checks(names: Sequence[str], seed: int) -> None:
    """Print the table of checks, and what failed; exit code 1 if something did."""
    from minigrad.check import check_table, check_values
    from viz.console import print_table

    started = time.perf_counter()
    ops = [name for name in names if name != "Value"]
    rows = check_values() if "Value" in names else []
    if ops or not names:
        rows += check_table(ops or None, seed=seed)
    told = [
        (f"{row.op} {row.shapes}", f"{row.order}", f"{row.error:.1e}", "pass" if row.ok else "FAIL")
        for row in rows
    ]
    print_table(("op and inputs", "order", "worst error", "verdict"), told)
    failed = [row for row in rows if not row.ok]
    for row in failed:
        click.echo(f"{row.op}: {row.report}")
    click.echo(
        f"{len(rows) - len(failed)} of {len(rows)} checks pass "
        f"in {time.perf_counter() - started:.1f} s"
    )
    if failed:
        sys.exit(1)


@main.command()
@click.argument("ops", nargs=-1, metavar="[OP]...")
def ops(ops: tuple[str, ...]) -> None:
    """Print the derivative rules, as the rules compute them.

    An op that is defined by smaller ones has its definition above its derivative.
    """
    from minigrad.rules import table

    width = shutil.get_terminal_size((120, 24)).columns
    for row in table(ops or None):
        click.echo(click.style(row.name, bold=True) + f"  {row.symbol}   {row.place}")
        for heading, lines in [("definition", row.definition), ("derivative", row.derivative)]:
            if row.definition and lines:
                click.secho(f"  {heading}", dim=True)
            for line in lines:
                for part in wrap(f"    {line}", width, subsequent_indent=" " * 8,
                                 break_long_words=False, break_on_hyphens=False):  # fmt: skip
                    click.echo(part)


@main.command()
@click.option("--size", default="tiny,small,base", help="sizes to compare  [default: all three]")
@click.option("--threads", type=int, default=2, help="threads of each  [default: 2]")
@click.option("--rounds", type=int, default=7, help="turns that each takes  [default: 7]")
@click.option("--coretype", default="", help="OpenBLAS kernels to use, such as Haswell")
@click.option("--json", "file", type=NamedPath(), help="append the results here")
def bench(size: str, threads: int, rounds: int, coretype: str, file: Path | None) -> None:
    """Time the whole training step beside PyTorch's.

    And beside its bare matrix products. Sizes are tiny, small and base. Ends with exit code 1 when
    the losses are not PyTorch's.
    """
    from minitransformer.bench.compare import main as compare

    sys.exit(compare(size.split(","), threads, rounds, coretype, file))


@main.command()
@click.argument("text")
@click.option("--run", type=NamedPath(), help="show the tokenisers of this run or published model")
@click.option("--train", "data", type=NamedPath(),
              help="train them on this text file  [default: on the bundled novel]")  # fmt: skip
def tokens(text: str, run: Path | None, data: Path | None) -> None:
    """Show how TEXT is split into tokens.

    By a tokeniser of each kind, or by those of a run or of a published model, such as smollm: each
    token with its number, space as ␣; in a terminal also by colours.
    """
    from minitransformer.answering import tokenisers_of_run
    from minitransformer.tasks.text import tokenisers_of_text
    from viz.console import print_tokens

    text = decode_argument(text)
    if run is not None and data is not None:
        raise click.UsageError("--run has its own tokenisers; leave out --train.")
    if not text.strip():
        raise ValueError("nothing to split: the text is empty")
    if run is not None:
        found = tokenisers_of_run(run)
    else:
        found = tokenisers_of_text(data)
        click.echo(f"trained on {data or 'Pride and Prejudice'}")
    print_tokens(found, text)


@main.command()
def models() -> None:
    """List the models that can be trained, and what they answer."""
    from minitransformer.models import MODELS
    from viz.console import print_table

    rows = [(name, " ".join(x.answers), summary_of(x)) for name, x in MODELS.items()]
    print_table(("model", "answers", "what it is"), rows)


@main.command()
def tasks() -> None:
    """List the tasks to train a model on, and what they ask."""
    from minitransformer.tasks import TASKS
    from viz.console import print_table

    rows = [(name, x.form, x.default, summary_of(x)) for name, x in TASKS.items()]
    print_table(("task", "asks", "model", "what is learned"), rows)


def summary_of(entry: type) -> str:
    """What an entry of a table says of itself: the first line of its docstring."""
    return (entry.__doc__ or "").partition("\n")[0].removesuffix(".")


@main.command()
@click.argument("what", type=NamedPath(), metavar="base|big|gpt2|gpt3|bert|llama|RUN")
def model(what: Path) -> None:
    """Print a model as a tree, with shapes and parameter counts.

    Models of papers are counted, not built: the base and the big transformer of "Attention Is All
    You Need", GPT-2's smallest, GPT-3 (175 billion parameters), BERT's base, and SmolLM2.
    """
    from minigrad.nn import ShapesOnly
    from minitransformer.answering import Predictor
    from minitransformer.models.presets import PRESETS

    if str(what) in PRESETS:
        click.echo(repr(PRESETS[str(what)](ShapesOnly())))
        click.echo("counted: all weights and biases, the tied embedding matrix once")
    else:
        click.echo(repr(Predictor(what).model))


if __name__ == "__main__":
    main()
