"""Images: bringing archives into containerd, and the two that the cluster itself needs."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from ups_core.errors import UpsError

from . import box
from .build import ARGO, program
from .folders import CACHE

#: Pods' sandboxes, and whatever a test does with a shell: all applets of busybox.
BUSYBOX = "ups.test/busybox:1"
#: What Argo puts beside the containers of a step.
ARGOEXEC = f"ups.test/argoexec:{ARGO}"

_BUSYBOX = """
FROM scratch
COPY . /
USER 65532
CMD ["/bin/sleep", "infinity"]
"""
_ARGOEXEC = """
FROM scratch
COPY . /
ENV PATH=/bin
USER 8737
ENTRYPOINT ["argoexec"]
"""


def import_image(archive: Path) -> str:
    """Bring an ``oci-archive`` into the cluster, if it is not there; its reference.

    Layers that are there already are not written again, so an image whose last layer changed
    takes as long as that layer.
    """
    reference, digest = _identity(archive)
    if images().get(reference) != digest:
        ctr("images", "import", archive)
        if images().get(reference) != digest:
            raise UpsError("an image is not what its archive holds", where=archive, expected=digest)
    return reference


def images() -> dict[str, str]:
    """The digest of each image that the cluster has, by its reference."""
    rows = [line.split() for line in ctr("images", "list").splitlines()[1:]]
    return {row[0]: row[2] for row in rows}


def remove_containers() -> int:
    """Remove what containerd remembers of pods that ended with an earlier box; how many there were."""
    names = ctr("containers", "list", "--quiet").split()
    if names:
        ctr("containers", "remove", *names)
    return len(names)


def ctr(*arguments: str | Path) -> str:
    """What ``ctr`` prints, asked about the images and containers of pods."""
    return box.run("ctr", "--namespace", "k8s.io", *arguments)


def own_archives() -> list[Path]:
    """Archives of the cluster's own images."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise UpsError("no busybox on this machine", fix="make cluster-packages")
    applets = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    return [
        _archive(
            BUSYBOX, Path(busybox), "busybox", _BUSYBOX, links=[name for name in applets if name != "busybox"]
        ),
        _archive(ARGOEXEC, program("argoexec"), "argoexec", _ARGOEXEC),
    ]


def _archive(
    reference: str, binary: Path, name: str, containerfile: str, links: list[str] | None = None
) -> Path:
    """An image of one static binary in ``/bin``, and links to it; made once for each of its contents."""
    contents = b"\0".join([binary.read_bytes(), containerfile.encode(), " ".join(links or []).encode()])
    archive = CACHE / "basic-images" / f"{name}-{hashlib.sha256(contents).hexdigest()[:16]}.tar"
    if archive.exists():
        return archive
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent) as scratch:
        tree = Path(scratch, "tree")
        (tree / "bin").mkdir(parents=True)
        (tree / "tmp").mkdir()
        (tree / "tmp").chmod(0o1777)  # mkdir's mode passes through the umask
        shutil.copy(binary, tree / "bin" / name)
        for link in links or []:
            (tree / "bin" / link).symlink_to(name)
        Path(scratch, "Containerfile").write_text(containerfile)
        buildah = ["buildah", "--storage-driver=vfs", f"--root={scratch}/root", f"--runroot={scratch}/run"]
        for command in (
            [
                "build",
                "--isolation=chroot",
                "--timestamp=0",
                f"--file={scratch}/Containerfile",
                f"--tag={reference}",
                tree,
            ],
            ["push", reference, f"oci-archive:{scratch}/image.tar:{reference}"],
        ):
            subprocess.run([*buildah, *command], check=True, capture_output=True)
        Path(scratch, "image.tar").rename(archive)
    return archive


def _identity(archive: Path) -> tuple[str, str]:
    """The reference and the digest of the one image in an ``oci-archive``."""
    with tarfile.open(archive) as tar:
        index = tar.extractfile("index.json")
        assert index is not None
        [manifest] = json.load(index)["manifests"]
    return manifest["annotations"]["org.opencontainers.image.ref.name"], manifest["digest"]
