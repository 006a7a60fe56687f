"""Filling in what no object may hold: everything arrives, escaped, without a heavy import."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from ups_core.analyze.complete import PLACES, complete, markdown_table, place

FACTS: dict[str, Any] = {
    "run": {"name": "burgers-demo", "namespace": "default", "uid": "0b6f", "attempt": 2},
    "resources": "kind: Dataset\nspec: {note: '<b>|`x`'}\n",
    "steps": [
        {"name": "simulate", "key": "a" * 64, "digest": "b" * 64, "cached": True, "reason": "",
         "seconds": 34.2, "cpuSeconds": None},
        {"name": "train-operator", "key": "c" * 64, "digest": "d" * 64, "cached": False,
         "reason": "stages.operator.config.lr 0.001 -> 0.0005", "seconds": 312.0, "cpuSeconds": 301.4},
    ],
    "cost": {
        "surrogate": {"frames": 1280, "cpu_seconds": 0.25, "frames_per_cpu_second": 5120.0},
        "solver": {"frames": 1280, "cpu_seconds": 2.5, "frames_per_cpu_second": 512.0},
    },
    "store": "s3://bucket/ups",
    "commands": ["ups run a.yaml --set 'x=1<2'"],
}  # fmt: skip
HTML = "<!DOCTYPE html>\n" + "\n".join(place(name, f"no {name}") for name in PLACES)
MARKDOWN = "\n\n".join(place(name, f"no {name}") for name in PLACES)


def test_html_holds_every_fact_escaped() -> None:
    done = complete(HTML, FACTS)
    for fact in (
        "burgers-demo", "0b6f", "attempt 2", "s3://bucket/ups", "aaaaaaaaaaaaaaaa", "dddddddddddddddd",
        "cached", "stages.operator.config.lr 0.001 -&gt; 0.0005", "34 s", "5 min 12 s", "5120", "512",
        "The surrogate gave 10 times as many fields per CPU-second as the classical solver.",
        "{note: &#x27;&lt;b&gt;|`x`&#x27;}", "x=1&lt;2",
    ):  # fmt: skip
        assert fact in done, fact
    assert "<!--ups:" not in done
    assert "<b>|" not in done
    assert "no steps" not in done


def test_markdown_holds_the_same_facts_and_keeps_its_tables_whole() -> None:
    done = complete(MARKDOWN, FACTS)
    assert "# burgers-demo" in done
    assert "```yaml\nkind: Dataset" in done
    assert "| train-operator | stages.operator.config.lr 0.001 -> 0.0005 |" in done
    rows = [line for line in done.splitlines() if line.startswith("| ") and "operator" in line]
    assert all(row.count("|") == 7 for row in rows)


@pytest.mark.parametrize("evil", ["<script>alert(1)</script>", "</pre><img src=x>", '" onload="x', "&lt;b"])
def test_nothing_that_a_name_or_a_resource_holds_becomes_markup(evil: str) -> None:
    facts = {
        **FACTS, "run": {"name": evil, "namespace": evil, "uid": evil, "attempt": evil}, "resources": evil,
        "store": evil, "commands": [evil], "steps": [{**FACTS["steps"][0], "name": evil, "reason": evil}],
    }  # fmt: skip
    done = complete(HTML, facts)
    assert evil not in done
    assert "<script" not in done
    assert "<img" not in done


def test_what_is_filled_in_is_not_searched_for_places() -> None:
    facts = {**FACTS, "resources": place("steps", "mine"), "commands": [r"back\1slash"]}
    for text in (MARKDOWN, HTML):
        done = complete(text, facts)
        assert "mine" in done
        assert r"back\1slash" in done


def test_a_fence_inside_a_resource_does_not_end_the_block() -> None:
    done = complete(MARKDOWN, {**FACTS, "resources": "a: |\n  ```\n  # not a heading\n  ```"})
    assert "````yaml" in done


def test_unknown_facts_leave_the_place_as_it_was() -> None:
    assert complete(HTML, {}) == HTML


def test_a_text_that_is_no_report_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for steps"):
        complete(HTML.replace(place("steps", "no steps"), ""), FACTS)


def test_cells_of_a_table_cannot_break_it() -> None:
    assert markdown_table(["a"], [["x | y\nz"]]).splitlines()[2] == "| x \\| y z |"


def test_publish_pays_for_no_heavy_import() -> None:
    heavy = ("numpy", "torch", "matplotlib", "jinja2", "h5py")
    code = f"import sys, ups_core.analyze.complete; print([m for m in {heavy} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
