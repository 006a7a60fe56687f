"""The cluster's life: a Kubernetes node, its control plane, Argo Workflows and S3, on this machine alone."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ups_core.errors import UpsError

from . import box, containers, services
from .build import argo_crds, program
from .client import Cluster
from .folders import CACHE, LOGS

#: The cluster as its administrator sees it.
CLUSTER = Cluster(services.KUBECONFIG)
S3_ENDPOINT = f"http://{box.ADDRESS}:{box.S3_PORT}"

#: Why tests are left out here: one of the reasons in tests/skips.txt, word for word.
CANNOT_RUN = "this machine cannot run a cluster: see tests/cluster/machine/packages.txt"
#: What Argo's controller watches, and would end without.
ARGO_RESOURCES = {
    "clusterworkflowtemplates",
    "cronworkflows",
    "workflowartifactgctasks",
    "workflows",
    "workflowtaskresults",
    "workflowtasksets",
    "workflowtemplates",
}

_NEEDED = (
    "go",
    "containerd",
    "runc",
    "buildah",
    "skopeo",
    "debootstrap",
    "busybox",
    "iptables",
    "ip",
    "unshare",
    "nsenter",
    "openssl",
)


def missing() -> list[str]:
    """What this machine lacks to run a cluster."""
    root = [] if os.geteuid() == 0 else ["root"]
    return root + [name for name in _NEEDED if not shutil.which(name)]


def require() -> None:
    """Refuse a machine that cannot run a cluster."""
    if lacking := missing():
        raise UpsError(
            CANNOT_RUN,
            found=f"no {', '.join(lacking)}",
            expected="root, Go 1.26 or newer, and those packages",
            fix="make cluster-packages, as root",
        )


def up(tell: Callable[[str], None] = print) -> bool:
    """Start a cluster, unless one runs; whether it was started. What an earlier one left is removed first."""
    with _lock("change"):
        return _up(tell)


def down() -> None:
    """End the cluster, once no tests use it. Its logs stay, and what the next one can do without making."""
    with _lock("change"), _lock("use"):
        box.destroy()


@contextmanager
def using(tell: Callable[[str], None] = print) -> Iterator[Cluster]:
    """A cluster that stays up meanwhile; one that was started for this is ended after its last user."""
    with _lock("change"):
        started = _up(tell)
        use = _open_lock("use", fcntl.LOCK_SH)
    try:
        yield CLUSTER
    finally:
        os.close(use)
        if started:
            down()


@contextmanager
def release() -> Iterator[None]:
    """Whoever installs UPS does so alone: a release has one namespace, and its rights are cluster-wide."""
    with _lock("release"):
        yield


def is_up() -> bool:
    return box.find() is not None and CLUSTER.is_own()


def audit_events() -> list[dict[str, Any]]:
    """Every request that the API server has answered so far, but for those of the cluster's own parts."""
    return [json.loads(line) for line in services.AUDIT.read_text().splitlines()]


def stop_api_server() -> None:
    """An outage: told to end, it would first wait a minute for whoever watches something."""
    box.stop("kube-apiserver", signal.SIGKILL)


def start_api_server() -> None:
    services.start_api_server()
    box.wait(_api_ready, "the API server", seconds=60)


def stop_argo() -> None:
    box.stop("workflow-controller")


def start_argo() -> None:
    services.start_argo()


def _up(tell: Callable[[str], None]) -> bool:
    if is_up():
        return False
    with _lock("use"):  # whoever uses it may have stopped its API server for a while
        if is_up():
            return False
        box.destroy()
    shutil.rmtree(LOGS, ignore_errors=True)
    with _timed("programs", tell):
        for name in ("etcd", "kubelet", "workflow-controller"):  # one of each module
            program(name)
    with _timed("images", tell):
        archives = containers.own_archives()
        argo_crds()
    with _timed("box", tell):
        box.create()
        services.write_files()
    services.start_s3()
    with ThreadPoolExecutor() as pool:
        parts = [pool.submit(_control_plane, tell), pool.submit(_containerd, archives, tell)]
        for part in parts:
            part.result()
    services.start_kubelet()
    with _timed("Argo", tell):
        _argo()
    with _timed("node and S3", tell):
        CLUSTER.kubectl("wait", "--for=create", f"node/{box.NODE}", "--timeout=60s")
        CLUSTER.kubectl("wait", "--for=condition=Ready", f"node/{box.NODE}", "--timeout=60s")
        box.wait(_s3_ready, "S3", seconds=60)
    CLUSTER.claim()
    return True


def _control_plane(tell: Callable[[str], None]) -> None:
    with _timed("control plane", tell):
        services.start_etcd()
        services.start_api_server()
        box.wait(_api_ready, "the API server", seconds=60)
        services.start_controller_manager()
        services.start_scheduler()


def _containerd(archives: list[Path], tell: Callable[[str], None]) -> None:
    with _timed("containerd", tell):
        services.start_containerd()
        box.wait(_containerd_ready, "containerd", seconds=60)
        if containers.remove_containers():
            box.stop("containerd")  # it had read them already
            services.start_containerd()
            box.wait(_containerd_ready, "containerd", seconds=60)
        for archive in archives:
            containers.import_image(archive)


def _argo() -> None:
    """Argo as its own manifests install it, but for the controller, which is a process here."""
    # `apply` reads the whole API's schema, which is large once Argo's definitions are in it.
    CLUSTER.kubectl("apply", "--server-side", "-k", services.write_argo())
    CLUSTER.kubectl("create", "--validate=false", "--filename", argo_crds())
    box.wait(_argo_served, "Argo's resources", seconds=60, every=0.5)
    services.start_argo()


def _api_ready() -> bool:
    try:
        trust = ssl.create_default_context(cafile=services.CERTIFICATE)
    except OSError:  # it is about to make its certificate
        return False
    return _answers(f"{services.API}/readyz", trust)


def _s3_ready() -> bool:
    return _answers(f"{S3_ENDPOINT}/healthz")


def _answers(url: str, trust: ssl.SSLContext | None = None) -> bool:
    handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)]
    try:
        urllib.request.build_opener(*handlers).open(url, timeout=5).close()
    except OSError:
        return False
    return True


def _argo_served() -> bool:
    """Whether the API server serves all of Argo's resources (`kubectl wait` fails on one just made)."""
    try:
        served = json.loads(CLUSTER.kubectl("get", "--raw=/apis/argoproj.io/v1alpha1"))["resources"]
    except UpsError:
        return False
    return {resource["name"] for resource in served} >= ARGO_RESOURCES


def _containerd_ready() -> bool:
    try:
        containers.images()
    except UpsError:
        return False
    return True


@contextmanager
def _lock(name: str) -> Iterator[None]:
    """``change`` is held to start or end the cluster, ``use`` to keep it; always taken in this order."""
    file = _open_lock(name, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(file)


def _open_lock(name: str, how: int) -> int:
    CACHE.mkdir(parents=True, exist_ok=True)
    file = os.open(CACHE / f"{name}.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(file, how)
    return file


@contextmanager
def _timed(what: str, tell: Callable[[str], None]) -> Iterator[None]:
    start = time.monotonic()
    yield
    tell(f"{what}: {time.monotonic() - start:.1f} s")
