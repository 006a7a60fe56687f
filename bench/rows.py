"""What a row of the benchmark is, and what rows share.

A row measures one thing beside its peer, in one run, and yields *lines*. A line may be held to a bound, on
its value or on its ratio to the peer. Lines are appended to ``bench/results/<row>.jsonl`` under a key: the
hash of the code that the row runs and of the data that it reads. A row whose key is there already is not
measured again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from ups_core.store import sha256_file

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results"
SCRATCH = ROOT / "build" / "bench"


@dataclass(frozen=True)
class Bound:
    """At most (or at least) so much of the value, or of the ratio to the peer."""

    limit: float
    of: Literal["value", "ratio"] = "value"
    sense: Literal["<=", ">="] = "<="

    def met(self, value: float, ratio: float | None) -> bool:
        figure = value if self.of == "value" else ratio
        if figure is None:
            return False
        return figure <= self.limit if self.sense == "<=" else figure >= self.limit

    def __str__(self) -> str:
        return f"{self.sense} {self.limit:g}" + (" x" if self.of == "ratio" else "")


@dataclass(frozen=True)
class Line:
    """One figure. ``peer`` is the peer's figure in the same unit; ``detail`` says what else was seen."""

    name: str
    value: float
    unit: str
    peer: float | None = None
    bound: Bound | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        return self.value / self.peer if self.peer else None

    def to_dict(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "ratio": self.ratio,
            "bound": str(self.bound) if self.bound else None,
            "met": self.bound.met(self.value, self.ratio) if self.bound else None,
        }


@dataclass(frozen=True)
class Row:
    """``measure(scratch)`` yields lines; ``files`` are what it depends on beside the code of UPS.

    ``matrix``: lines are ``<row>.<problem>.<contender>.<figure>``, and a page has one for each contender.
    """

    name: str
    title: str
    measure: Callable[[Path], Iterator[Line]]
    files: Sequence[str] = ()
    matrix: bool = False

    def key(self) -> str:
        """Hash of the code and data that the figures depend on."""
        names = [f"bench/{self.name}.py", "bench/rows.py", "bench/processes.py", "uv.lock", *self.files]
        paths = [path for name in names if (path := ROOT / name).exists()]
        for package in ("ups_core/src", "workflows/src"):
            paths += sorted((ROOT / package).rglob("*.py"))
        whole = hashlib.sha256(f"{self.name}\n".encode())
        for path in paths:
            whole.update(f"{path.relative_to(ROOT)} {sha256_file(path)}\n".encode())
        return whole.hexdigest()[:16]

    @property
    def results(self) -> Path:
        return RESULTS / f"{self.name}.jsonl"

    def measured(self, key: str | None = None) -> list[dict[str, Any]]:
        """The lines under a key; without one, those of the last measurement."""
        if not self.results.exists():
            return []
        lines = [json.loads(text) for text in self.results.read_text().splitlines()]
        if key is not None:
            lines = [line for line in lines if line["key"] == key]
        return [line for line in lines if line["measured"] == lines[-1]["measured"]]

    def measure_now(self) -> list[dict[str, Any]]:
        """Measure in a scratch folder, which stays for a look, and append the lines, all or none.

        The folder is the key's own: what a measurement of the same code that was interrupted has published
        there, trained models above all, is not made again.
        """
        key = self.key()
        scratch = SCRATCH / self.name / key
        for other in scratch.parent.glob("*"):
            if other != scratch or self.measured(key):
                shutil.rmtree(other, ignore_errors=True)
        scratch.mkdir(parents=True, exist_ok=True)
        stamp = {"key": key, "measured": datetime.now(UTC).isoformat()}
        lines = [{**stamp, **line.to_dict()} for line in self.measure(scratch)]
        RESULTS.mkdir(exist_ok=True)
        with self.results.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        return lines
