"""Make the README's pictures: `python docs/make_pictures.py` (half a minute).

Trains the default `reverse` run and draws what the README shows of it, with the command itself.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PICTURES = Path(__file__).parent / "pictures"


def minigrad(*arguments: str | Path) -> None:
    """Run the command as a user would."""
    subprocess.run([sys.executable, "-m", "cli", *map(str, arguments)], check=True)


def main() -> None:
    """Train, copy the run's pictures, draw the graphs."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "reverse"
        minigrad("train", "reverse", "--out", run)
        shutil.copy(run / "curve.png", PICTURES / "curve.png")
        minigrad("predict", run, "3 1 4 1 5", "--attention", PICTURES / "attention.png")
    minigrad("graph", "expression", "--values", "--grads", "-o", PICTURES / "expression.svg")
    minigrad("graph", "attention", "-o", PICTURES / "attention-graph.svg")
    minigrad("graph", "transformer", "-o", PICTURES / "transformer.svg")


if __name__ == "__main__":
    main()
