"""UPS's own images: built from this checkout by ``images/Containerfile``, and brought into the cluster.

``python -m machine.images [NAME...]``, run in ``tests/cluster``, builds them, imports them where a
cluster runs, and prints their references. A change of code costs seconds, though one of them has 6 GB:
nothing is built whose sources are as they were; buildah keeps the layers of dependencies; and layers
travel uncompressed, only those that containerd lacks.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from ups_core.errors import UpsError

from . import box, containers
from .folders import CACHE, HERE

NAMES = ("operator", "data", "torch")
ROOT = HERE.parents[2]
CONTAINERFILE = ROOT / "images" / "Containerfile"
#: All that an image can be made of; `.dockerignore` names the same.
SOURCES = ("pyproject.toml", "uv.lock", "images", "ups_core", "workflows", "operator")
#: In place of the public base, which not every machine can pull: Debian, its Python and certificates.
SUITE, PACKAGES = "bookworm", "python3,ca-certificates"

FOLDER = CACHE / "images"
#: An OCI image layout that holds the last builds of each image.
LAYOUT = FOLDER / "layout"
#: So many, for whoever still reads one while another is made. They differ by kilobytes.
KEPT = 8
#: buildah's images, and what of its state must not survive a reboot; one for each cache folder.
_STORAGE = FOLDER / "storage"
_RUN_ROOT = Path("/run") / f"ups-images-{hashlib.sha256(str(FOLDER).encode()).hexdigest()[:8]}"
_CERTIFICATES = Path("/etc/ssl/certs")
_UV = ROOT / ".uv" / "bin" / "uv"
_REF_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True)
class Image:
    """An image in ``LAYOUT``."""

    name: str
    #: Of its manifest.
    digest: str

    @property
    def reference(self) -> str:
        """Its name in the cluster: other contents have another one."""
        return f"{self.line}-{self.digest.removeprefix('sha256:')[:12]}"

    @property
    def line(self) -> str:
        """How the references of all begin that differ from it in their code, the last layer, alone."""
        return (
            f"ups.test/ups-{self.name}:{hashlib.sha256(''.join(self.layers[:-1]).encode()).hexdigest()[:6]}"
        )

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return json.loads(blob(self.digest).read_bytes())

    @property
    def layers(self) -> list[str]:
        return [layer["digest"] for layer in self.manifest["layers"]]

    @property
    def blobs(self) -> list[str]:
        """The digests of all that belongs to it."""
        return [self.digest, self.manifest["config"]["digest"], *self.layers]


def build(*names: str) -> list[Image]:
    """The images of this checkout, built where their sources have changed."""
    key = _key()
    with _lock():
        missing = [name for name in names if _find(name, key) is None]
        for name in missing:
            _build(name, f"--tag={_tag(name)}")
            _put(name, key)
        if missing:
            _tidy()
        images = [_find(name, key) for name in names]
    return [image for image in images if image is not None]


def bring(*names: str) -> list[Image]:
    """Build images and have them in the running cluster."""
    images = build(*names)
    for image in images:
        if containers.images().get(image.reference) != image.digest:
            _import(image)
            _remove_outdated(image)
    return images


def build_twice(name: str) -> tuple[str, str]:
    """The IDs of an image as it is built from here, and as it is built with no layer of an earlier build."""
    with _lock(), tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        first, again = Path(folder, "first"), Path(folder, "again")
        _build(name, f"--iidfile={first}")
        _build(name, f"--iidfile={again}", "--no-cache")
        buildah("rmi", "--prune", "--force")
        return first.read_text(), again.read_text()


def _build(name: str, *options: str) -> None:
    """Build one target of the Containerfile with ``options`` of ``buildah build``.

    Package indices are reached as this machine reaches them: its certificates are mounted, its uv's
    settings are a secret, and what its uv has downloaded is used; nothing of that stays in the image.
    """
    settings = [
        path for path in (Path("/etc/uv/uv.toml"), Path.home() / ".config/uv/uv.toml") if path.exists()
    ]
    buildah(
        "build",
        "--layers",
        "--isolation=chroot",
        "--network=host",
        "--timestamp=0",
        "--format=oci",  # Docker's own has names of chance in it, though it alone has health checks
        f"--volume={_run(_UV, 'cache', 'dir').strip()}:/run/cache",
        *([f"--volume={_CERTIFICATES}:{_CERTIFICATES}:ro"] if _CERTIFICATES.exists() else []),
        *(f"--secret=id=uv,src={path}" for path in settings[-1:]),
        f"--build-arg=BASE={_base()}",
        f"--build-arg=UV={_uv()}",
        f"--file={CONTAINERFILE}",
        f"--target={name}",
        *options,
        str(ROOT),
    )


def buildah(*arguments: str | Path, stdin: str | None = None) -> str:
    """What buildah prints, with the images of this folder in place of the machine's.

    It leaves image after image mounted, hence mounts of its own, which end with it.
    """
    roots = ["--storage-driver=overlay", f"--root={_STORAGE}", f"--runroot={_RUN_ROOT}"]
    return _run("unshare", "--mount", "buildah", *roots, *arguments, stdin=stdin)


def _tag(name: str) -> str:
    """What buildah calls the last build of an image."""
    return f"localhost/{name}"


def _put(name: str, key: str) -> None:
    """Write an image into the layout in place of the one before, without layers that are there already."""
    storage = f"[overlay@{_STORAGE}+{_RUN_ROOT}]"
    _run(
        "unshare",
        "--mount",
        "skopeo",
        "copy",
        "--quiet",
        "--dest-oci-accept-uncompressed-layers",
        f"containers-storage:{storage}{_tag(name)}",
        f"oci:{LAYOUT}:{name}-{key}",
    )


def _find(name: str, key: str) -> Image | None:
    for entry in _index():
        if entry["annotations"][_REF_NAME] == f"{name}-{key}":
            return _image(entry)
    return None


def _image(entry: dict[str, Any]) -> Image:
    return Image(entry["annotations"][_REF_NAME].rpartition("-")[0], entry["digest"])


def _index() -> list[dict[str, Any]]:
    file = LAYOUT / "index.json"
    return json.loads(file.read_bytes())["manifests"] if file.exists() else []


def blob(digest: str) -> Path:
    """Where the layout has the contents of that digest."""
    return LAYOUT / "blobs" / "sha256" / digest.removeprefix("sha256:")


def _tidy() -> None:
    """Forget all but the last builds of each image, in the layout and in buildah's storage."""
    newest_first = [(entry, _image(entry)) for entry in reversed(_index())]
    lines = {image.name: image.line for _, image in reversed(newest_first)}
    kept: list[tuple[dict[str, Any], Image]] = []
    for entry, image in newest_first:
        if image.line == lines[image.name] and sum(other.name == image.name for _, other in kept) < KEPT:
            kept.insert(0, (entry, image))
    index = {"schemaVersion": 2, "manifests": [entry for entry, _ in kept]}
    (LAYOUT / "index.json").write_text(json.dumps(index))
    blobs = {digest for _, image in kept for digest in image.blobs}
    for file in (LAYOUT / "blobs" / "sha256").iterdir():
        if f"sha256:{file.name}" not in blobs:
            file.unlink()
    buildah("rmi", "--prune", "--force")


def _import(image: Image) -> None:
    """Stream an image into containerd, without the blobs that it has."""
    there = set(containers.ctr("content", "list", "--quiet").split())
    command = box.command("ctr", "--namespace=k8s.io", "images", "import", "-")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as ctr:
        assert ctr.stdin is not None
        assert ctr.stdout is not None
        with suppress(BrokenPipeError):  # it ended early, and said why
            _write_archive(image, ctr.stdin, [each for each in image.blobs if each not in there])
            ctr.stdin.close()
        said = ctr.stdout.read().decode()
    if ctr.returncode or containers.images().get(image.reference) != image.digest:
        raise UpsError("an image was not imported", where=image.reference, found=said)


def _remove_outdated(image: Image) -> None:
    """Free what images of other dependencies hold, gigabytes. Others may be in use, and are small."""
    there = containers.images()
    outdated = {
        digest
        for reference, digest in there.items()
        if reference.startswith(f"ups.test/ups-{image.name}:") and not reference.startswith(image.line)
    }
    if names := [name for name, digest in there.items() if digest in outdated]:
        containers.ctr("images", "remove", *names)


def _write_archive(image: Image, to: IO[bytes], blobs: Sequence[str]) -> None:
    """An ``oci-archive`` of one image that holds only some of its blobs."""
    entry = next(entry for entry in _index() if entry["digest"] == image.digest)
    index = {"schemaVersion": 2, "manifests": [{**entry, "annotations": {_REF_NAME: image.reference}}]}
    with tarfile.open(fileobj=to, mode="w|") as tar:
        for name, text in (("oci-layout", {"imageLayoutVersion": "1.0.0"}), ("index.json", index)):
            contents = json.dumps(text).encode()
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            tar.addfile(member, io.BytesIO(contents))
        for digest in blobs:
            tar.add(blob(digest), f"blobs/sha256/{blob(digest).name}")


def _key() -> str:
    """A hash of all that the images are made of, this recipe included."""
    digest = hashlib.sha256(Path(__file__).read_bytes() + _uv_version().encode())
    for source in SOURCES:
        path = ROOT / source
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(ROOT)}\0".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _base() -> str:
    """The base image, made if it is not there (a minute)."""
    if not _exists(_base_name()):
        FOLDER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER, prefix="base-") as tree:
            _run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, tree)
            # No timestamp is set: the standard library's compiled files go by the times of their sources.
            for leftover in ("var/cache/apt", "var/lib/apt/lists", "var/log"):
                shutil.rmtree(Path(tree, leftover))
                Path(tree, leftover).mkdir()
            buildah("build", f"--tag={_base_name()}", "--file=-", tree, stdin="FROM scratch\nCOPY . /\n")
    return _base_name()


def _base_name() -> str:
    return f"localhost/base:{hashlib.sha256(f'{SUITE} {PACKAGES}'.encode()).hexdigest()[:16]}"


def _uv() -> str:
    """An image of nothing but this checkout's uv, as the public one of that name is."""
    name = f"localhost/uv:{_uv_version()}"
    if not _exists(name):
        buildah(
            "build",
            "--timestamp=0",
            f"--tag={name}",
            "--file=-",
            _UV.parent,
            stdin="FROM scratch\nCOPY uv /\n",
        )
    return name


def _uv_version() -> str:
    return _run(_UV, "--version").split()[1]


def _exists(name: str) -> bool:
    return bool(buildah("images", "--quiet", "--filter", f"reference={name}").strip())


def _run(*command: str | Path, stdin: str | None = None) -> str:
    """What a command prints; it steps aside for whatever else the machine does."""
    line = ["nice", *map(str, command)]
    done = subprocess.run(line, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UpsError("a command failed", where=" ".join(line), found=done.stderr[-2000:])
    return done.stdout


@contextmanager
def _lock() -> Iterator[None]:
    """One build at a time."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m machine.images", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", default=NAMES, help=f"default: {' '.join(NAMES)}")
    names = parser.parse_args().names
    try:
        for image in bring(*names) if box.find() else build(*names):
            sys.stdout.write(f"{image.reference}@{image.digest}\n")
    except UpsError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
