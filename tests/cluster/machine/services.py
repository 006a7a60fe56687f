"""The programs of the cluster: their command lines, and the files they read."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

from . import box
from .build import argo_manifests, program
from .containers import ARGOEXEC, BUSYBOX
from .folders import HERE, IMAGES, LOGS, STATE

API = f"https://{box.ADDRESS}:{box.API_PORT}"
KUBECONFIG = STATE / "kubeconfig"
AUDIT = LOGS / "audit.log"
CERTIFICATE = STATE / "pki" / "apiserver.crt"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"

#: All programs, as the box knows them.
NAMES = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "workflow-controller",
    "s3",
)
#: Who may ask the API server what: a user, and the groups that give it rights.
USERS = {
    "ups-admin": ["system:masters"],
    "system:kube-controller-manager": [],
    "system:kube-scheduler": [],
    f"system:node:{box.NODE}": ["system:nodes"],
}
#: Argo's controller acts under the service account it has in a user's cluster.
ARGO_USER = "system:serviceaccount:argo:argo"

_PKI = STATE / "pki"
_TOKENS = STATE / "tokens.json"


def write_files() -> None:
    """All that the programs read, anew."""
    _PKI.mkdir(parents=True)
    STATE.chmod(0o700)
    subprocess.run(
        ["openssl", "genrsa", "-out", _PKI / "service-accounts.key", "2048"], check=True, capture_output=True
    )
    tokens = {user: secrets.token_hex(16) for user in USERS}
    _TOKENS.write_text(json.dumps(tokens))
    rows = [f'{tokens[user]},{user},{user},"{",".join(groups)}"' for user, groups in USERS.items()]
    (STATE / "tokens.csv").write_text("\n".join(rows) + "\n")
    # Configuration that is YAML elsewhere is JSON here: every JSON document is a YAML document.
    (STATE / "audit.json").write_text(json.dumps(AUDIT_POLICY))
    (STATE / "kubelet.json").write_text(json.dumps(KUBELET))
    (STATE / "containerd.toml").write_text(CONTAINERD)
    (STATE / "resolv.conf").write_text("")
    cni = STATE / "cni" / "ups.conflist"
    cni.parent.mkdir()
    cni.write_text(json.dumps(CNI))
    kubeconfig("ups-admin", path=KUBECONFIG)


def kubeconfig(user: str, namespace: str = "default", path: Path | None = None) -> Path:
    """Write a kubeconfig for ``user``; a service account is impersonated, with the rights that it has."""
    known = user in USERS
    token = json.loads(_TOKENS.read_text())[user if known else "ups-admin"]
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "ups-test",
        "contexts": [
            {"name": "ups-test", "context": {"cluster": "ups-test", "user": user, "namespace": namespace}}
        ],
        "clusters": [
            {
                "name": "ups-test",
                "cluster": {"server": API, "certificate-authority": str(CERTIFICATE)},
            }
        ],
        "users": [{"name": user, "user": {"token": token} | ({} if known else {"as": user})}],
    }
    path = path or STATE / "kubeconfigs" / user.replace(":", "-")
    path.parent.mkdir(exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(content, indent=1))
    return path


def write_argo() -> Path:
    """What Argo's controller needs in the cluster, rights as it says itself; a folder for ``kubectl -k``."""
    folder = STATE / "argo"
    folder.mkdir()
    objects = {"Namespace": "argo", "ServiceAccount": "argo", "ConfigMap": "workflow-controller-configmap"}
    for kind, name in objects.items():
        content = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}
        (folder / f"{kind}.json").write_text(json.dumps(content))
    roles = argo_manifests() / "cluster-install-no-crds" / "workflow-controller-rbac"
    resources = [os.path.relpath(roles, folder), *(f"{kind}.json" for kind in objects)]
    (folder / "kustomization.yaml").write_text(json.dumps({"namespace": "argo", "resources": resources}))
    return folder


def start_etcd() -> None:
    folder = STATE / "etcd"
    folder.mkdir(mode=0o700)
    box.start("etcd", program("etcd"), f"--data-dir={folder}", "--unsafe-no-fsync", "--log-level=warn")


def start_api_server() -> None:
    box.start(
        "kube-apiserver",
        program("kube-apiserver"),
        "--etcd-servers=http://127.0.0.1:2379",
        f"--bind-address={box.ADDRESS}",
        f"--advertise-address={box.ADDRESS}",
        f"--secure-port={box.API_PORT}",
        f"--cert-dir={_PKI}",  # where it makes its certificate
        "--service-cluster-ip-range=10.96.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={_PKI / 'service-accounts.key'}",
        f"--service-account-signing-key-file={_PKI / 'service-accounts.key'}",
        f"--token-auth-file={STATE / 'tokens.csv'}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--kubelet-preferred-address-types=InternalIP",  # no name of a node can be looked up
        f"--audit-policy-file={STATE / 'audit.json'}",
        f"--audit-log-path={AUDIT}",
    )


def start_controller_manager() -> None:
    box.start(
        "kube-controller-manager",
        program("kube-controller-manager"),
        f"--kubeconfig={kubeconfig('system:kube-controller-manager')}",
        f"--service-account-private-key-file={_PKI / 'service-accounts.key'}",
        f"--root-ca-file={CERTIFICATE}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
    )


def start_scheduler() -> None:
    box.start(
        "kube-scheduler",
        program("kube-scheduler"),
        f"--kubeconfig={kubeconfig('system:kube-scheduler')}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
    )


def start_containerd() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    box.start("containerd", "containerd", f"--config={STATE / 'containerd.toml'}", "--log-level=warn")


def start_kubelet() -> None:
    box.start(
        "kubelet",
        program("kubelet"),
        f"--config={STATE / 'kubelet.json'}",
        f"--kubeconfig={kubeconfig(f'system:node:{box.NODE}')}",
        f"--root-dir={STATE / 'kubelet'}",
        f"--hostname-override={box.NODE}",
        f"--node-ip={box.ADDRESS}",
    )


def start_s3() -> None:
    server = HERE.parent.parent / "s3_server.py"
    box.start("s3", sys.executable, server, STATE / "s3", f"{box.ADDRESS}:{box.S3_PORT}")


def start_argo() -> None:
    box.start(
        "workflow-controller",
        program("workflow-controller"),
        f"--kubeconfig={kubeconfig(ARGO_USER, namespace='argo')}",
        f"--executor-image={ARGOEXEC}",
        "--executor-image-pull-policy=IfNotPresent",
        environment={
            "LEADER_ELECTION_DISABLE": "true",  # a leader that misses the API server for long ends itself
            # A finalizer keeps a deleted pod until the controller has read how it ended.
            "ARGO_POD_STATUS_CAPTURE_FINALIZER": "true",
        },
    )


#: Who asked for what, without the bodies. What the cluster does for itself is left out.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {
            "level": "None",
            "users": ["system:apiserver", *(user for user in USERS if user.startswith("system:"))],
        },
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
        {"level": "Metadata"},
    ],
}

KUBELET = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    # Its port is closed to all but the box itself.
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
    "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
    "cgroupDriver": "cgroupfs",
    "cgroupRoot": f"/{box.CGROUP}",
    "failCgroupV1": False,
    "failSwapOn": False,
    "enforceNodeAllocatable": [],
    # A developer's disk is rarely empty: no eviction for it, and no image is ever collected.
    "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    "imageGCHighThresholdPercent": 100,
    "imageGCLowThresholdPercent": 99,
    "podLogsDir": str(LOGS / "pods"),
    "volumePluginDir": str(STATE / "volume-plugins"),
    "resolvConf": str(STATE / "resolv.conf"),
}

CNI = {
    "cniVersion": "1.0.0",
    "name": "ups",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "ups0",
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [
                    [
                        {
                            "subnet": f"{box.SUBNET}.0/24",
                            "rangeStart": f"{box.SUBNET}.10",
                            "rangeEnd": f"{box.SUBNET}.250",
                            "gateway": box.ADDRESS,
                        }
                    ]
                ],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
    ],
}

CONTAINERD = f"""
version = 2
root = "{IMAGES}"
state = "/run/containerd"

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{BUSYBOX}"
# Root of a virtual machine or a container may lack CAP_SYS_RESOURCE.
restrict_oom_score_adj = true
disable_apparmor = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{STATE / "cni"}"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"""
