"""Files that a command leaves for its user: refused before the work, complete or absent after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from ups_core.errors import InvalidSpec, StorageUnavailable


def check_file(path: Path, option: str) -> None:
    """InvalidSpec where no file can be made at ``path``, which the user gave as ``option``."""
    if path.is_dir():
        raise InvalidSpec(
            "a folder is there", where=option, found=path, expected="a file", fix=f"{option} {path / 'FILE'}"
        )
    if not path.parent.is_dir():
        raise InvalidSpec(
            "there is no folder to write into",
            where=option,
            found=path,
            expected=f"the folder {path.parent}",
            fix=f"mkdir -p {quote(str(path.parent))}",
        )


def check_folder(path: Path, option: str) -> None:
    """InvalidSpec where ``path``, which the user gave as ``option``, is a file."""
    if path.exists() and not path.is_dir():
        raise InvalidSpec(
            "a file is there", where=option, found=path, expected="a folder", fix=f"{option} {path}.d"
        )


@contextmanager
def writing(path: Path, option: str) -> Iterator[None]:
    """Inside, what the operating system refuses becomes StorageUnavailable."""
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(
            "the output cannot be written",
            where=path,
            found=error.strerror or error,
            expected="space, and a folder that this user may write",
            fix=f"give {option} another place",
        ) from error


@contextmanager
def whole_file(path: Path, option: str) -> Iterator[Path]:
    """A path to write; it becomes ``path`` where the block ends well, and is removed where not."""
    part = path.with_name(f".{path.name}.part")
    with writing(path, option):
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
