"""Objects for tests of the store, and a publisher that is a process of its own.

As a command it publishes :func:`make_folder`'s files: ``store_cases.py STORE KEY FOLDER SEED``.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from ups_core.store import PublishedObject, Store, open_store, publish

KEY = "ab" * 32


def make_folder(folder: Path, seed: int = 0) -> Path:
    """Three files: one below a folder, one empty, one with bytes of ``seed``."""
    (folder / "inner").mkdir(parents=True)
    (folder / "data.bin").write_bytes(random.Random(seed).randbytes(1000))
    (folder / "inner" / "facts.json").write_text('{"n": 3}')
    (folder / "empty").touch()
    return folder


def publish_folder(
    store: Store, folder: Path, key: str = KEY, *, step: str = "convert", **given
) -> PublishedObject:
    facts = {"inputs": {}, "recipe": {"n": 1}, "deterministic": True, "provenance": {"host": "here"}}
    return publish(store, step=step, key=key, folder=folder, **(facts | given))


def main() -> None:
    uri, key, folder, seed = sys.argv[1:]
    publish_folder(open_store(uri), make_folder(Path(folder), int(seed)), key)


if __name__ == "__main__":
    main()
