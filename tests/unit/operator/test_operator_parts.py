"""The small parts: facts of a Workflow, resync, hints, settings, the HTTP server, CRDs."""

from __future__ import annotations

import base64
import gzip
import json
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest
from operator_fakes import FakeCluster, a_node, a_ready_dataset, a_run, finished, with_status
from prometheus_client import CollectorRegistry

from ups_core.errors import InvalidSpec
from ups_operator import crds
from ups_operator.api import PATHS
from ups_operator.draft import Key
from ups_operator.hints import Hints
from ups_operator.observe import NodesOffloaded, observe
from ups_operator.resync import Resync, orphans, unsettled
from ups_operator.server import MISSED, Health, serve
from ups_operator.settings import Settings

RUN, DATA = Key("TrainingRun", "default", "run"), Key("Dataset", "default", "data")
BARE = {"metadata": {"name": "w", "uid": "w", "resourceVersion": "1"}, "spec": {}}


def test_nodes_that_argo_compressed_are_read():
    nodes = {"a": a_node("cache", "Failed", "main: Error (exit code 3)", exit_code=3)}
    packed = base64.b64encode(gzip.compress(json.dumps(nodes).encode())).decode()
    seen = observe({**BARE, "status": {"phase": "Failed", "compressedNodes": packed}})
    assert [(node.step, node.exit_code) for node in seen.nodes] == [("cache", 3)]


def test_nodes_in_a_database_are_refused_with_the_setting_that_keeps_them_out_of_it():
    with pytest.raises(NodesOffloaded, match="nodeStatusOffLoad"):
        observe({**BARE, "status": {"phase": "Running", "offloadNodeStatusVersion": "fnv:1"}})


def test_a_workflow_that_argo_has_not_seen_yet():
    seen = observe(BARE)
    assert (seen.phase, seen.live, seen.nodes) == ("", True, ())


def test_of_retried_pods_the_last_stands_for_the_step():
    pods = [a_node("fetch", phase, display=f"fetch({n})") for n, phase in enumerate(("Failed", "Running"))]
    retry = a_node("fetch", type="Retry", children=[pod["id"] for pod in pods])
    seen = observe(with_status(BARE, "Running", *pods, retry))
    assert [node.phase for node in seen.of("fetch")] == ["Running"]


def test_a_resync_leaves_alone_what_is_settled():
    done = {"phase": "Failed", "observedGeneration": 1, "workflow": {"name": "tr-run-1", "uid": "w"}}
    workflow = {"metadata": {"name": "tr-run-1", "labels": {"ups.dev/uid": "uid-run"}}}
    changed = a_run(status=done)
    changed["metadata"]["generation"] = 2
    assert not list(unsettled([a_run(status=done)], []))
    for resources, workflows in (([a_run(status=done)], [workflow]), ([changed], []), ([a_run()], [])):
        assert [key for key, _ in unsettled(resources, workflows)] == [RUN]


def test_orphans_are_workflows_of_earlier_attempts_and_nothing_else():
    def workflow(name: str, attempt: int, uid: str = "uid-run", **meta: str) -> dict[str, object]:
        labels = {"ups.dev/uid": uid, "ups.dev/attempt": str(attempt)}
        return {"metadata": {"name": name, "uid": name, "namespace": "default", "labels": labels, **meta}}

    run = a_run(status={"attempt": 2, "workflow": {"name": "tr-run-2"}})
    found = orphans(
        [run],
        [
            workflow("tr-run-1", 1),
            workflow("tr-run-2", 2),
            workflow("tr-run-3", 3),  # begun since the runs were listed
            workflow("tr-gone-1", 1, uid="uid-gone"),  # the garbage collector's
            workflow("tr-run-0", 0, deletionTimestamp="2026-01-01T00:00:00Z"),
        ],
    )
    assert [each["metadata"]["name"] for each in found] == ["tr-run-1"]


def test_the_workflow_that_reclaims_a_dataset_is_no_orphan():
    data = a_ready_dataset()
    data["status"]["workflow"] = {"name": "ds-data-reclaim"}
    labels = {"ups.dev/uid": "uid-data", "ups.dev/attempt": "0"}
    assert not list(orphans([data], [{"metadata": {"name": "ds-data-reclaim", "labels": labels}}]))


def test_a_resync_finds_what_no_event_told_of():
    cluster, added = FakeCluster(), []
    cluster.put(a_run())
    cluster.put(a_ready_dataset())
    finished(Resync(cluster.api, (), added.append, Health(300), cluster.metrics).once())
    assert added == [RUN, DATA]


def test_runs_are_woken_by_a_change_of_phase_and_by_nothing_else():
    hints = Hints()
    hints.waits(RUN, DATA)
    assert hints.woken_by(DATA, "Running") == {RUN}
    assert hints.woken_by(DATA, "Running") == set()
    assert hints.woken_by(DATA, "Ready") == {RUN}
    hints.waits(RUN, None)
    assert hints.woken_by(DATA, "Failed") == set()


def test_settings_come_from_the_environment():
    assert Settings.read({}) == Settings()
    read = Settings.read(
        {"UPS_WATCH_NAMESPACES": "a, b", "UPS_RESYNC_SECONDS": "60", "UPS_INSTALLATION": "/x"}
    )
    assert (read.namespaces, read.resync_seconds, read.installation) == (("a", "b"), 60, Path("/x"))


@pytest.mark.parametrize("text", ["0", "-1", "soon", "1.5"])
def test_a_setting_that_is_no_count_is_refused(text):
    with pytest.raises(InvalidSpec, match="UPS_RESYNC_SECONDS"):
        Settings.read({"UPS_RESYNC_SECONDS": text})


def test_health_is_the_age_of_the_last_resync(monkeypatch):
    now = 0.0
    monkeypatch.setattr("ups_operator.server.time.monotonic", lambda: now)
    health = Health(100)
    now = 100.0 * MISSED
    assert health.check()[0] == 200
    now += 1
    assert health.check()[0] == 503
    health.resynced()
    assert health.check()[0] == 200


def test_the_server_tells_metrics_and_health():
    server = serve(0, CollectorRegistry(), Health(100))
    root = f"http://127.0.0.1:{server.server_port}"
    try:
        assert urllib.request.urlopen(f"{root}/healthz").status == 200
        assert urllib.request.urlopen(f"{root}/metrics").headers["Content-Type"].startswith("text/plain")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{root}/other")
    finally:
        server.shutdown()
        server.server_close()


def test_crds_are_applied_as_helm_would():
    applied = []

    class Api:
        async def apply(self, kind, manifest, manager):
            applied.append((manifest["metadata"]["name"], manager))

    finished(crds.update(Api()))
    assert sorted(applied) == [
        (f"{name}.ups.dev", "helm") for name in ("computeclasses", "datasets", "trainingruns")
    ]


def test_paths_are_the_api_servers():
    assert PATHS["TrainingRun"].url("ns", "a") == "/apis/ups.dev/v1alpha1/namespaces/ns/trainingruns/a"
    assert PATHS["Workflow"].url(None) == "/apis/argoproj.io/v1alpha1/workflows"
    assert PATHS["ComputeClass"].url("ns") == "/apis/ups.dev/v1alpha1/computeclasses"
    assert PATHS["Event"].url("ns") == "/api/v1/namespaces/ns/events"


def test_times_are_read_as_argo_writes_them():
    node = a_node("cache", started=datetime(2026, 1, 1, tzinfo=UTC))
    assert observe(with_status(BARE, "Running", node)).nodes[0].started == datetime(2026, 1, 1, tzinfo=UTC)
