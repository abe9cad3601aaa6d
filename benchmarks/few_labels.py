"""What a trained encoder is worth where there are few labels: which sense a word has in a sentence.

    minigrad train masked --seed 0 --out runs/masked-0       (and with seeds 1 and 2)
    python benchmarks/few_labels.py runs/masked-0 runs/masked-1 runs/masked-2

For each word and each number of labelled sentences of a sense, a classifier is trained in the three
ways of `minigrad finetune --compare`. It is tested on sentences in which other words tell the
sense. Each column is one draw of sentences, with one run and one seed. Settings were chosen by the
word "server" and seeds 0 to 2, which are not shown here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from minitransformer.finetuning import WAYS, compare
from minitransformer.tasks.english import labelled

WORDS = "bank", "check"
LABELS = 1, 4, 8
DRAWS = 10, 11, 12


def study(runs: list[str], word: str, count: int, folder: Path) -> Iterator[tuple[str, float]]:
    """(way, share that is right) of each draw in turn."""
    for place, draw in enumerate(DRAWS):
        paths = folder / "labels.tsv", folder / "unseen.tsv"
        for path, rows in zip(paths, labelled(word, count, draw), strict=True):
            path.write_text("".join(f"{text}\t{label}\n" for text, label in rows))
        given = {
            "data": str(paths[0]),
            "test": str(paths[1]),
            "from_run": runs[place % len(runs)],
            "seed": draw,
        }
        for found in compare(given, seeds=1):
            yield found.way, found.mean


def main(runs: list[str]) -> None:
    """Print a line for each word, number of labels and way: every draw, and the mean."""
    if not runs:
        sys.exit("name runs of `minigrad train masked`")
    print("two senses, half of the sentences each: chance 50 %, always the same 50 %")
    for word in WORDS:
        for count in LABELS:
            shares: dict[str, list[float]] = {way: [] for way in WAYS}
            with TemporaryDirectory() as folder:
                for way, share in study(runs, word, count, Path(folder)):
                    shares[way].append(share)
            for way, found in shares.items():
                told = "".join(f"{100 * x:8.1f}" for x in (*found, sum(found) / len(found)))
                print(f"{word:6} {count} of a sense  {way:12} {told}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
