"""A run as something to be looked at: the loss of its model on a text, and its attention maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minigrad import Tensor
from minigrad.files import trying_to
from minigrad.nn import count_parameters
from minitransformer.answering import Predictor
from minitransformer.forms import Form
from minitransformer.inside.maps import attention_maps
from minitransformer.training import Trainer, loss_of
from viz.figure import maps as figure


def loss_of_run(
    path: str, text: str | None = None, target: str | None = None
) -> tuple[Tensor, dict[str, Any], dict[str, str]]:
    """(loss, drawing options, what it is) of the model in a run folder on a text, or on all of its
    tokens, where the loss asks for the target, or for the model's own answer."""
    predictor = Predictor(path)
    form, model = predictor.form, predictor.model
    source = everything(form) if text is None else form.read(text)
    answer = form.answer(model, [source])[0] if target is None else form.read_answer(target)
    result = loss_of(model.eval(), form.batch([(source, answer)]))
    about = {
        "model": f"{path}: {count_parameters(model):,} parameters",
        "input": form.text(source) + ("" if text else " (tokens that it knows, in order)"),
        "target": form.write(answer) + ("" if target else " (the model's own answer)"),
        "loss": f"cross-entropy of the target, {result.item():.4g}",
    }
    return result, {"zoom": "module"}, about


MOST = 64
"""Tokens that are shown at most, where nobody gives a text."""


def everything(form: Form) -> list[int]:
    """The numbers of all tokens that stand for text, as many as fit into one source."""
    return list(form.tokenisers["source"].number_of.values())[: min(form.max_source, MOST)]


def draw_maps(of: Trainer | Predictor, source: list[int], text: str, path: Path) -> list[Path]:
    """Draw the attention maps of a model that answers a source; of one without attention, none."""
    example = (source, of.form.answer(of.model, [source])[0])
    maps = attention_maps(of.model, *of.form.batch([example]).inputs)
    if not maps:
        return []
    tokens = of.form.sides(example)
    target = tokens.get("target", [])
    with trying_to("write", path):
        figure.draw_attention(
            {name: x.weights[0] for name, x in maps.items()},
            next(iter(tokens.values())),
            target,
            path,
            title=f"Attention: {text}",
            written=of.form.asked(example) if target else None,
            sides={name: (x.queries, x.keys) for name, x in maps.items()},
            masks={name: x.mask for name, x in maps.items()},
        )
    return [path]
