"""Answers from a finished run: text in, text out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict

from minigrad.tensor import Array
from minitransformer.data import (
    BOS,
    EOS,
    SPECIAL_TOKENS,
    TokenKind,
    Vocabulary,
    detokenize,
    make_batch,
    tokenize,
)
from minitransformer.decoding import beam_search, greedy
from minitransformer.inside.inspection import Inspection, inspect
from minitransformer.models.transformer import Transformer
from minitransformer.runs import Run
from minitransformer.training import require_same


class Predictor:
    """A trained model with its vocabularies, from a run folder: `read` a text, then `answer` it.

    RunError when the folder holds no complete run, or settings that its model was not made with.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        run = Run.open(path)
        self.config = run.settings()
        weights, _, state = run.load()
        require_same(
            state["config"], asdict(self.config), f"{path}/config.toml has changed: the model"
        )
        self.source_vocabulary = Vocabulary.from_list(state["source_vocabulary"])
        self.target_vocabulary = Vocabulary.from_list(state["target_vocabulary"])
        self.max_source, self.max_target = state["max_source"], state["max_target"]
        self.model = Transformer(
            self.config.model(
                len(self.source_vocabulary),
                len(self.target_vocabulary),
                max(self.max_source, self.max_target),
            ),
            rng=0,
        )
        self.model.load_state_dict(weights)
        self.tokens: TokenKind = self.config.tokens if self.config.task == "pairs" else "word"

    def read(self, text: str) -> list[int]:
        """The token numbers of a text. ValueError when it is empty or too long for the model.

        A token that the run has not seen is an error for the synthetic tasks; in text it becomes
        <unk>, see `unknown`.
        """
        tokens = tokenize(text, self.tokens)
        if not tokens:
            raise ValueError("nothing to answer: the text is empty")
        unknown = self.source_vocabulary.unknown(tokens)
        if unknown and self.config.task != "pairs":
            symbols = self.source_vocabulary.tokens[len(SPECIAL_TOKENS) :]
            raise ValueError(
                f"unknown token {unknown[0]!r}; "
                f"this run knows {symbols[0]} to {symbols[-1]}, separated by spaces"
            )
        if len(tokens) > self.max_source:
            raise ValueError(
                f"{len(tokens)} tokens are more than the {self.max_source} "
                "that this run's model holds"
            )
        return self.source_vocabulary.encode(tokens)

    def read_target(self, text: str) -> list[int]:
        """The token numbers of a text that is asked for as an answer.

        ValueError when it is too long for the model, or has a token that it cannot write.
        """
        tokens = tokenize(text, self.tokens)
        unknown = self.target_vocabulary.unknown(tokens)
        if unknown:
            raise ValueError(f"unknown token {unknown[0]!r} in the target")
        if len(tokens) >= self.max_target:
            raise ValueError(
                f"a target of {len(tokens)} tokens and its end are more than {self.max_target}"
            )
        return self.target_vocabulary.encode(tokens)

    def text(self, source: Sequence[int]) -> str:
        """The text that these source token numbers spell."""
        return detokenize(self.source_vocabulary.decode(source), self.tokens)

    def unknown(self, text: str) -> list[str]:
        """The tokens of a text that the run has never seen."""
        return self.source_vocabulary.unknown(tokenize(text, self.tokens))

    def answer(
        self,
        sources: str | Sequence[str | list[int]],
        beam: int = 1,
        batch_size: int | None = None,
    ) -> list[str]:
        """The text of the model's answer to each source; with `beam` above 1 by beam search.

        sources: texts, or token numbers as `read` gives them; one text alone is a list of one.
        batch_size: sequences that are decoded at once, beams too (default: as in training).
        """
        given = [sources] if isinstance(sources, str) else sources
        tokenized = [self.read(x) if isinstance(x, str) else x for x in given]
        rows = max(1, (batch_size or self.config.batch_size) // beam)
        texts = []
        for i in range(0, len(tokenized), rows):
            batch = make_batch([(source, []) for source in tokenized[i : i + rows]]).source
            if beam == 1:
                answers = greedy(self.model, batch, self.max_target)
            else:
                answers = beam_search(self.model, batch, self.max_target, beam_size=beam)
            tokens = map(self.target_vocabulary.decode, answers)
            texts += [detokenize(answer, self.tokens) for answer in tokens]
        return texts

    def attention(
        self, source: list[int]
    ) -> tuple[dict[str, Array], list[str], list[str], list[str]]:
        """(maps, source tokens, tokens read, tokens written) of the model answering a source.

        maps: {"encoder.layers.0.self_attention": (H, T, S), …}. The decoder reads <bos> and the
        answer, and writes after each token that it reads the next one of the answer, and its end.
        """
        whole = greedy(self.model, [source], self.max_target)[0]
        answer = whole[: self.max_target - 1]  # the last of an answer without EOS was not read
        batch = make_batch([(source, answer)])
        maps = self.model.attention_maps(batch.source, batch.target_in)
        spelled = self.target_vocabulary.tokens
        written = [spelled[i] for i in [*whole, EOS][: self.max_target]]
        return (
            {name: weights[0] for name, weights in maps.items()},
            [self.source_vocabulary.tokens[i] for i in source],
            [spelled[i] for i in [BOS, *answer]],
            written,
        )

    def inspect(self, source: list[int], target: str | None = None) -> Inspection:
        """Every attention layer while the model answers a source: see `inspection.inspect`.

        target: the text that the loss asks for, where it is not the model's own answer.
        ValueError when that is too long for the model, or has a token that it cannot write.
        """
        expected = None if target is None else self.read_target(target)
        vocabularies = self.source_vocabulary, self.target_vocabulary
        return inspect(self.model, source, vocabularies, expected, self.max_target)
