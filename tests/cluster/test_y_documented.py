"""Every command of the pages on clusters works, in the order in which a person reads them.

Last but one of this room: the pages end with ``helm uninstall``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from installed import Installed, a_dataset, a_run
from machine.build import program

ROOT = Path(__file__).parents[2]


def commands(page: str, section: str | None = None) -> str:
    """The shell blocks of a page, or of one section of it, as one script."""
    text = (ROOT / "docs" / page).read_text()
    if section is not None:
        text = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


@pytest.fixture
def place(ups: Installed, tmp_path: Path) -> Path:
    """Where a person stands: in a checkout, with the values that install.md has them write."""
    for name in ("charts", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(ups.values))
    return tmp_path


def run(ups: Installed, script: str, place: Path) -> str:
    programs = [Path(sys.executable).parent, program("kubectl").parent, program("helm").parent]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "UPS_"))}
    environment = {
        **clean,
        **ups.s3.environment(),
        "KUBECONFIG": str(ups.cluster.kubeconfig),
        "PATH": ":".join([*map(str, programs), os.environ["PATH"]]),
        "XDG_CACHE_HOME": str(place / "cache"),
    }
    done = subprocess.run(
        ["bash", "-exuo", "pipefail", "-c", script],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{ups.state()}"
    return done.stdout


def test_the_pages_for_administrators_and_users(ups: Installed, place: Path):
    run(ups, commands("install.md", "3. Install"), place)
    told = run(ups, commands("kubernetes.md"), place)
    assert "burgers-demo" in told
    assert "rollout.nrmse" in told

    # An upgrade, and then the end of the release, while something trains: neither waits nor loses anything.
    steps = {"config": {"architecture": {"name": "conv", "width": 16}, "steps": 1500, "validations": 5}}
    ups.apply(a_dataset(), a_run("upgraded", steps, seed=51))
    ups.until(lambda: bool(ups.training_pod("upgraded")), ups.state)
    run(ups, commands("install.md", "Upgrade"), place)
    status = ups.ended("trainingrun", "upgraded")
    assert (status["phase"], status["attempt"], status["preemptions"]) == ("Succeeded", 1, 0)

    ups.apply(a_run("abandoned", steps, seed=52))
    ups.until(lambda: bool(ups.training_pod("abandoned")), ups.state)
    run(ups, commands("install.md", "Uninstall"), place)
    record = next(
        entry.path.removesuffix("/run.json")
        for entry in ups.store.list(f"runs/{ups.namespace}/tr/abandoned")
        if entry.path.endswith("/run.json")
    )
    ups.until(
        lambda: ups.store.exists(f"{record}/report/report.html"),
        lambda: "no report of a run whose operator is gone",
    )
    ups.kubectl("delete", "trainingrun", "abandoned", "--timeout=60s")
    assert ups.store.exists(f"{record}/report/report.html")
