"""The ``ups`` command against a real cluster: what a person types, sees and gets back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from installed import DATASET, Installed, a_run
from machine.build import program

from ups_core.store import open_store

Command = Callable[..., subprocess.CompletedProcess[str]]
#: An hour on two cores, unless somebody stops it, with news every second: a validation each hundred steps.
ENDLESS = {"config": {"architecture": {"name": "conv"}, "steps": 1_000_000, "validations": 10_000}}


@pytest.fixture(scope="module")
def environment(ups: Installed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A laptop that has a kubeconfig and credentials of the store; where that is, the installation says."""
    clean = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "UPS_", "KUBE"))}
    credentials = {n: v for n, v in ups.s3.environment().items() if "KEY" in n}
    return {
        **clean,
        **credentials,
        "KUBECONFIG": str(ups.cluster.kubeconfig),
        "UPS_ENGINE": "argo",
        "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")),
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }


@pytest.fixture(scope="module")
def command(ups: Installed, environment: dict[str, str]) -> Command:
    def call(verb: str, *args: object, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "ups_workflows", verb, *map(str, args), "-n", ups.namespace]
        how: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 400, "check": False}
        return subprocess.run(words, env={**environment, **env}, input=stdin, **how)

    return call


def started(environment: dict[str, str], *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ups_workflows", *map(str, words)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Who runs the tests in the background has a shell that lets them ignore Ctrl-C, and theirs with them.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def written(folder: Path, *runs: dict[str, Any]) -> Path:
    """A file with the tiny dataset and some runs on it."""
    file = folder / f"{runs[0]['metadata']['name']}.yaml"
    file.write_text(yaml.safe_dump_all([yaml.safe_load(DATASET), *runs]))
    return file


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that shares no trained model with those of other tests."""
    return written(tmp_path_factory.mktemp("run"), a_run("command", seed=77))


@pytest.fixture(scope="module")
def finished(command: Command, file: Path) -> subprocess.CompletedProcess[str]:
    return command("run", file)


def test_a_file_is_run_to_its_end_and_told_as_on_a_laptop(finished: subprocess.CompletedProcess[str]):
    assert finished.returncode == 0, finished.stderr
    assert "Dataset tiny is ready, version " in finished.stdout
    assert "4 test, 8 train, 2 val" in finished.stdout
    assert "rollout.nrmse" in finished.stdout
    for line in ("train-operator: started", "train-operator: done, objects/train/", "evaluate: done"):
        assert line in finished.stderr


@pytest.mark.usefixtures("finished")
def test_what_is_asked_of_a_run_is_asked_of_the_cluster(ups: Installed, command: Command, tmp_path: Path):
    shown = json.loads(command("status", "command", "-o", "json").stdout)
    assert shown["status"] == ups.get("trainingrun", "command")["status"]
    assert "Succeeded" in command("status").stdout
    assert "# " in command("report", "command", "--markdown").stdout
    events = command("logs", "command", "train-operator", "--kind", "events")
    assert "train-operator finished" in events.stdout, events.stderr
    ups.kubectl("delete", "pods", "--selector=ups.dev/name=command", "--timeout=60s")
    said = command("logs", "command", "train-operator")
    assert "train-operator" in said.stdout, said.stderr
    metrics = command("logs", "command", "--kind", "metrics")
    assert "loss" in metrics.stdout, metrics.stderr

    pulled = command("pull", "command", "--to", tmp_path / "copy")
    assert pulled.returncode == 0, pulled.stderr
    here = command("status", "command", "--store", tmp_path / "copy", UPS_ENGINE="local")
    assert "Succeeded" in here.stdout
    states, frames = tmp_path / "u0.npy", tmp_path / "frames.npy"
    np.save(states, np.sin(np.linspace(0, 2 * np.pi, 32, endpoint=False, dtype=np.float32))[None, None])
    predicted = command("predict", "command", "--input", states, "--steps", 3, "--out", frames)
    assert predicted.returncode == 0, predicted.stderr
    assert np.load(frames).shape == (1, 3, 1, 32)


@pytest.mark.usefixtures("finished")
def test_what_cannot_be_changed_is_refused_in_the_words_of_the_api_server(
    ups: Installed, command: Command, file: Path
):
    before = ups.get("trainingrun", "command")
    refused = command("run", file, "--set", "spec.seed=5")
    assert refused.returncode == 2
    assert "seed cannot be changed" in refused.stderr
    assert "fix:      create a resource of another name" in refused.stderr
    assert ups.get("trainingrun", "command") == before
    again = command("run", file)
    assert (again.returncode, again.stdout) == (0, command("run", file).stdout)
    assert ups.get("trainingrun", "command")["status"]["attempt"] == 1


@pytest.mark.usefixtures("finished")
def test_a_run_that_fails_ends_with_its_code_and_is_tried_again(
    ups: Installed, command: Command, tmp_path: Path
):
    gated = a_run("command-gated", seed=77, evaluation={"gates": [{"metric": "rollout.nrmse", "max": 1e-9}]})
    failed = command("run", written(tmp_path, gated))
    assert failed.returncode == 7, failed.stderr
    assert "publish: failed, GateFailed (exit code 7)" in failed.stderr
    assert "rollout.nrmse" in failed.stdout
    assert command("resume", "command-gated").returncode == 7
    assert ups.get("trainingrun", "command-gated")["status"]["attempt"] == 2
    beside = command("compare", "command", "command-gated")
    assert "gates" in beside.stdout, beside.stderr


def test_ctrl_c_leaves_it_running_then_it_is_cancelled_and_goes_on(
    ups: Installed, command: Command, environment: dict[str, str], tmp_path: Path
):
    watching = started(environment, "run", written(tmp_path, a_run("endless", ENDLESS)), "-n", ups.namespace)
    assert watching.stderr is not None
    seen = ""
    while "train-operator: started" not in seen:
        line = watching.stderr.readline()
        assert line, f"it ended: {seen}"
        seen += line
    watching.send_signal(signal.SIGINT)
    _, told = watching.communicate(timeout=60)
    assert watching.returncode == 130
    assert "endless runs on. Follow it: ups logs endless --engine argo -f" in told
    assert ups.get("trainingrun", "endless")["status"]["phase"] == "Running"

    following = started(environment, "logs", "endless", "train-operator", "-f", "-n", ups.namespace)
    assert following.stdout is not None
    assert following.stderr is not None
    first = following.stdout.readline()
    assert "train-operator" in first, following.stderr.read()
    cancelled = command("cancel", "endless")
    assert "asked endless to stop with a checkpoint" in cancelled.stderr
    following.communicate(timeout=180)
    assert following.returncode == 0
    status = ups.get("trainingrun", "endless")["status"]
    assert (status["phase"], status["failures"], status["preemptions"]) == ("Suspended", 0, 0)

    resumed = command("resume", "endless", "--detach")
    assert resumed.returncode == 0, resumed.stderr
    ups.status(
        "trainingrun", "endless", lambda status: status["attempt"] == 2 and status["phase"] == "Running"
    )
    ups.kubectl("delete", "trainingrun", "endless", "--wait=false")


@pytest.mark.usefixtures("finished")
@pytest.mark.parametrize("kubectl", [True, False])
def test_a_shell_opens_where_a_step_runs_and_leaves_no_pod(
    ups: Installed, command: Command, kubectl: bool, tmp_path: Path
):
    path = str(program("kubectl").parent) if kubectl else str(tmp_path)
    script = 'id -u; test -w /work && echo scratch; test -n "$AWS_ACCESS_KEY_ID" && echo secret; exit 3\n'
    opened = command("shell", "command", "train-operator", stdin=script, PATH=path)
    assert opened.returncode == 3, opened.stderr
    assert opened.stdout.split() == ["65532", "scratch", "secret"]
    assert "run the step: ups-step train --spec" in opened.stderr
    assert [
        p for p in ups.items("pods", "-l=ups.dev/shell") if "deletionTimestamp" not in p["metadata"]
    ] == []


def test_the_workflow_that_is_printed_is_the_one_that_ran(
    ups: Installed, command: Command, file: Path, finished: subprocess.CompletedProcess[str]
):
    assert finished.returncode == 0, finished.stderr
    printed = list(yaml.safe_load_all(command("plan", file).stdout))
    ran = ups.get("workflow", "tr-command-1")
    (mine,) = (each for each in printed if each["metadata"]["name"] == "tr-command-1")
    assert mine["metadata"]["annotations"].items() <= ran["metadata"]["annotations"].items()
    containers = [
        {t["name"]: t["container"]["image"] for t in each["spec"]["templates"] if "container" in t}
        for each in (mine, ran)
    ]
    assert containers[0] == containers[1]


def test_doctor_finds_nothing_that_stops_a_run(ups: Installed, command: Command):
    seen = command("doctor", "-o", "json")
    found = {check["name"]: check for check in json.loads(seen.stdout)}
    assert [check for check in found.values() if check["level"] == "fail"] == []
    assert seen.returncode == 0
    assert found["operator"]["level"] == "ok"
    assert found[f"namespace {ups.namespace}: steps"]["level"] == "ok"
    assert found["storage: conditional write"]["level"] == "ok"
    # Without credentials of the store, that alone is found.
    stripped = command("doctor", "-o", "json", AWS_ACCESS_KEY_ID="nobody")
    wrong = [check["name"] for check in json.loads(stripped.stdout) if check["level"] == "fail"]
    assert (wrong, stripped.returncode) == (["storage: identity"], 4)
    assert list(open_store(ups.store_uri).list(".probe")) == []
