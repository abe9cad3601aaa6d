"""A run as something to be looked at: the loss of its model on a text, and its attention maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from minigrad import Tensor
from minigrad.files import trying_to
from minigrad.nn import count_parameters
from minigrad.tensor import Array
from minitransformer.answering import Predictor
from minitransformer.forms import Form, Masked
from minitransformer.inside.maps import attention_maps
from minitransformer.training import Trainer, loss_of
from viz.figure import maps as figure
from viz.figure.characters import readable

SENTENCE = "The cat did not cross the street because it was too tired."
"""What a model is given to read where nobody says."""

MOST = 64
"""Tokens that it is given at most, if it does not know these words."""


def loss_of_run(
    path: str, text: str | None = None, target: str | None = None
) -> tuple[Tensor, dict[str, Any], dict[str, str]]:
    """(loss, drawing options, what it is) of the model in a run folder on a text, or on one that
    is chosen here, where the loss asks for the target, or for the model's own answer.

    Of a model that does not answer, the result is what it makes of each token.
    """
    predictor = Predictor(path)
    form, model = predictor.form, predictor.model
    source = example_for(form) if text is None else form.read(text)
    about = {
        "model": f"{path}: {count_parameters(model):,} parameters",
        "input": form.text(source) + ("" if text else " (chosen here: no text was given)"),
    }
    if not predictor.answers and target is None:
        about["result"] = "a vector for each token: the model has no head that answers"
        return model.eval()(np.array([source])), {"zoom": "module"}, about
    predictor.require_head()
    answer = form.answer(model, [source])[0] if target is None else form.read_answer(target)
    result = loss_of(model.eval(), form.batch([(source, answer)]))
    about |= {
        "target": asked_for(form, answer) if target is None else form.write(answer),
        "loss": f"cross-entropy of the target, {result.item():.4g}",
    }
    return result, {"zoom": "module"}, about


def asked_for(form: Form, answer: Any) -> str:
    """What a loss asks for where nobody has said it."""
    if form.name == "text":
        last = readable(form.spell(answer)[-1])
        return f"each next token of the text; after the last “{last}” (the model's own choice)"
    return form.write(answer) + " (the model's own answer)"


def example_for(form: Form) -> list[int]:
    """A source for a model: `SENTENCE`, with a gap where it fills gaps; or, for a model that lacks
    a word of it, tokens that it knows, in order. As much of it as fits."""
    tokeniser = form.tokenisers["source"]
    mask = tokeniser.special.mask
    text = SENTENCE
    if isinstance(form, Masked):
        text = text.replace("cross", tokeniser.tokens[form.gap])
    numbers = tokeniser.encode(text, special=True)
    if form.unknown(text):
        numbers = [*tokeniser.number_of.values()][:MOST]
    room = form.max_source - (0 if mask is None else 2)
    return tokeniser.frame(numbers[:room])


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


def draw_heads(
    of: Predictor, source: list[int], target: str | None, title: str, path: Path
) -> None:
    """Draw what every head does with a source (token numbers), where the target, or else the
    model's own answer, is written; of a model that does not answer, as it reads the source.

    ValueError as of `Predictor.inspect`.
    """
    if not of.answers and target is None:
        maps, tokens = weights_alone(of, source)
        with trying_to("write", path):
            figure.draw_attention(maps, tokens, [], path, title)
        return
    found = of.inspect(source, target)
    with trying_to("write", path):
        figure.draw_attention(
            {layer.path: layer.weights for layer in found.layers},
            found.source,
            found.read,
            path,
            title,
            written=found.target if found.read else None,
            sides={layer.path: layer.sides for layer in found.layers},
            masks={layer.path: layer.mask for layer in found.layers},
        )


def weights_alone(of: Predictor, source: list[int]) -> tuple[dict[str, Array], list[str]]:
    """A model's weights by the names of its layers, each (H, T, T), and the T tokens it reads."""
    maps = attention_maps(of.model, [source])
    tokens = of.form.sides((source, source))["source"]
    return {name: x.weights[0] for name, x in maps.items()}, tokens
