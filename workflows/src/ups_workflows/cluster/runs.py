"""The runs of a cluster: asked of its API server, and acted on by patches that the operator obeys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

from ups_core.api.load import Resources
from ups_core.errors import EXIT_INTERRUPTED, InvalidSpec, NotFound, UpsError
from ups_core.preflight.checks import check_run
from ups_core.runs import FOLDERS
from ups_core.store import RunRecord, open_store
from ups_core.store.record import Kind
from ups_workflows.cli.render import structured
from ups_workflows.cli.rows import followed, sorted_lines
from ups_workflows.cli.running import in_namespace
from ups_workflows.cli.runs import Asked
from ups_workflows.cli.show import dataset_line, err, listener, metrics_table, out
from ups_workflows.cluster.client import Cluster, path_of
from ups_workflows.cluster.follow import dataset_of, ended, exit_code, follow
from ups_workflows.cluster.logs import archived, archived_lines, followed_pods, pod_lines, pods_of
from ups_workflows.cluster.manifests import documents, in_store
from ups_workflows.cluster.settings import CONFIG_MAP, installation, reach
from ups_workflows.installation import Installation


class ClusterRuns:
    """See :class:`~ups_workflows.cli.runs.Runs`."""

    def __init__(self, cluster: Cluster, store: str | None, namespace: str | None) -> None:
        self._asked_namespace, self._store = namespace, store
        self.cluster = replace(cluster, namespace=namespace or cluster.namespace)

    @property
    def where(self) -> str:
        return f"context {self.cluster.context}, namespace {self.cluster.namespace}"

    @cached_property
    def installation(self) -> Installation:
        return installation(self.cluster)

    def run(self, resources: Resources, asked: Asked) -> int:
        for option, given in (("--force", asked.force), ("--only", asked.only), ("--until", asked.until)):
            if given:
                raise InvalidSpec(
                    "the operator runs whole plans",
                    where=option,
                    expected="--engine local, which can run a part of one",
                    fix=f"leave out {option}",
                )
        self.cluster = replace(self.cluster, namespace=self._namespace_of(resources))
        resources = in_store(in_namespace(resources, self.cluster.namespace), self._store)
        for run in resources.runs.values():
            check_run(run, resources)
        wanted = documents(resources)
        for dry in (True, False):  # all are looked at before any is changed
            for document in wanted:
                self._apply(document, dry=dry)
        used = {run.spec.dataset_ref.name for run in resources.runs.values() if run.spec.dataset_ref}
        started = [("TrainingRun", name) for name in resources.runs]
        started += [("Dataset", name) for name in resources.datasets if name not in used]
        for document in wanted:
            if document["kind"] != "ComputeClass":
                self._go_on(document["kind"], document["metadata"]["name"], document["spec"])
        return self._shown(started, asked)

    def every(self, kind: str) -> list[dict[str, Any]]:
        found = self.cluster.items(path_of(kind, self.cluster.namespace))
        return [tidy(each) for each in sorted(found, key=lambda each: each["metadata"]["name"])]

    def get(self, name: str, kind: str = "TrainingRun") -> dict[str, Any]:
        try:
            return tidy(self.cluster.get(path_of(kind, self.cluster.namespace, name)))
        except NotFound:
            # Raises the same of a server that does not know the kind.
            known = [each["metadata"]["name"] for each in self.every(kind)]
            raise NotFound(
                f"there is no {kind} {name}",
                where=self.where,
                expected=", ".join(known) or "none",
                fix=f"ups status --engine argo -n {self.cluster.namespace}",
            ) from None

    def find(self, name: str, kind: str = "TrainingRun") -> tuple[RunRecord, dict[str, Any]]:
        resource = self.get(name, kind)
        return self._record(resource), resource

    def logs(self, name: str, kind: str, rows: Kind, step: str | None, follow: bool) -> Iterator[str]:
        resource = self.get(name, kind)

        def live() -> bool:
            return not ended(self.get(name, kind))

        if rows != "logs":
            record = self._record(resource)
            return followed(record, rows, step, live) if follow else sorted_lines(record, rows, step)
        if follow and live():
            return followed_pods(self.cluster, lambda: self.get(name, kind), step)
        return self._said(resource, step)

    def cancel(self, name: str, kind: str) -> str:
        resource = self.get(name, kind)
        if ended(resource) and (phase := resource["status"]["phase"]) != "Suspended":
            return f"{name} has ended: {phase}"
        self.cluster.patch(path_of(kind, self.cluster.namespace, name), {"spec": {"suspend": True}})
        return f"asked {name} to stop with a checkpoint; ups resume {options(kind, name)} goes on"

    def resume(self, name: str, kind: str, asked: Asked) -> int:
        self._go_on(kind, name, {})
        return self._shown([(kind, name)], asked)

    def _namespace_of(self, resources: Resources) -> str:
        """The one that was asked for; else the file's, where it names one; else the context's."""
        if self._asked_namespace is not None:
            return self._asked_namespace
        every = (*resources.datasets.values(), *resources.runs.values())
        named = {r.metadata.namespace for r in every if "namespace" in r.metadata.model_fields_set}
        if len(named) > 1:
            raise InvalidSpec("the file names several namespaces", found=", ".join(sorted(named)))
        return named.pop() if named else self.cluster.namespace

    def _apply(self, document: dict[str, Any], *, dry: bool) -> None:
        kind, name = document["kind"], document["metadata"]["name"]
        self.cluster.apply(path_of(kind, self.cluster.namespace, name), document, dry=dry)
        if not dry:
            err.print(f"{kind} {name} is applied, {self.where}", markup=False)

    def _go_on(self, kind: str, name: str, given: dict[str, Any]) -> None:
        """Have a resource that was stopped or has failed go on, unless ``given`` says that it is not to."""
        resource = self.get(name, kind)
        spec, status = resource["spec"], resource.get("status", {})
        changed: dict[str, Any] = {}
        if spec.get("suspend") and not given.get("suspend"):
            changed["suspend"] = False
        if ended(resource) and status["phase"] == "Failed":
            changed["restart"] = spec.get("restart", 0) + 1
        if changed:
            self.cluster.patch(path_of(kind, self.cluster.namespace, name), {"spec": changed})
            err.print(f"{name} was {status.get('phase', 'Pending')} and goes on", markup=False)

    def _shown(self, started: list[tuple[str, str]], asked: Asked) -> int:
        """Follow each to its end; the exit code is that of the first that did not end well."""
        if asked.detach:
            ends = [self.get(name, kind) for kind, name in started]
        else:
            try:
                ends = [self._followed(kind, name, asked) for kind, name in started]
            except KeyboardInterrupt:
                for kind, name in started:
                    one = options(kind, name)
                    said = f"{name} runs on. Follow it: ups logs {one} -f; stop it: ups cancel {one}"
                    err.print(said, markup=False)
                return EXIT_INTERRUPTED
        if asked.output != "table":
            structured(ends[0] if len(ends) == 1 else ends, asked.output)
        return 0 if asked.detach else next((code for end in ends if (code := exit_code(end))), 0)

    def _followed(self, kind: str, name: str, asked: Asked) -> dict[str, Any]:
        with listener() as listening:
            end = tidy(follow(self.cluster, kind, name, listening))
        if end["status"]["phase"] == "Suspended":
            one = options(end["kind"], end["metadata"]["name"])
            err.print(f"{end['metadata']['name']} is suspended; ups resume {one} goes on", markup=False)
        if asked.output == "table":
            self._table(end)
        return end

    def _table(self, end: dict[str, Any]) -> None:
        """What was published, as the local engine shows it."""
        name, metrics = end["metadata"]["name"], end["status"].get("metrics")
        dataset = end if end["kind"] == "Dataset" else dataset_of(self.cluster, end)
        if dataset is not None and (status := dataset.get("status", {})).get("phase") == "Ready":
            out.print(dataset_line(dataset["metadata"]["name"], status["version"], status.get("splits", {})))
        if metrics:
            out.print(metrics_table(metrics, f"TrainingRun {name}"))
            out.print(f"report: ups report {name} --engine argo", markup=False)

    def _said(self, resource: dict[str, Any], step: str | None) -> Iterator[str]:
        """What the pods say that are there, after what all others have left in the store."""
        pods = pods_of(self.cluster, resource, step)
        living = {pod["metadata"]["name"]: pod["metadata"]["labels"]["ups.dev/step"] for pod in pods}
        workflow = f"{FOLDERS[resource['kind']]}-{resource['metadata']['name']}"
        try:
            record = self._record(resource)
            logs = [log for log in archived(record, workflow, step) if log.pod not in living]
            told = frozenset(living.values()) | {log.step for log in logs}
            # Where nothing is archived, the steps have still written down the better part themselves.
            yield from sorted_lines(record, "logs", step, without=told)
            for log in logs:
                yield from archived_lines(record, log)
        except UpsError as error:  # the store is not for everybody who may see pods
            if not pods:
                raise
            err.print(f"steps that have ended are not shown: {error}", markup=False)
        for pod in pods:
            yield from pod_lines(self.cluster, pod)

    def _record(self, resource: dict[str, Any]) -> RunRecord:
        """The record in the store that the resource or the installation names."""
        own, default = resource["spec"].get("artifacts", {}), self.installation.artifacts
        store = self._store or own.get("store") or default.store
        meta = resource["metadata"]
        if store is None:
            raise InvalidSpec(
                "it is not known where this run keeps its objects",
                where=f"{resource['kind']} {meta['name']}: spec.artifacts.store",
                found=f"none, and no ConfigMap {CONFIG_MAP} that you may read",
                fix="--store s3://bucket/prefix",
            )
        reach(own.get("endpoint") or default.endpoint, own.get("region") or default.region)
        folder = FOLDERS[resource["kind"]]
        return RunRecord(open_store(store), f"runs/{meta['namespace']}/{folder}/{meta['name']}/{meta['uid']}")


def options(kind: str, name: str) -> str:
    """How another verb is told of a resource."""
    return f"{name} --engine argo" + (" --dataset" if kind == "Dataset" else "")


def tidy(resource: dict[str, Any]) -> dict[str, Any]:
    """Without what the API server notes for itself, which ``kubectl`` does not show either."""
    resource["metadata"].pop("managedFields", None)
    return resource
