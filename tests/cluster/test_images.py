"""The images: what is in them and what is not, that they are the same each time and run where they must."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from machine import images
from machine.client import Cluster
from prometheus_client import CollectorRegistry
from test_machine import CONTAINER_SECURITY, POD_SECURITY

from ups_operator.server import Health, serve

#: Nothing of the machine that builds.
ENVIRONMENT = {
    "PATH",
    "PYTHONUNBUFFERED",
    "PYTHONDONTWRITEBYTECODE",
    "USER",
    "HOME",
    "XDG_CACHE_HOME",
    "MPLCONFIGDIR",
}
SOAK = os.environ.get("UPS_SOAK") == "1"


@pytest.fixture(scope="module")
def built(own_cluster: Cluster) -> dict[str, images.Image]:
    """The three images of a cluster, which has them."""
    return {image.name: image for image in images.bring(*images.NAMES)}


def config(image: images.Image) -> dict[str, Any]:
    return json.loads(images.blob(image.manifest["config"]["digest"]).read_bytes())


def layer_files(digest: str) -> list[str]:
    """Files of a layer. Of empty ones buildah makes some as it mounts and names things."""
    with tarfile.open(images.blob(digest)) as tar:
        return [member.name for member in tar if member.size or member.issym() or member.islnk()]


def installed(image: images.Image) -> set[str]:
    """Names of packages and modules in the image's environment."""
    names = (name for layer in image.layers for name in layer_files(layer))
    found = (re.match(r"opt/ups/lib/python[^/]+/site-packages/([^/-]+)", name) for name in names)
    return {match[1] for match in found if match}


def test_an_image_holds_what_its_steps_need_and_no_more(built: dict[str, images.Image]):
    has = {name: installed(image) for name, image in built.items()}
    assert has["operator"] >= {"ups_operator", "ups_workflows", "ups_core", "kopf"}
    assert has["data"] >= {"ups_core", "h5py", "imageio_ffmpeg", "matplotlib"}
    assert has["torch"] >= has["data"] | {"torch", "wandb"}
    assert not has["operator"] & {"torch", "h5py", "numpy", "scipy"}
    assert not has["data"] & {"torch", "wandb", "ups_workflows", "ups_operator"}


@pytest.mark.parametrize("name", images.NAMES)
def test_a_build_leaves_nothing_but_the_environment(built: dict[str, images.Image], name: str):
    base, *layers = (layer_files(layer) for layer in built[name].layers)
    added = {path for layer in layers for path in layer}
    assert {path for path in added if not path.startswith("opt/ups/")} == {"etc/passwd", "etc/group"}
    everything = [*base, *(path for layer in layers for path in layer)]
    tools = {"pip", "pip3", "uv", "uvx", "gcc", "cc", "make", "ensurepip", "setuptools", "hatchling"}
    assert [path for path in everything if path.rpartition("/")[2] in tools] == []


def test_the_operator_is_small(built: dict[str, images.Image]):
    sizes = [compressed_size(images.blob(layer)) for layer in built["operator"].layers]
    assert sum(sizes) < 150e6, sizes


def compressed_size(file: Path) -> int:
    """Bytes of a layer as a registry holds it, rather over than under: by the weakest compression."""
    zipped, size = zlib.compressobj(level=1), 0
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            size += len(zipped.compress(chunk))
    return size + len(zipped.flush())


def test_a_change_of_code_moves_little(built: dict[str, images.Image]):
    assert built["torch"].layers[:4] == built["data"].layers[:4]  # the base, and what both depend on
    for image in built.values():
        assert images.blob(image.layers[-1]).stat().st_size < 10e6


@pytest.mark.parametrize("name", images.NAMES)
def test_it_says_what_it_is(built: dict[str, images.Image], name: str):
    found = config(built[name])["config"]
    assert found["User"] == "65532:65532"
    assert found["Entrypoint"] == ["ups-operator" if name == "operator" else "ups-step"]
    labels = {key.rpartition(".")[2]: value for key, value in found["Labels"].items()}
    assert labels["title"].startswith("UPS ")
    assert (labels["version"], labels["licenses"]) == (version("ups-core"), "Apache-2.0")
    assert {"revision", "source"} <= set(labels)
    assert {each.partition("=")[0] for each in found["Env"]} == ENVIRONMENT


@pytest.mark.parametrize(("resynced", "code"), [(0, 0), (1000, 1)])
def test_the_health_check_asks_the_operator(resynced: float, code: int):
    health = Health(period_seconds=10)
    health._last -= resynced
    server = serve(0, CollectorRegistry(), health)
    text = images.CONTAINERFILE.read_text().replace("\\\n", "")
    [check] = re.findall(r"^HEALTHCHECK CMD (.*)$", text, re.MULTILINE)
    _, *arguments = json.loads(check.replace("8080", str(server.server_port)))
    assert subprocess.run([sys.executable, *arguments], check=False).returncode == code
    server.shutdown()


@pytest.mark.parametrize("name", images.NAMES if SOAK else ("operator", "data"))
def test_built_again_it_is_the_same(name: str):
    first, again = images.build_twice(name)
    assert again == first


#: What a container may not do, and what it must be able to do without.
PROBE = """
import os, pathlib, sys, tempfile
assert (os.getuid(), os.getgid()) == (65532, 65532)
for folder in ("/", "/opt/ups", "/work"):
    assert not os.access(folder, os.W_OK), folder
assert tempfile.gettempdir() == str(pathlib.Path.home()) == "/tmp"
"""
USES = {
    "operator": "import ups_operator.cli as cli; cli.main(['run', '--help'])",
    "data": "import ups_core.steps.__main__, h5py, zarr; from imageio_ffmpeg import get_ffmpeg_version; "
    "get_ffmpeg_version(); from matplotlib.pyplot import figure; figure()",
    "torch": "import torch, wandb; print(torch.ones(2).sum(), torch.version.cuda)",
}


@pytest.mark.parametrize("name", images.NAMES)
def test_it_runs_under_the_restricted_standard_on_a_read_only_root(
    built: dict[str, images.Image], cluster: Cluster, namespace: str, name: str
):
    container = {
        "name": "main",
        "image": built[name].reference,
        "command": ["python", "-c", PROBE + USES[name]],
        "securityContext": {**CONTAINER_SECURITY, "readOnlyRootFilesystem": True},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    spec = {
        "restartPolicy": "Never",
        "securityContext": POD_SECURITY,
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    cluster.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
    )
    where = f"--namespace={namespace}"
    ended = "--for=jsonpath={.status.containerStatuses[0].state.terminated}"
    cluster.kubectl("wait", ended, "--timeout=120s", where, f"pod/{name}")
    state = cluster.get("pod", name, where)["status"]["containerStatuses"][0]["state"]["terminated"]
    assert state["exitCode"] == 0, cluster.kubectl("logs", where, name)


def test_uv_is_the_one_of_the_checkout():
    text = images.CONTAINERFILE.read_text()
    [in_images] = re.findall(r"^ARG UV=\S+:(\S+)$", text, re.MULTILINE)
    [in_checkout] = re.findall(r"^UV_VERSION := (\S+)$", (images.ROOT / "Makefile").read_text(), re.MULTILINE)
    assert in_images == in_checkout
