"""Thin access to the API server: plain JSON by paths, and every refusal as an error with its fix.

The ``kubernetes`` package reads the kubeconfig, authenticates and speaks HTTP. Its typed models are
left alone: a resource of ours has none, and all that is asked here is a few paths of JSON. It loads in
half a second, so it is imported when a cluster is first asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ups_core.api import GROUP, VERSION
from ups_core.errors import EXIT_TRANSIENT, CredentialsInvalid, InvalidSpec, NotFound, UpsError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient
    from urllib3 import BaseHTTPResponse

#: Who the API server has in its records for what this command writes.
FIELD_MANAGER = "ups"
#: Seconds to connect, and to wait for an answer.
TIMEOUTS = (5.0, 30.0)
#: Kind to where its objects are, below the server's root.
PLURALS = {"TrainingRun": "trainingruns", "Dataset": "datasets", "ComputeClass": "computeclasses"}
#: The context of a process that runs in the cluster itself.
IN_CLUSTER = "in-cluster"
MERGE, APPLY = "application/merge-patch+json", "application/apply-patch+yaml"


class ClusterUnavailable(UpsError):
    """The API server does not answer. What runs on the cluster goes on; ask again."""

    exit_code, reason = EXIT_TRANSIENT, "ClusterUnavailable"


def path_of(kind: str, namespace: str, name: str = "") -> str:
    """The path of a resource of ours, or of all of a kind in a namespace.

    >>> path_of("TrainingRun", "team", "demo")
    '/apis/ups.dev/v1alpha1/namespaces/team/trainingruns/demo'
    """
    scope = "" if kind == "ComputeClass" else f"/namespaces/{namespace}"
    return f"/apis/{GROUP}/{VERSION}{scope}/{PLURALS[kind]}" + (f"/{name}" if name else "")


def workflow_path(namespace: str, name: str = "") -> str:
    return f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflows" + (f"/{name}" if name else "")


def pod_path(namespace: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{namespace}/pods" + (f"/{name}" if name else "")


@dataclass(frozen=True)
class Cluster:
    """One context of a kubeconfig, and the namespace that is meant."""

    client: ApiClient
    context: str
    namespace: str

    def get(self, path: str, **query: str) -> dict[str, Any]:
        return json.loads(self._ask("GET", path, query).data)

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        """All objects of a listing."""
        return self.get(path, **query)["items"]

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return json.loads(self._ask("POST", path, {}, body, "application/json").data)

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A JSON merge patch."""
        query = {"fieldManager": FIELD_MANAGER}
        return json.loads(self._ask("PATCH", path, query, body, MERGE).data)

    def apply(self, path: str, body: Mapping[str, Any], *, dry: bool = False) -> dict[str, Any]:
        """Server-side apply: create it, or make the fields that ``body`` has what it says."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
        if dry:
            query["dryRun"] = "All"
        return json.loads(self._ask("PATCH", path, query, body, APPLY).data)

    def delete(self, path: str) -> None:
        """Delete an object; one that is gone already is no error."""
        try:
            self._ask("DELETE", path, {"gracePeriodSeconds": "1"})
        except NotFound:
            return

    def lines(self, path: str, **query: str) -> Iterator[str]:
        """The lines of a text, as they come: no limit to how long one may be waited for."""
        response = self._ask("GET", path, query, timeouts=(TIMEOUTS[0], None), stream=True)
        rest = b""
        with response, self._answering():
            for chunk in response.stream(1 << 14):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in whole)
        if rest:
            yield rest.decode(errors="replace")

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        content_type: str | None = None,
        *,
        timeouts: tuple[float, float | None] = TIMEOUTS,
        stream: bool = False,
    ) -> BaseHTTPResponse:
        headers = {"Accept": "application/json, */*"}
        if content_type:
            headers["Content-Type"] = content_type
        with self._answering():
            method, url, headers, sent, _ = self.client.param_serialize(
                method,
                path,
                query_params=list(query.items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = self.client.rest_client.request(
                method, url, headers=headers, body=sent, _request_timeout=timeouts
            ).response
            if answer.status >= 300:
                raise refusal(answer.status, answer.data, method, path)
            if not stream:
                _ = answer.data  # read here, where a connection that breaks is told as such
        return answer

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Inside, a connection that cannot be made or breaks is a server that does not answer."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            yield
        except (HTTPError, ApiException) as error:
            raise ClusterUnavailable(
                "the API server does not answer",
                where=f"context {self.context}, {self.client.configuration.host}",
                found=_innermost(error),
                fix=f"kubectl --context {self.context} get --raw /readyz",
            ) from error


def connect(context: str | None = None) -> Cluster:
    """The cluster of a kubeconfig's context, or the one that this process runs in.

    Asks nothing of the server. InvalidSpec where there is no such context.
    """
    from kubernetes.client import ApiClient, Configuration
    from kubernetes.config import ConfigException, load_kube_config

    configuration = Configuration()
    try:
        chosen = _context(context)
        load_kube_config(context=chosen["name"], client_configuration=configuration)
    except ConfigException as error:
        if context is None and (inside := _inside()) is not None:
            return inside
        raise InvalidSpec(
            "there is no cluster to talk to",
            where="KUBECONFIG",
            found=str(error).partition("\n")[0],
            expected="a kubeconfig with a current context",
            fix="kubectl config use-context NAME, or leave out --engine argo",
        ) from error
    return Cluster(ApiClient(configuration), chosen["name"], chosen["context"].get("namespace") or "default")


def _context(name: str | None) -> dict[str, Any]:
    """An entry of the kubeconfig's contexts: that of a name, or the current one."""
    from kubernetes.config import list_kube_config_contexts

    listed: Any = list_kube_config_contexts()
    contexts, active = listed
    chosen = active if name is None else next((each for each in contexts if each["name"] == name), None)
    if chosen is None:
        raise InvalidSpec(
            "the kubeconfig has no such context",
            where="--context",
            found=name,
            expected=", ".join(each["name"] for each in contexts),
            fix="kubectl config get-contexts",
        )
    return chosen


def _inside() -> Cluster | None:
    """The cluster whose pod this is, and the pod's namespace; None outside of one."""
    from kubernetes.client import ApiClient, Configuration
    from kubernetes.config import ConfigException, load_incluster_config

    configuration = Configuration()
    try:
        load_incluster_config(client_configuration=configuration)
    except ConfigException:
        return None
    namespace = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read_text().strip()
    return Cluster(ApiClient(configuration), IN_CLUSTER, namespace)


def refusal(status: int, body: bytes, method: str, path: str) -> UpsError:
    """What the API server refused, as an error that says how to mend it. Pure."""
    try:
        message = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        message = body.decode(errors="replace").strip()[:500] or f"HTTP {status}"
    where = f"{method} {path}"
    if status == 401:
        return CredentialsInvalid(
            "the cluster does not know who you are",
            where=where,
            found=message,
            fix="log in, or kubectl config view",
        )
    if status == 403:
        return CredentialsInvalid(
            "the cluster does not let you do this", where=where, found=message, fix="ups doctor --engine argo"
        )
    if status == 404:
        fix = "ups status --engine argo"
        if "could not find the requested resource" in message or "page not found" in message:
            fix = "helm install ups charts/ups"  # said of a kind that the server does not know
        elif message.startswith("namespaces "):
            fix = "kubectl create namespace NAME, and helm upgrade with it in runNamespaces"
        return NotFound("not on the cluster", where=where, found=message, fix=fix)
    if status in (400, 422):
        return InvalidSpec(
            "the cluster refused the resource", where=where, found=message, fix=_way_out(message)
        )
    if status == 409:
        return InvalidSpec("another object is in the way", where=where, found=message)
    return ClusterUnavailable("the API server failed", where=where, found=f"HTTP {status}: {message}")


def _way_out(message: str) -> str | None:
    """Our rules on what cannot be changed say what to do instead; the rest is for ``ups check``."""
    if "cannot be changed" in message:
        return "create a resource of another name"
    return "raise it, or leave it" if "can only be raised" in message else "ups check FILE"


def _innermost(error: BaseException) -> str:
    """The cause at the bottom of what urllib3 wraps twice."""
    reason = getattr(error, "reason", None)
    while isinstance(reason, BaseException) and (deeper := getattr(reason, "reason", None)) is not None:
        reason = deeper
    return str(reason or error).partition("\n")[0][:300]
