"""What is promised rather than timed: kills that cost nothing, exit codes, equal digests everywhere.

Each line counts the cases of a test file that hold, of all there are; a promise is kept by all or not.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from bench.rows import ROOT, Bound, Line, Row

#: Name of the line, what of the tests it runs, and what it says.
PROMISES = (
    (
        "kills",
        ["tests/steps/test_kills.py"],
        "20 kills of the run and 20 of its steps, and what else interrupts",
    ),
    ("failures", ["tests/steps/test_failures.py"], "documented exit code and one helpful message each"),
    (
        "digests",
        ["tests/steps/test_local_run.py", "-k", "digests or cached"],
        "file store, S3 and a second fresh store agree",
    ),
    (
        "publishers",
        ["tests/unit/store", "tests/steps/test_store_s3.py", "-k", "fifty"],
        "50 publishers of one key: one winner, whole",
    ),
)


def measure(scratch: Path) -> Iterator[Line]:
    for name, arguments, said in PROMISES:
        report = scratch / f"{name}.xml"
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *arguments, f"--junitxml={report}"],
            cwd=ROOT,
            env={**os.environ, "UPS_SOAK": "1"},
            stdout=sys.stderr,
            check=False,
        )
        suite = ElementTree.parse(report).getroot().find("testsuite")
        assert suite is not None
        total = int(suite.attrib["tests"])
        kept = total - sum(int(suite.attrib[kind]) for kind in ("failures", "errors", "skipped"))
        yield Line(f"contracts.{name}", kept, "cases", total, Bound(1.0, "ratio", ">="), {"peer": said})


ROW = Row("contracts", "Promises kept, of all there are", measure, ("tests/steps/test_kills.py",))
