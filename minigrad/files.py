"""Files: one is written as a whole or not at all, and what the system refuses is one clear line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

StrPath = str | os.PathLike[str]


class FileError(ValueError):
    """A file or a folder that cannot be read or written; the message is one line."""


@contextmanager
def trying_to(action: str, path: StrPath) -> Iterator[None]:
    """A block whose OSError becomes a FileError: "cannot write PATH: No space left on device"."""
    try:
        yield
    except OSError as error:
        raise FileError(f"cannot {action} {path}: {error.strerror or error}") from error


def require_ordinary(path: StrPath) -> None:
    """FileError for a pipe or a device, from which nothing may ever come."""
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise FileError(f"cannot read {path}: not an ordinary file")


def write_atomically(path: StrPath, content: bytes | Callable[[BinaryIO], object]) -> None:
    """Write a whole file or leave the old one untouched, even if the power fails in the middle.

    content: the bytes, or a function that writes them into the open file it is given. A symbolic
    link stays one: the file that it leads to is replaced. Raises FileError when the system refuses.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{token_hex(8)}.partial")
    with trying_to("write", path):
        if target.exists() and not target.is_file():  # a folder, or worse, /dev/null
            raise FileError(f"cannot write {path}: it exists and is not an ordinary file")
        try:
            with temporary.open("xb") as file:  # new, with the permissions of any new file
                content(file) if callable(content) else file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    with suppress(OSError):  # the file is in place; not every system can make its name last
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
