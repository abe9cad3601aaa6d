"""The `minigrad` command: parse, call, print. What it does lives in the packages."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import click

from minitransformer.config import TrainingConfig

if TYPE_CHECKING:
    from minitransformer.runs import Run
    from minitransformer.training import Record, Trainer

GRAPHS = ("expression", "softmax", "layernorm", "attention", "encoder-layer", "decoder-layer",
          "transformer")  # fmt: skip


class Commands(click.Group):
    """Commands whose foreseeable errors are one line and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ValueError, OSError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            raise one_line(error) from error


def one_line(error: Exception) -> click.ClickException:
    """An error as the user sees it."""
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    else:
        text = " ".join(str(error).split())
    failure = click.ClickException(text)
    failure.exit_code = 2
    return failure


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="minigrad-transformer", prog_name="minigrad")
def main() -> None:
    """An autograd engine and a transformer, small enough to read: train, look inside, check."""


def settings(*, but: tuple[str, ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option for each setting of TrainingConfig; what is not given stays None."""
    kinds = get_type_hints(TrainingConfig)

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for field in reversed(fields(TrainingConfig)):
            if field.name in but:
                continue
            choices = get_args(kinds[field.name])
            default = f"  [default: {field.default}]" if field.default != "" else ""
            command = click.option(
                f"--{field.name.replace('_', '-')}",
                field.name,
                type=click.Choice(choices) if choices else kinds[field.name],
                help=field.metadata["help"] + default,
            )(command)
        return command

    return add


@main.command()
@click.argument("task", required=False)
@settings(but=("task",))
@click.option("--config", type=click.Path(path_type=Path), help="TOML file of settings")
@click.option("--out", type=click.Path(path_type=Path), help="run folder  [default: runs/TASK]")
@click.option("--resume", is_flag=True, help="go on with the run in --out")
def train(task: str | None, config: Path | None, out: Path | None, resume: bool, **given: Any) -> None:
    """Train a transformer to copy, reverse or sort sequences, or on your own pairs (--data).

    TASK is copy, reverse or sort. Training stops once every held-out sequence has been answered
    right twice running; the run folder then holds the model, its metrics and its pictures.
    """
    from minitransformer.runs import Run, RunError, differences, read_toml
    from minitransformer.training import Trainer

    chosen = {name: value for name, value in given.items() if value is not None}
    if task is not None:
        chosen["task"] = task
    if "data" in chosen:
        chosen = {"task": "pairs", **chosen, "data": str(Path(chosen["data"]).resolve())}
    if config is not None:
        chosen = {**read_toml(config), **chosen}

    if resume:
        if out is None:
            raise RunError("--resume needs --out, the folder of the run to go on with")
        run = Run.open(out)
        settings = TrainingConfig.read(run.config, str(out / "config.toml"))
        asked = asdict(TrainingConfig.read({**run.config, **chosen}, "command line"))
        changed = differences(asdict(settings), asked)
        if changed:
            raise RunError(f"{out} was made with other settings: {'; '.join(changed)}")
        trainer = Trainer(settings)
        trainer.restore(*run.load())
        run.truncate_metrics(trainer.step)
    else:
        if not chosen.get("task"):
            raise click.UsageError("name a task (copy, reverse or sort), or give --data FILE")
        settings = TrainingConfig.read(chosen, str(config or "command line"))
        trainer = Trainer(settings)
        run = Run.create(out or unused(Path("runs") / settings.task), asdict(settings))
        run.save(*trainer.state())  # so that a run killed at any moment can be resumed
    follow(trainer, run)


def unused(path: Path) -> Path:
    """The path, or the first of path-2, path-3, … that does not exist."""
    candidate, number = path, 2
    while candidate.exists():
        candidate, number = path.with_name(f"{path.name}-{number}"), number + 1
    return candidate


def follow(trainer: Trainer, run: Run) -> None:
    """Train, showing progress and writing everything down; Ctrl-C stops after the step in hand."""
    from rich.console import Console

    from minigrad.nn import count_parameters

    console = Console(highlight=False, soft_wrap=True)
    task = trainer.task
    console.print(
        f"[bold]{task.name}[/]: {count_parameters(trainer.model):,} parameters, "
        f"{len(task.test):,} held-out sequences, up to {trainer.config.steps:,} steps → {run.path}"
    )
    with stopped_by_ctrl_c(trainer), progress(console, trainer) as show:
        for record in trainer.run():
            run.append_metrics(record)
            show(record)
            if "exact_match" in record:
                run.save(*trainer.state())
    if trainer.stopped:
        run.save(*trainer.state())
        console.print(
            f"stopped at step {trainer.step:,}; go on with: "
            f"minigrad train --resume --out {run.path}"
        )
        sys.exit(130)
    finish(trainer, run, console)


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


@contextmanager
def progress(console: Any, trainer: Trainer) -> Iterator[Callable[[Record], None]]:
    """A live bar in a terminal, and in any case a line for each evaluation."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("step"), MofNCompleteColumn(), BarColumn(bar_width=30),
        TextColumn("{task.description}"),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        bar_task = bar.add_task("", total=trainer.config.steps, completed=trainer.step)
        exact = ""

        def show(record: Record) -> None:
            nonlocal exact
            left = record["seconds"] / record["step"] * (trainer.config.steps - record["step"])
            if "exact_match" in record:
                exact = f"exact match {percent(record['exact_match'])}"
            state = f"loss {record['loss']:.4f}   {exact}   {record['tokens_per_second']:,} tokens/s"
            bar.update(
                bar_task, completed=record["step"], description=f"{state}   {left:.0f} s left at most"
            )
            if "exact_match" in record:
                console.print(f"step {record['step']:>6,}   {state}   {record['seconds']:.1f} s")

        yield show


def percent(share: float) -> str:
    """A share in percent, where only 1 is "100 %"."""
    return "100 %" if share == 1 else f"{min(share * 100, 99.9):.1f} %"


def finish(trainer: Trainer, run: Run, console: Any) -> None:
    """The summary and the pictures of a finished run."""
    from minitransformer.prediction import Predictor
    from viz.attention import draw_attention
    from viz.plots import draw_curve

    evaluations = [record for record in run.metrics() if "exact_match" in record]
    last = evaluations[-1]
    summary = trainer.summary(last)
    run.write_summary(summary)
    predictor = Predictor(run.path)
    example = max(trainer.task.test[:20], key=lambda pair: len(pair[0]))[0]
    text = predictor.text(example)
    draw_curve(run.metrics(), run.path / "curve.png", title=f"Learning: {trainer.task.name}")
    draw_attention(*predictor.attention(text), run.path / "attention.png", title=f"Attention: {text}")
    console.print(
        f"[bold]exact match {percent(summary['exact_match'])}[/] on {summary['held_out']:,} sequences "
        f"never seen in training, after {summary['steps']:,} steps in {summary['seconds']:.1f} s"
    )
    console.print(f"  {text}  →  {predictor.answer([text])[0]}", markup=False)
    for name in ("curve.png", "attention.png", "summary.json"):
        console.print(f"  {run.path / name}", markup=False)
    console.print(f"ask it: minigrad predict {run.path} \"{text}\"", markup=False)


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("text", required=False)
@click.option("--beam", type=click.IntRange(1), default=1, help="beams to search with  [default: 1]")
@click.option("--attention", type=click.Path(path_type=Path), help="draw the attention maps here")
def predict(run: Path, text: str | None, beam: int, attention: Path | None) -> None:
    """Answer TEXT, or each line of standard input, with the model in the folder RUN."""
    from minitransformer.prediction import Predictor

    predictor = Predictor(run)
    texts = [text] if text is not None else [line.rstrip("\r\n") for line in sys.stdin]
    if not texts:
        raise click.UsageError("give a text, or lines on standard input")
    for line in texts:
        for token in dict.fromkeys(predictor.unknown(line)):
            click.echo(f"note: {token!r} is not in the vocabulary; it is read as <unk>", err=True)
    for answer in predictor.answer(texts, beam):
        click.echo(answer)
    if attention is not None:
        from viz.attention import draw_attention

        if len(texts) > 1:
            raise click.UsageError("--attention draws one text, not several lines")
        draw_attention(*predictor.attention(texts[0]), attention, title=f"Attention: {texts[0]}")


@main.command()
@click.argument("what", metavar="|".join((*GRAPHS, "RUN")))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True,
              help="picture: .svg, .png, .pdf or .dot")  # fmt: skip
@click.option("--values", is_flag=True, help="show the numbers")
@click.option("--grads", is_flag=True, help="run backward and show the gradients")
@click.option("--depth", type=click.IntRange(0), help="open modules down to this depth")
def graph(what: str, out: Path, values: bool, grads: bool, depth: int | None) -> None:
    """Draw a computation graph: one of the examples, or the model of a training run."""
    from viz.dot import draw, render
    from viz.examples import example
    from viz.graph import retain_grads

    root, expand = example(what)
    if grads:
        retain_grads(root)
        root.backward(retain_graph=True)
    picture = draw(root, depth=depth, values=values, grads=grads, expand=expand)
    render(picture, out)
    click.echo(f"{out}{f'  ({picture.note})' if picture.note else ''}")


@main.command()
@click.argument("ops", nargs=-1, metavar="[OP]...")
@click.option("--seed", type=int, default=0, help="seed of the inputs  [default: 0]")
def check(ops: tuple[str, ...], seed: int) -> None:
    """Compare every derivative rule, first and second order, with finite differences."""
    from rich.console import Console
    from rich.table import Table

    from minigrad.check import check_table

    started = time.perf_counter()
    rows = check_table(list(ops) or None, seed=seed)
    table = Table("op", "inputs", "order", "worst error", "verdict", header_style="bold")
    for row in rows:
        verdict = "[green]pass[/]" if row.ok else "[bold red]FAIL[/]"
        table.add_row(row.op, row.shapes, str(row.order), f"{row.error:.1e}", verdict)
    console = Console(highlight=False)
    console.print(table)
    failed = [row for row in rows if not row.ok]
    for row in failed:
        console.print(f"{row.op}: {row.report}", markup=False)
    console.print(
        f"{len(rows) - len(failed)} of {len(rows)} checks pass "
        f"in {time.perf_counter() - started:.1f} s"
    )
    if failed:
        sys.exit(1)


@main.command()
@click.argument("name", required=False)
def ops(name: str | None) -> None:
    """Print the table of derivative rules, as the rules themselves compute them."""
    from minigrad.rules import table

    rows = table([name] if name else None)
    for row in rows:
        click.echo(click.style(row.name, bold=True) + f"  {row.symbol}   {row.place}")
        for line in row.lines:
            click.echo(f"    {line}")


@main.command()
@click.argument("what", metavar="base|big|RUN")
def model(what: str) -> None:
    """Print a model as a tree of modules with shapes and parameter counts."""
    from minigrad.nn import ShapesOnly
    from minitransformer.config import TransformerConfig
    from minitransformer.prediction import Predictor
    from minitransformer.transformer import Transformer

    presets = {"base": TransformerConfig.base, "big": TransformerConfig.big}
    if what in presets:
        click.echo(repr(Transformer(presets[what](), rng=ShapesOnly())))
        click.echo("counted: all weights and biases, the tied embedding matrix once")
    else:
        click.echo(repr(Predictor(what).model))


if __name__ == "__main__":
    main()
