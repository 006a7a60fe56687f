"""The programs of a cluster, built from the Go modules in ``tests/cluster/tools``, once a machine.

Each module's programs lie in a folder of the cache that is named by the hash of all that decides
their bytes: ``go.mod``, ``go.sum`` and the recipe here. A change of one module rebuilds that one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .folders import CACHE, TOOLS

KUBERNETES = "v1.35.4"
ARGO = "v3.7.18"


@dataclass(frozen=True)
class Module:
    """One Go module of ``tools``: its programs, by name, and how they are built."""

    name: str
    programs: dict[str, str]
    ldflags: str = "-s -w"
    environment: dict[str, str] = field(default_factory=dict)
    #: A file that the module archive cannot hold, being a symbolic link, and the file it points to.
    link: tuple[str, str] | None = None
    #: Folders of the sources that are kept beside the programs: module path, folder.
    keep: tuple[str, str] | None = None


_K8S = "k8s.io/kubernetes/cmd"
_VERSION = "k8s.io/component-base/version"
_ARGO = "github.com/argoproj/argo-workflows/v3"
_SIGNALS = f"vendor/{_ARGO}/workflow/executor/osspecific"

MODULES = (
    Module("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}, ldflags=""),
    Module(
        "kubernetes",
        {
            name: f"{_K8S}/{name}"
            for name in (
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubelet",
                "kubectl",
            )
        },
        # Unstamped, the API server calls itself v0.0.0 and clients refuse it.
        ldflags=f"-s -w -X {_VERSION}.gitVersion={KUBERNETES}"
        f" -X {_VERSION}.gitMajor={KUBERNETES[1:].split('.')[0]}"
        f" -X {_VERSION}.gitMinor={KUBERNETES.split('.')[1]}",
    ),
    Module(
        "argo",
        {name: f"{_ARGO}/cmd/{name}" for name in ("workflow-controller", "argoexec")},
        environment={"CGO_ENABLED": "0"},  # argoexec's image has no libc
        link=(f"{_SIGNALS}/signal_linux.go", f"{_SIGNALS}/signal_darwin.go"),
        keep=(_ARGO, "manifests"),
    ),
    Module("helm", {"helm": "helm.sh/helm/v4/cmd/helm"}),
)


def program(name: str) -> Path:
    """The binary called ``name``, built if this machine has none yet (minutes, the first time)."""
    [module] = [module for module in MODULES if name in module.programs]
    return build(module) / "bin" / name


def argo_manifests() -> Path:
    """Argo's own manifests, of the version that is built."""
    [module] = [module for module in MODULES if module.name == "argo"]
    return build(module) / "manifests"


#: What a Workflow's status repeats of templates, in more than half of its full definition.
_REPEATED = ("storedTemplates", "storedWorkflowTemplateSpec")


def argo_crds() -> Path:
    """Argo's resource definitions as JSON: that of a Workflow in full, so that unknown fields are refused.

    The others are minimal, as Argo installs them by default, and a Workflow's may repeat templates
    unchecked: an API server is busy for a minute when it has to take in all that Argo offers.
    """
    made = argo_manifests().with_name("crds.json")
    if not made.exists():
        folder = argo_manifests() / "base" / "crds"
        crds = {file.name: _yaml(file) for file in sorted((folder / "minimal").glob("argoproj.io_*.yaml"))}
        full = folder / "full" / "argoproj.io_workflows.yaml"
        crds[full.name] = _without_prose(_yaml(full))
        [version] = crds[full.name]["spec"]["versions"]
        status = version["schema"]["openAPIV3Schema"]["properties"]["status"]
        unchecked = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        status["properties"] |= dict.fromkeys(_REPEATED, unchecked)
        scratch = made.with_suffix(".new")
        scratch.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(crds.values())}))
        scratch.rename(made)
    return made


def _yaml(file: Path) -> Any:
    return yaml.load(file.read_text(), Loader=yaml.CSafeLoader)


def _without_prose(schema: Any) -> Any:
    """``schema`` without descriptions; a property of that name is no text, and stays."""
    match schema:
        case dict():
            kept = {k: v for k, v in schema.items() if not (k == "description" and isinstance(v, str))}
            return {key: _without_prose(value) for key, value in kept.items()}
        case list():
            return [_without_prose(each) for each in schema]
    return schema


def folder(module: Module) -> Path:
    """Where the module's programs lie, or will."""
    sources = [(TOOLS / module.name / name).read_bytes() for name in ("go.mod", "go.sum")]
    recipe = hashlib.sha256(b"\0".join([*sources, repr(module).encode()])).hexdigest()
    return CACHE / "programs" / f"{module.name}-{recipe[:16]}"


def build(module: Module) -> Path:
    """The module's folder. It appears whole or not at all: it is made elsewhere and renamed."""
    made = folder(module)
    if made.exists():
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=made.parent, prefix=f".{module.name}-") as scratch:
        sources, result = Path(scratch, "sources"), Path(scratch, "result")
        shutil.copytree(TOOLS / module.name, sources)
        (result / "bin").mkdir(parents=True)
        if module.link:
            _go("mod", "vendor", cwd=sources)
            linked, target = module.link
            shutil.copyfile(sources / target, sources / linked)
        for name, package in module.programs.items():
            flags = ["-trimpath", "-buildvcs=false", "-ldflags", module.ldflags]
            _go("build", *flags, "-o", result / "bin" / name, package, cwd=sources, env=module.environment)
        if module.keep:
            path, kept = module.keep
            tree = Path(_go("list", "-mod=mod", "-m", "-f", "{{.Dir}}", path, cwd=sources).strip())
            shutil.copytree(tree / kept, result / kept)
            subprocess.run(["chmod", "-R", "u+w", result], check=True)  # Go's module cache is read-only
        result.rename(made)
    return made


def _go(*arguments: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """What ``go`` prints; it steps aside for whatever else the machine does."""
    command = ["nice", "go", *map(str, arguments)]
    environment = os.environ | (env or {})
    return subprocess.run(
        command, cwd=cwd, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
