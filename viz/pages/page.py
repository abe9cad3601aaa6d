"""Page: an HTML document in one file, which works offline and asks the network for nothing.

`page.css` and `page.js` beside this file are those of every page; a page of some kind brings a
style and scripts of its own. No framework: a page is its body, its data as JSON and a script.
"""

from __future__ import annotations

import base64
import html
import json
import math
import os
import zlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.files import write_atomically

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
"""What a browser lets the page do: run what is in it, and load nothing."""


SUFFIXES = (".html", ".htm")


class Page:
    """A finished document, `html`, which a notebook shows and `save` writes to a file."""

    def __init__(self, html: str, height: int = 720) -> None:
        self.html, self.height = html, height

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page: the whole file or nothing.

        ValueError for another suffix than .html or .htm. FileError where it cannot be written.
        """
        if Path(path).suffix.lower() not in SUFFIXES:
            raise ValueError(f"{path}: a page is written as .html")
        write_atomically(path, self.html.encode())

    def _repr_html_(self) -> str:
        """What a notebook shows: the page in a frame of its own, so that no style leaks."""
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" sandbox="allow-scripts" '
            f'style="width: 100%; height: {self.height}px; border: 0"></iframe>'
        )


def page(
    kind: str,
    title: str,
    body: str,
    data: Any,
    height: int = 720,
    scripts: Sequence[str] | None = None,
    styles: Sequence[str] | None = None,
) -> Page:
    """The page of a kind, such as "attention", whose scripts and style stand beside this file.

    title: plain text. body: HTML, every text from outside escaped. data: whatever JSON can say;
    the scripts read it as `DATA`. height: in pixels, of the frame in a notebook. scripts: files in
    the order in which they are read, by default KIND.js alone; one of them defines `start`, which
    is called when all are there. styles: files, by default KIND.css alone.
    """
    title, body = whole(title), whole(body)
    script = "\n".join(source(name) for name in ["page.js", *(scripts or [f"{kind}.js"])])
    style = "\n".join(source(name) for name in ["page.css", *(styles or [f"{kind}.css"])])
    return Page(
        f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<link rel="icon" href="data:,">
<style>
{style}
</style>
</head>
<body class="{kind}">
{body}
<script type="application/json" id="data">{as_json(data)}</script>
<script>
"use strict";
{script}
start();
</script>
</body>
</html>
""",
        height,
    )


def source(name: str) -> str:
    """The text of a script or a style."""
    return files("viz.pages").joinpath(name).read_text(encoding="utf-8")


def as_json(data: Any) -> str:
    """JSON that may stand inside a script element: nothing in it can end the element."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return whole(text).replace("<", "\\u003c")


def whole(text: str) -> str:
    """The text as UTF-8 can say it: U+FFFD for half a character, a surrogate without the other."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def plain(array: Any) -> Any:
    """An array, or a number, as nested lists for JSON; what it cannot say comes as a string that
    JavaScript's `Number` reads: "NaN", "Infinity", "-Infinity"."""
    if isinstance(array, np.ndarray) and array.ndim:
        return [plain(row) for row in array]
    x = array.item() if isinstance(array, np.ndarray | np.generic) else array
    if isinstance(x, float) and not math.isfinite(x):
        return "NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity"
    return x


def packed(array: NDArray[Any]) -> dict[str, Any]:
    """An array for `unpacked` in `page.js`: its shape, and its bytes deflated, as base64.

    Float64 stays what it is, all else becomes float32: so what a model computed is kept to the last
    bit; NaN and infinities come through too.
    """
    little = np.asarray(array, "<f8" if array.dtype == np.float64 else "<f4", order="C")
    return {
        "shape": list(little.shape),
        "bytes": little.itemsize,
        "data": deflated(little.tobytes()),
    }


def deflated(data: bytes) -> str:
    """Bytes for `inflated` in `page.js`: deflated, as base64."""
    # Of numbers, repeats of few bytes are chance: they take more room than they save.
    making = zlib.compressobj(9, strategy=zlib.Z_FILTERED)
    return base64.b64encode(making.compress(data) + making.flush()).decode("ascii")
