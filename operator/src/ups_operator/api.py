"""The API server, as far as the operator needs it: raw JSON, and errors by what to do about them.

``kubernetes`` brings configuration, credentials and connections. Its typed models are passed by: most of what
is read here is custom anyway, and building them would cost more than the request.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol
from urllib.request import getproxies_environment

import aiohttp
from kubernetes.aio import client, config

from ups_core.api.common import API_VERSION
from ups_core.api.crds import NAMES

#: Seconds until an answer is given up. What was asked for may have been done all the same.
TIMEOUT_SECONDS = 30
#: Objects a page of a list.
PAGE = 500


class Path(NamedTuple):
    """Where a kind of object lies below the API server's root."""

    group_version: str
    plural: str
    namespaced: bool = True

    def url(self, namespace: str | None, name: str | None = None) -> str:
        root = "api" if "/" not in self.group_version else "apis"
        parts = [root, self.group_version]
        if namespace is not None and self.namespaced:
            parts += ["namespaces", namespace]
        return "/" + "/".join([*parts, self.plural, *([name] if name is not None else [])])


PATHS = {
    **{kind: Path(API_VERSION, names.plural, names.scope == "Namespaced") for kind, names in NAMES.items()},
    "Workflow": Path("argoproj.io/v1alpha1", "workflows"),
    "Event": Path("v1", "events"),
    "CustomResourceDefinition": Path(
        "apiextensions.k8s.io/v1", "customresourcedefinitions", namespaced=False
    ),
}


class ApiError(Exception):
    """The API server did not do what was asked."""


class Conflict(ApiError):
    """409: it has changed since it was read, is another one, or exists already. Read and decide again."""


class Missing(ApiError):
    """404: the object is not there."""


class Refused(ApiError):
    """400, 413, 422: what was sent cannot be. Sending it again is no use."""


class Denied(ApiError):
    """401, 403: we may not, or not now: a quota is used up, a namespace is going away."""


class Unavailable(ApiError):
    """No answer, or 429 or 5xx, or a kind that is not served now. It may have been done all the same."""


ERRORS = {
    400: Refused,
    401: Denied,
    403: Denied,
    404: Missing,
    409: Conflict,
    413: Refused,
    422: Refused,
}


class Api(Protocol):
    """What the operator asks of the API server. Every method raises :class:`ApiError`."""

    async def get(self, kind: str, namespace: str | None, name: str) -> dict[str, Any] | None:
        """The object as it is now, or None. Never an older one."""
        ...

    async def list(self, kind: str, namespace: str | None, selector: str = "") -> list[dict[str, Any]]:
        """All objects of a kind; of all namespaces where ``namespace`` is None."""
        ...

    async def create(
        self, kind: str, namespace: str | None, manifest: Mapping[str, Any]
    ) -> dict[str, Any]: ...

    async def patch(
        self, kind: str, namespace: str | None, name: str, patch: Any, *, subresource: str = ""
    ) -> dict[str, Any]:
        """A list is a JSON patch (RFC 6902), a mapping a merge patch (RFC 7396)."""
        ...

    async def delete(self, kind: str, namespace: str | None, name: str, uid: str) -> None:
        """Delete the object if it has this uid; Conflict where it has another."""
        ...


class KubernetesApi:
    """The API server of the present kubeconfig, or of the cluster that this process runs in."""

    def __init__(self, connection: client.ApiClient) -> None:
        self._connection = connection

    @classmethod
    async def connect(cls) -> KubernetesApi:
        """By ``$KUBECONFIG``; else, in a pod, as its service account; else by ``~/.kube/config``."""
        kubeconfig = os.environ.get("KUBECONFIG")
        try:
            if "KUBERNETES_SERVICE_HOST" in os.environ and not kubeconfig:
                config.load_incluster_config()
            else:
                await config.load_kube_config(config_file=kubeconfig)
        except config.ConfigException as error:
            raise Denied(f"no credentials for a cluster: {error}") from error
        settings = client.Configuration.get_default_copy()
        # With trust_env aiohttp looks for proxies and a .netrc in a thread, twice for every request.
        settings.client_session_kwargs = {"trust_env": bool(getproxies_environment())}
        return cls(client.ApiClient(settings))

    async def close(self) -> None:
        await self._connection.close()

    async def get(self, kind: str, namespace: str | None, name: str) -> dict[str, Any] | None:
        try:
            return await self._call("GET", PATHS[kind].url(namespace, name))
        except Missing:
            return None

    async def list(self, kind: str, namespace: str | None, selector: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            query = {"limit": str(PAGE), "labelSelector": selector, "continue": token}
            page = await self._call(
                "GET", PATHS[kind].url(namespace), query={k: v for k, v in query.items() if v}
            )
            found += page["items"]
            token = page["metadata"].get("continue", "")
            if not token:
                return found

    async def create(self, kind: str, namespace: str | None, manifest: Mapping[str, Any]) -> dict[str, Any]:
        return await self._call("POST", PATHS[kind].url(namespace), manifest)

    async def patch(
        self, kind: str, namespace: str | None, name: str, patch: Any, *, subresource: str = ""
    ) -> dict[str, Any]:
        url = PATHS[kind].url(namespace, name) + (f"/{subresource}" if subresource else "")
        form = "json-patch" if isinstance(patch, list) else "merge-patch"
        return await self._call("PATCH", url, patch, content_type=f"application/{form}+json")

    async def apply(self, kind: str, manifest: Mapping[str, Any], manager: str) -> dict[str, Any]:
        """Server-side apply of an object of the whole cluster: what ``manager`` says holds."""
        url = PATHS[kind].url(None, manifest["metadata"]["name"])
        query = {"fieldManager": manager, "force": "true"}
        return await self._call(
            "PATCH", url, manifest, query=query, content_type="application/apply-patch+yaml"
        )

    async def delete(self, kind: str, namespace: str | None, name: str, uid: str) -> None:

        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        await self._call("DELETE", PATHS[kind].url(namespace, name), body)

    async def _call(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """One request. Errors come out as the class that says what to do."""
        try:
            # Credentials may have to be renewed, so every request asks for them.
            request = await self._connection.param_serialize(
                method,
                url,
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json", "Content-Type": content_type},
                auth_settings=["BearerToken"],
            )
            # The body goes past param_serialize, which would copy it in search of typed models.
            method, url, headers, *_ = request
            response = await self._connection.call_api(
                method, url, headers, body, _request_timeout=TIMEOUT_SECONDS
            )
            text = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"{method} {url}: {type(error).__name__}: {error}") from error
        if response.status >= 400:
            raise error_of(response.status, f"{method} {url}", text)
        return json.loads(text)


def error_of(status: int, request: str, text: bytes) -> ApiError:
    """The error of an answer.

    A 404 without a name is about the kind: its CustomResourceDefinition is not there, or the API server has
    just started and does not know it yet. Nothing can be said of the object then, not even that it is gone.
    """
    try:
        said = json.loads(text)
    except ValueError:
        said = {}
    message = f"{request}: {status} {said.get('message') or text[:300].decode(errors='replace')}"
    if status == 404 and not (said.get("details") or {}).get("name"):
        return Unavailable(message)
    return ERRORS.get(status, Unavailable)(message)
