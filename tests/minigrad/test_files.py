"""What a written file promises: the whole of it or the old one, one clear line when refused."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from minigrad.files import FileError, write_atomically


@contextmanager
def one_line_error(*parts: object) -> Iterator[None]:
    """A block that must raise a FileError of one line in which all the parts stand, in order."""
    with pytest.raises(FileError) as error:
        yield
    message = str(error.value)
    assert "\n" not in message
    assert re.search(".*".join(re.escape(str(part)) for part in parts), message), message


def file_names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_written_from_bytes_or_by_a_function(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_atomically(path, b"one")
    assert path.read_bytes() == b"one"
    write_atomically(str(path), lambda file: file.write(b"two"))
    assert path.read_bytes() == b"two"
    assert file_names(tmp_path) == {"a.txt"}


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_file_gets_the_permissions_that_the_umask_allows(
    tmp_path: Path, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), FileError),
        (ZeroDivisionError(), ZeroDivisionError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_failure_in_the_middle_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, failure: BaseException, expected: type[BaseException]
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def write_half(file: BinaryIO) -> None:
        file.write(b"ne")
        raise failure

    with pytest.raises(expected):
        write_atomically(path, write_half)
    assert path.read_bytes() == b"old"
    assert file_names(tmp_path) == {"a"}


def test_a_full_disk_is_named_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with one_line_error(f"cannot write {tmp_path / 'a'}: No space left on device"):
        write_atomically(tmp_path / "a", b"x")
    assert file_names(tmp_path) == set()


def test_a_path_that_cannot_be_written_is_named_in_one_line(tmp_path: Path) -> None:
    with one_line_error("cannot write", tmp_path, "not an ordinary file"):
        write_atomically(tmp_path, b"x")
    with one_line_error("cannot write", "missing", "No such file or directory"):
        write_atomically(tmp_path / "missing" / "a", b"x")
    (tmp_path / "file").touch()
    with one_line_error("cannot write", "Not a directory"):
        write_atomically(tmp_path / "file" / "a", b"x")
    assert file_names(tmp_path) == {"file"}


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="there is no /dev/null here")
def test_a_device_is_not_replaced_by_a_file() -> None:
    with one_line_error("cannot write /dev/null", "not an ordinary file"):
        write_atomically("/dev/null", b"x")
    assert not Path("/dev/null").is_file()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_named_in_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with one_line_error("cannot write", "Permission denied"):
        write_atomically(tmp_path / "a", b"x")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "file")
    write_atomically(link, b"x")
    assert link.is_symlink()
    assert (tmp_path / "file").read_bytes() == b"x"
