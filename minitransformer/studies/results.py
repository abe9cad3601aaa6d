"""Results: the folder in which a study writes down what it has found.

summary.json   settings, seconds, and every number that was measured, controls too
*.png          what the study draws
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from minigrad.files import FileError, trying_to, write_atomically
from minitransformer.studies.study import Finding
from minitransformer.workflow import make_unused


@contextmanager
def results_folder(out: Path | None, name: str, folder: Path = Path("runs")) -> Iterator[Path]:
    """An empty folder: `out`, or one in `folder` that is called after the study.

    It is made before anything is measured, and goes where nothing was. FileError where it cannot be
    made, and where it is not empty: another study or a run may be in it.
    """
    if out is None:
        path = make_unused(folder / name)
    else:
        path = out
        with trying_to("make the folder", path):
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise FileError(f"{path} is not empty; choose another --out")
    try:
        yield path
    finally:
        with suppress(OSError):  # it is not empty
            path.rmdir()


def write_summary(path: Path, finding: Finding, study: Any, seconds: float) -> Path:
    """Write summary.json into a folder; the path of it. What is no finite number becomes null."""
    about = {
        "study": finding.study,
        "settings": asdict(study),
        "seconds": round(seconds, 1),
        "says": finding.says,
        **finding.numbers,
    }
    summary = path / "summary.json"
    finite = json.loads(json.dumps(about), parse_constant=lambda _: None)  # JSON has no NaN
    write_atomically(summary, (json.dumps(finite, indent=2) + "\n").encode())
    return summary
