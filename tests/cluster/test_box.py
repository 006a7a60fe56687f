"""The box holds whatever a cluster does to a machine, and lets go of all of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from machine import build
from machine import cluster as life

#: Makes a box in which a program runs, with a mount, a child in a control group and a file; then ends it.
STORY = """
import os, signal, subprocess
from machine import box
from machine.folders import STATE

def left():
    groups = [group for group in box._cgroups() if group.exists()]
    link = box.HOST_LINK in subprocess.run(["ip", "link"], capture_output=True, text=True).stdout
    return dict(box=box.find(), groups=groups, link=link, state=STATE.exists())

for end in (box.destroy, lambda: os.kill(box.find(), signal.SIGKILL)):
    box.create()
    box.start("sleeper", "sleep", "infinity")
    assert box.running("sleeper") and not box.running("nobody")
    box.run("mount", "-t", "tmpfs", "tmpfs", STATE)
    for group in box._cgroups():
        (group / "pod").mkdir()
    script = "sleep infinity >/dev/null 2>&1 & for group; do echo $! > $group/pod/cgroup.procs || true; done"
    box.run("sh", "-c", script, "sh", *box._cgroups())
    end()
box.destroy()
assert not any(left().values()), left()
"""


@pytest.mark.skipif(bool(life.missing()), reason=life.CANNOT_RUN)
def test_nothing_is_left_of_a_box_however_it_ends(tmp_path: Path):
    # In a network of its own this box is not in the way of one that runs.
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    command = ["unshare", "--net", "--mount", sys.executable, "-c", STORY]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_change_of_one_module_builds_that_one_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for module in build.MODULES:
        folder = tmp_path / module.name
        folder.mkdir()
        for name in ("go.mod", "go.sum"):
            (folder / name).write_bytes((build.TOOLS / module.name / name).read_bytes())
    before = {module.name: build.folder(module) for module in build.MODULES}
    monkeypatch.setattr(build, "TOOLS", tmp_path)
    assert {module.name: build.folder(module) for module in build.MODULES} == before
    (tmp_path / "helm" / "go.sum").write_text("another")
    changed = {module.name for module in build.MODULES if build.folder(module) != before[module.name]}
    assert changed == {"helm"}


def test_descriptions_leave_a_schema_but_a_property_of_that_name_stays():
    schema = {
        "description": "prose",
        "properties": {"description": {"type": "string", "description": "prose"}},
    }
    assert build._without_prose([schema]) == [{"properties": {"description": {"type": "string"}}}]
