"""Make the README's pictures but live.png: `python docs/make_pictures.py`.

Trains the default `reverse` run, filmed, an LSTM with attention that copies, and a GPT on a novel,
makes the studies, and draws what the README shows of them, with the command itself. Pictures of
pages need Chromium; without it they stay as they are.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

PICTURES = Path(__file__).parent / "pictures"
SENTENCE = "Elizabeth was sure that Mr. Darcy did not love her"
STUDIES = {
    "positions": {"positions.png": "positions.png", "without.png": "without.png"},
    "norms": {"averages.png": "averages.png", "curves.png": "depth.png"},
    "compare": {"context.png": "context.png"},
    "reach": {"reach.png": "reach.png"},
    "forget": {"forget.png": "forget.png"},
    "few-labels": {"few-labels.png": "few-labels.png"},
    "glosses": {"glosses.png": "glosses.png"},
    "sense": {"maps.png": "sense.png"},
    "refer": {"refer.png": "refer.png"},
}
"""What the README shows of each study: its picture, and how that is called there."""
ARGUMENTS = {"compare": ("copy", "--seeds", "3")}
EXPRESSION = ("mean((tanh(x @ w + b) - y)**2)", "x=4x3", "w=3x2", "b=2", "y=4x2")


def minigrad(*arguments: str | Path) -> None:
    """Run the command as a user would."""
    subprocess.run([sys.executable, "-m", "cli", *map(str, arguments)], check=True)


def photograph(page: Path, fragment: str, picture: Path) -> None:
    """Write what a browser shows of a page at some step."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print(f"{picture}: left as it is, for want of Chromium")
        return
    window = ["--window-size=1280,800", "--virtual-time-budget=2000", f"--screenshot={picture}"]
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *window]
    subprocess.run(
        [browser, *flags, f"{page.as_uri()}#{fragment}"],
        check=True,
        timeout=60,
        stderr=subprocess.DEVNULL,
    )


def shrink(picture: Path) -> None:
    """Give a PNG 256 colours, all that its flat areas need: a third of the bytes."""
    with Image.open(picture) as image:
        few = image.convert("RGB").quantize(
            256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
        )
    few.save(picture, optimize=True)


def main() -> None:
    """Train, copy the run's pictures, draw the graphs, photograph the pages."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        run, page = Path(folder) / "reverse", Path(folder) / "page.html"
        minigrad("train", "reverse", "--film", "--out", run)
        shutil.copy(run / "curve.png", PICTURES / "curve.png")
        minigrad("predict", run, "3 1 4 1 5", "--attention", PICTURES / "attention.png")
        minigrad("film", run, "-o", page)
        photograph(page, "step=160", PICTURES / "film.png")
        minigrad("explain", *EXPRESSION, "-o", page)
        photograph(page, "step=12", PICTURES / "explain.png")
        minigrad("attend", "money bank grows", "river bank flows", "--heads", "2", "-o", page)
        photograph(page, "step=16&cell=W0.0,2,1", PICTURES / "attend.png")
        run = Path(folder) / "copy"
        minigrad("train", "copy", "--model", "lstm-attention", "--out", run)
        minigrad("predict", run, "3 1 4 1 5 9 2 6", "--attention", PICTURES / "alignment.png")
        run = Path(folder) / "text"
        minigrad("train", "text", "--out", run)
        shutil.copy(run / "curve.png", PICTURES / "bits.png")
        minigrad("attention", run, SENTENCE, "-o", PICTURES / "causal.png")
        for study, shown in STUDIES.items():
            minigrad(study, *ARGUMENTS.get(study, ()), "--out", Path(folder) / study)
            for name, called in shown.items():
                shutil.copy(Path(folder) / study / name, PICTURES / called)
    minigrad("graph", "neuron", "--values", "--grads", "-o", PICTURES / "neuron.svg")
    minigrad("graph", "attention", "-o", PICTURES / "attention-graph.svg")
    minigrad("graph", "transformer", "-o", PICTURES / "transformer.svg")
    norms = ("encoder-layer", "--against", "encoder-layer-pre")
    minigrad("graph", *norms, "--zoom", "module", "-o", PICTURES / "norms.svg")
    for picture in PICTURES.glob("*.png"):
        shrink(picture)


if __name__ == "__main__":
    main()
