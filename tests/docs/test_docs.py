"""The documentation is true: its commands run, its links lead somewhere, its reference is the code's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from ups_core.api.dataset import DatasetSpec
from ups_core.api.load import parse
from ups_core.api.stages import STAGES
from ups_core.api.trainingrun import TrainingRunSpec
from ups_workflows.reference import pages

ROOT = Path(__file__).parents[2]
VALUES = ROOT / "charts/ups/values.yaml"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def test_the_reference_is_up_to_date():
    written = {path.name: path.read_text() for path in (ROOT / "docs/reference").glob("*.md")}
    assert written == pages(), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_what_quickstart_and_how_to_say_works(tmp_path: Path):
    """Every command and every piece of Python, in order; the second page goes on where the first one ends."""
    pages = [(ROOT / "docs" / name).read_text() for name in ("quickstart.md", "how-to.md")]
    pieces = re.findall(r"^```(sh|python)\n(.*?)^```", "".join(pages), re.DOTALL | re.MULTILINE)
    commands = [
        command
        for language, piece in pieces
        for command in (piece.splitlines() if language == "sh" else [f"python - <<'END'\n{piece}END"])
    ]
    assert len(commands) > 15
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("UPS_", "AWS_"))},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    card = tmp_path / "burgers-model" / "MODEL_CARD.md"
    assert card.read_text() == (tmp_path / "burgers.onnx.MODEL_CARD.md").read_text()
    (said,) = blocks(card, "python")
    np.save(tmp_path / "burgers-model" / "u0.npy", np.load(tmp_path / "u0.npz")["u"])
    used = ["-c", said.replace('"FOLDER"', '"."') + "print(u.shape)"]
    done = subprocess.run(
        [sys.executable, *used], cwd=card.parent, capture_output=True, text=True, check=False
    )
    assert done.stdout == "(2, 10, 1, 128)\n", done.stderr


def test_every_make_target_that_is_named_exists():
    listed = subprocess.run(
        ["make", "-C", ROOT, "--no-print-directory"], capture_output=True, text=True, check=True
    )
    targets = set(re.findall(r"^  ([a-z-]+)", listed.stdout, re.MULTILINE))
    for page in PAGES:
        for target in re.findall(r"`make ([a-z]+)", page.read_text()):
            assert target in targets, f"{page.name}: make {target}"


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_examples_are_good(file: Path):
    _, findings = parse(file.read_text(), str(file))
    assert findings == []


def test_fragments_of_specs_are_good():
    """A YAML fragment in a page is a part of a spec whose fields exist."""
    known = {
        *DatasetSpec.model_json_schema()["properties"],
        *TrainingRunSpec.model_json_schema()["properties"],
    }
    for page in PAGES:
        for block in blocks(page, "yaml"):
            if block.startswith("# values.yaml"):
                assert set(yaml.safe_load(block)) <= set(yaml.safe_load(VALUES.read_text())), block
                continue
            for document in yaml.safe_load_all(block):
                if "apiVersion" in document:
                    assert parse(yaml.safe_dump(document), page.name)[1] == []
                else:
                    fragment = document.get("spec", document)
                    assert set(fragment) <= known, block
                    for stage in fragment.get("stages", []):
                        STAGES[stage["name"]].model_validate(stage["config"])
