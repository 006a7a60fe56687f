"""Asking a cluster and changing it, through ``kubectl``; and the guard of those that are not ours."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ups_core.errors import InvalidSpec, UpsError

from .build import program
from .folders import STATE

_UID = STATE / "uid"


@dataclass(frozen=True)
class Cluster:
    """A cluster as the owner of ``kubeconfig`` sees it."""

    kubeconfig: Path

    def kubectl(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """What ``kubectl`` prints. ``--as=system:serviceaccount:NAMESPACE:NAME`` asks with less rights."""
        done = subprocess.run(
            [program("kubectl"), f"--kubeconfig={self.kubeconfig}", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise UpsError(f"kubectl {' '.join(map(str, arguments))}", found=done.stderr.strip())
        return done.stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        """``kubectl get``: the object, or the list, that it finds."""
        return json.loads(self.kubectl("get", *arguments, "--output=json"))

    def apply(self, *objects: dict[str, Any]) -> None:
        """Create or change objects; fields that the cluster does not know are refused."""
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        how = ("--server-side", "--force-conflicts", "--validate=strict")
        self.kubectl("apply", *how, "--filename=-", stdin=document)

    def run_namespace(self, name: str, service_account: str = "default") -> None:
        """A namespace for Workflows: the Restricted standard holds, and Argo's executor has its one right."""
        rbac = "rbac.authorization.k8s.io"
        metadata = {"name": "workflow-executor", "namespace": name}
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": service_account, "namespace": name},
            },
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "Role",
                "metadata": metadata,
                "rules": [
                    {
                        "apiGroups": ["argoproj.io"],
                        "resources": ["workflowtaskresults"],
                        "verbs": ["create", "patch"],
                    }
                ],
            },
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "RoleBinding",
                "metadata": metadata,
                "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "workflow-executor"},
                "subjects": [{"kind": "ServiceAccount", "name": service_account, "namespace": name}],
            },
        )

    def uid(self) -> str:
        """What tells this cluster from all others: the UID of its namespace kube-system."""
        return json.loads(self.kubectl("get", "--raw=/api/v1/namespaces/kube-system"))["metadata"]["uid"]

    def claim(self) -> None:
        """Record that this cluster is the tests' own."""
        _UID.write_text(self.uid())

    def is_own(self) -> bool:
        """Whether this cluster is the one that was claimed last; False also where it cannot be reached."""
        try:
            return _UID.exists() and _UID.read_text() == self.uid()
        except UpsError:
            return False

    def guard(self) -> None:
        """Refuse a cluster that the tests did not make: they delete, stop and overload things in it."""
        if not self.is_own():
            raise InvalidSpec(
                "these tests use no cluster but their own",
                where=self.kubeconfig,
                fix="KUBE_CONTEXT=NAME make test-cluster, where the cluster of that context may be ruined",
            )


def foreign(context: str, folder: Path) -> Cluster:
    """The cluster of a person's own context, who asked for it by name; its kubeconfig goes to ``folder``."""
    command = ["config", "view", "--minify", "--flatten", f"--context={context}"]
    done = subprocess.run([program("kubectl"), *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InvalidSpec(
            f"no context {context!r}", found=done.stderr.strip(), fix="kubectl config get-contexts"
        )
    kubeconfig = folder / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(done.stdout)
    return Cluster(kubeconfig)
