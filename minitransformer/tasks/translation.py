"""Translation: the sentences of a bundled grammar, or a user's own; and how good it is, as BLEU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minitransformer.tasks import grammar
from minitransformer.tasks.pairs import Lines
from minitransformer.tasks.task import Examples, task


@dataclass(frozen=True)
class Translations(Examples):
    """Pairs whose answers are held against the right ones as translations are."""

    def measure(self, answers: Sequence[str]) -> dict[str, float]:
        """The BLEU of answers to the test, of 0 to 100: Papineni et al. (2002)."""
        from sacrebleu import corpus_bleu

        references = [target for _, target in self.test_texts]
        # They are split into tokens already, as the model reads them.
        score = corpus_bleu(list(answers), [references], tokenize="none", force=True)
        return {"bleu": round(score.score, 2)}


# Without patience: what is held out is learned before the rarest sentences of training are.
@task("translate", form="pairs", default="transformer",
      d_ff=128, dropout=0.1, learning_rate=4e-3, steps=700, patience=0)  # fmt: skip
@dataclass(frozen=True)
class Translate(Lines):
    """Translate English into Spanish, or as your own file does."""

    def require_data(self) -> None:
        """Without a file there is the grammar; then SettingError for how to read a file."""
        self.require_no_more()

    def load(self, seed: int) -> Translations:
        """The file's pairs, some held out; or the grammar's sentences, see `grammar.pairs`."""
        if self.data:
            split = self.split(("source", "target"), seed)
            return self.encode_pairs(Translations, self.data, *split)
        learned, unseen = (
            [(x.source, x.target) for x in examples] for examples in grammar.pairs(seed)
        )
        return self.encode_pairs(Translations, self.name, learned, unseen)
