"""``ups run`` from end to end on the local engine: real processes, a real store."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_run import TINY, Ups, digests

from ups_core.api import Dataset, TrainingRun
from ups_core.store import open_store, verify


def test_a_run_leaves_model_evaluation_and_report(finished: Path, ups: Ups):
    shown = ups("status", "tiny", "--store", finished, "-o", "json")
    resource = json.loads(shown.stdout)
    status = TrainingRun.model_validate(resource).status  # as strict as the API server
    assert status.phase == "Succeeded"
    assert status.attempt == 1
    assert status.headline.metric == "rollout.nrmse"
    assert status.metrics["rollout.nrmse"] < status.metrics["persistence.rollout.nrmse"]
    assert "solver.rollout.nrmse" in status.metrics
    assert [(s.name, s.phase, s.attempts) for s in status.stages] == [("operator", "Succeeded", 1)]
    report = ups("report", "tiny", "--store", finished, "--no-open").stdout.strip()
    html = Path(report).read_text()
    assert "tiny" in html
    assert "<script" not in html
    assert status.artifacts[0].digest[:12] in html
    films = re.findall(r'href="([^"]+)"', html)
    assert films
    assert all((Path(report).parent / film).stat().st_size for film in films)


def test_the_dataset_has_a_record_of_its_own(finished: Path):
    [run] = finished.glob("runs/default/ds/tiny/*/run.json")
    status = Dataset.model_validate(json.loads(run.read_text())).status
    assert status.phase == "Ready"
    assert Path(status.uri.removeprefix("file://")).exists()


def test_a_second_run_is_cached_and_keeps_every_digest(ups: Ups, tiny: Path, finished: Path, tmp_path: Path):
    store = tmp_path / "store"
    shutil.copytree(finished, store)
    before = digests(store)
    again = ups("run", tiny, "--store", store)
    assert again.returncode == 0, again.stderr
    assert "runs" not in again.stderr
    assert again.stderr.count("cached") == 7
    assert digests(store) == before


def test_plan_names_the_field_that_changed(ups: Ups, tiny: Path, finished: Path):
    shown = ups("plan", tiny, "--store", finished, "--set", "spec.stages.operator.config.lr=0.0005")
    lines = {line.split()[0]: line for line in shown.stdout.splitlines()[1:]}
    assert "stages.operator.config.lr 0.004 -> 0.0005" in lines["train-operator"]
    assert "input model changed" in lines["evaluate"]
    assert all("cached" in lines[name] for name in ("simulate", "convert", "validate", "cache"))


def test_plan_changes_nothing(ups: Ups, tiny: Path, finished: Path):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    ups("plan", tiny, "--store", finished)
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_two_fresh_stores_give_equal_digests(ups: Ups, tiny: Path, finished: Path, tmp_path: Path):
    done = ups("run", tiny, "--store", tmp_path / "other")
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "other") == digests(finished)


def test_an_s3_store_gives_the_keys_and_digests_of_a_file_store(ups: Ups, tiny: Path, finished: Path, s3):
    env = s3.environment
    done = ups("run", tiny, "--store", s3.uri + "/store", env=env)
    assert done.returncode == 0, done.stderr
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        store = open_store(s3.uri + "/store")
        manifests = [e.path for e in store.list("objects") if e.path.endswith("manifest.json")]
        found = {path.rsplit("/", 1)[0]: json.loads(store.get(path))["digest"] for path in manifests}
        assert verify(store) == []
    assert found == digests(finished)
    assert "cached" in ups("run", tiny, "--store", s3.uri + "/store", env=env).stderr


def test_until_and_only_narrow_a_run(ups: Ups, tiny: Path, tmp_path: Path):
    done = ups("run", tiny, "--store", tmp_path, "--until", "convert")
    assert done.returncode == 0, done.stderr
    assert {path.split("/")[1] for path in digests(tmp_path)} == {"simulate", "convert"}
    lacking = ups("run", tiny, "--store", tmp_path, "--only", "cache")
    assert lacking.returncode == 5
    assert ups("run", tiny, "--store", tmp_path, "--only", "validate").returncode == 0
    assert {path.split("/")[1] for path in digests(tmp_path)} == {"simulate", "convert", "validate"}


def test_force_runs_a_published_step_again(ups: Ups, tiny: Path, finished: Path, tmp_path: Path):
    store = tmp_path / "store"
    shutil.copytree(finished, store)
    done = ups("run", tiny, "--store", store, "--force", "analyze")
    assert done.returncode == 0, done.stderr
    assert "analyze            runs" in done.stderr
    assert len(set(digests(store)) - set(digests(finished))) == 1


def test_a_gate_that_is_missed_ends_the_run_with_7_from_the_cache_too(
    ups: Ups, finished: Path, tmp_path: Path
):
    store, file = tmp_path / "store", tmp_path / "gated.yaml"
    shutil.copytree(finished, store)
    file.write_text(TINY + "  evaluation: {gates: [{metric: rollout.nrmse, max: 1.0e-9}]}\n")
    done = ups("run", file, "--store", store)
    assert done.returncode == 7
    assert "rollout.nrmse" in done.stderr
    status = json.loads(ups("status", "tiny", "--store", store, "-o", "json").stdout)["status"]
    assert status["lastFailure"]["reason"] == "GateFailed"
    # What was reached is told all the same.
    assert "rollout.nrmse" in status["metrics"]
    assert "rollout.nrmse" in done.stdout
    assert digests(store) == digests(finished)


def test_a_dataset_in_the_registry_serves_a_run_of_another_file(ups: Ups, finished: Path, tmp_path: Path):
    store, file = tmp_path / "store", tmp_path / "run.yaml"
    shutil.copytree(finished, store)
    file.write_text(TINY.split("---\n")[1])
    done = ups("run", file, "--store", store)
    assert done.returncode == 0, done.stderr
    assert digests(store) == digests(finished)


def test_logs_and_metrics_of_a_run_can_be_read(ups: Ups, finished: Path):
    assert "started" in ups("logs", "tiny", "--store", finished, "--kind", "events").stdout
    curve = ups("logs", "tiny", "train-operator", "--store", finished, "--kind", "metrics").stdout
    assert "train.loss=" in curve


def test_compare_shows_what_differs(ups: Ups, finished: Path, tmp_path: Path):
    store, file = tmp_path / "store", tmp_path / "other.yaml"
    shutil.copytree(finished, store)
    run = TINY.split("---\n")[1].replace("metadata: {name: tiny}", "metadata: {name: other}")
    file.write_text(run.replace("steps: 120", "steps: 20"))
    assert ups("run", file, "--store", store).returncode == 0
    shown = ups("compare", "tiny", "other", "--store", store).stdout
    assert "rollout.nrmse" in shown
    assert "120" in shown
    assert "20" in shown


def predict(ups: Ups, store: Path, u0: np.ndarray, steps: int, out: Path):
    np.save(out.with_suffix(".input.npy"), u0.astype("float32"))
    given = ("--input", out.with_suffix(".input.npy"), "--steps", steps, "--out", out)
    return ups("predict", "tiny", "--store", store, *given)


def test_predict_rolls_out_and_refuses_another_grid(ups: Ups, finished: Path, tmp_path: Path):
    x = (np.arange(32) + 0.5) / 32
    done = predict(ups, finished, np.sin(2 * np.pi * x)[None, None], 5, tmp_path / "u.npy")
    assert done.returncode == 0, done.stderr
    frames = np.load(tmp_path / "u.npy")
    assert frames.shape == (1, 5, 1, 32)
    assert abs(frames.mean()) < 1e-6
    refused = predict(ups, finished, np.zeros((1, 1, 33)), 5, tmp_path / "v.npy")
    assert refused.returncode == 3
    assert "33" in refused.stderr
    assert "32" in refused.stderr
    assert not (tmp_path / "v.npy").exists()


def test_pull_makes_a_store_of_its_own(ups: Ups, finished: Path, tmp_path: Path):
    done = ups("pull", "tiny", "--store", finished, "--to", tmp_path / "copy")
    assert done.returncode == 0, done.stderr
    assert ups("verify", "--store", tmp_path / "copy").returncode == 0
    assert "Succeeded" in ups("status", "--store", tmp_path / "copy").stdout


def test_export_agrees_with_the_surrogate(ups: Ups, finished: Path, tmp_path: Path):
    import torch

    target = ("--to", tmp_path / "model.pt2", "--format", "torch-export")
    done = ups("export", "tiny", "--store", finished, *target)
    assert done.returncode == 0, done.stderr
    program = torch.export.load(tmp_path / "model.pt2").module()
    u0 = np.random.default_rng(0).normal(size=(3, 1, 32)).astype("float32")
    assert predict(ups, finished, u0, 1, tmp_path / "u.npy").returncode == 0
    exported = program(torch.from_numpy(u0)).numpy()
    np.testing.assert_allclose(exported, np.load(tmp_path / "u.npy")[:, 0], atol=1e-6)


def test_gc_keeps_what_a_run_reaches(ups: Ups, finished: Path, tmp_path: Path):
    store = tmp_path / "store"
    shutil.copytree(finished, store)
    assert ups("gc", "--store", store, "--older-than-days", 0, "--apply").returncode == 0
    kept = digests(store)
    assert {path.split("/")[1] for path in kept} >= {"train", "evaluate", "analyze", "validate", "convert"}


def resuming(uri: str, name: str) -> str:
    run = TINY.split("---\n")[1].replace("metadata: {name: tiny}", f"metadata: {{name: {name}}}")
    return run.replace("steps: 120", "steps: 12") + f"  resumeFrom: {uri}\n"


def test_a_run_starts_from_a_model_and_its_key_says_from_which(ups: Ups, finished: Path, tmp_path: Path):
    store, file = tmp_path / "store", tmp_path / "run.yaml"
    shutil.copytree(finished, store)
    [train] = store.glob("objects/train/*")
    keys = set()
    for uri in (f"{{uri: objects/train/{train.name}/}}", "{runRef: {name: tiny}}"):
        file.write_text(resuming(uri, "second"))
        shown = json.loads(ups("plan", file, "--store", store, "-o", "json").stdout)[0]["steps"]
        keys |= {step["key"] for step in shown if step["step"] == "train"}
    assert len(keys) == 1  # the same model, however it is named
    assert train.name not in keys
    assert ups("run", file, "--store", store).returncode == 0
    file.write_text(resuming("{runRef: {name: second}}", "third"))
    [step] = [
        step
        for step in json.loads(ups("plan", file, "--store", store, "-o", "json").stdout)[0]["steps"]
        if step["step"] == "train"
    ]
    assert step["key"] not in keys


def test_a_store_can_be_moved(ups: Ups, finished: Path, tmp_path: Path):
    shutil.copytree(finished, tmp_path / "moved store")
    done = predict(ups, tmp_path / "moved store", np.zeros((1, 1, 32)), 2, tmp_path / "u.npy")
    assert done.returncode == 0, done.stderr


def test_verify_of_nothing_is_no_success(ups: Ups, finished: Path, tmp_path: Path):
    assert ups("verify", tmp_path / "nowhere").returncode == 5
    assert ups("verify", finished).returncode == 0
    [train] = finished.glob("objects/train/*")
    assert ups("verify", train).returncode == 0


def test_a_suspended_file_is_not_run(ups: Ups, tmp_path: Path):
    file = tmp_path / "run.yaml"
    file.write_text(TINY.split("---\n")[0].replace("spec:\n", "spec:\n  suspend: true\n"))
    assert ups("run", file, "--store", tmp_path / "store").returncode == 0
    assert digests(tmp_path / "store") == {}


def test_seeds_are_told_apart(ups: Ups, finished: Path, tmp_path: Path):
    store, file = tmp_path / "store", tmp_path / "seeds.yaml"
    shutil.copytree(finished, store)
    file.write_text(TINY + "  evaluation: {seeds: 2, peers: [persistence, fno]}\n")
    done = ups("run", file, "--store", store)
    assert done.returncode == 0, done.stderr
    assert "±" in done.stdout
    status = json.loads(ups("status", "tiny", "--store", store, "-o", "json").stdout)["status"]
    assert [stage["name"] for stage in status["stages"]] == ["operator"]
    for each in ("rollout.nrmse", "fno.rollout.nrmse"):
        assert status["metrics"][f"{each}.std"] > 0
    assert status["metrics"]["persistence.rollout.nrmse.std"] == 0
    report = ups("report", "tiny", "--store", store, "--markdown").stdout
    assert "first seed" in report


def test_an_inline_dataset_and_a_codec_run_too(ups: Ups, tmp_path: Path):
    data, run = TINY.split("---\n")
    spec = "".join(f"  {line}\n" for line in data.split("spec:\n")[1].splitlines())
    stage = "  stages:\n    - {name: codec, config: {steps: 20, width: 8, validations: 2, target: 1}}\n"
    text = run.replace("  datasetRef: {name: tiny}\n", "  dataset:\n" + spec).replace("  stages:\n", stage)
    (tmp_path / "run.yaml").write_text(text.replace("steps: 120", "steps: 20"))
    done = ups("run", tmp_path / "run.yaml", "--store", tmp_path / "store")
    assert done.returncode == 0, done.stderr
    assert "kept, reconstruction.nrmse" in done.stderr, done.stderr
    assert "rollout.nrmse" in done.stdout
    report = ups("report", "tiny", "--store", tmp_path / "store", "--markdown").stdout
    assert "Codec: averages over 4 points along each axis, decoded by" in report
