"""The box: Linux namespaces of its own that all of the cluster lives in.

Network, processes, mounts, IPC and host name are the box's. Nothing in it reaches beyond this machine,
for it has no route; and when its process 1 is killed, the kernel takes down every process, mount,
interface and packet filter rule with it. What then is left to remove are control groups and files.

::

    root namespace          | box
    ups-host 10.199.0.254 --|-- bridge ups0 10.199.0.1 --- pods 10.199.0.10 ...
                            |   API server :6443, S3 :8333
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ups_core.errors import UpsError

from .folders import HERE, LOGS, STATE

SUBNET = "10.199.0"
#: The box itself, as pods and this machine see it.
ADDRESS = f"{SUBNET}.1"
#: This machine, as pods see it.
HOST_ADDRESS = f"{SUBNET}.254"
HOST_LINK = "ups-host"
#: Where pods find the API server: the first address of the service network.
SERVICE_ADDRESS = "10.96.0.1"
API_PORT = 6443
S3_PORT = 8333
#: The control group of all pods; another user's cluster has another.
CGROUP = f"ups-cluster-{hashlib.sha256(bytes(STATE)).hexdigest()[:8]}"
NODE = "ups-node"

_CGROUPS = Path("/sys/fs/cgroup")


def find() -> int | None:
    """The box's process 1, by its number outside the box; None when there is no box."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text(errors="replace")
            if command.endswith(f"/machine/init.py\0{STATE}\0") and _is_first(process):
                return int(process.name)
        except (FileNotFoundError, ProcessLookupError):  # it ended as we looked
            continue
    return None


def create() -> None:
    """Make the box. There must be none."""
    flags = ["--net", "--pid", "--mount", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc"]
    subprocess.Popen(
        ["unshare", *flags, "--propagation", "slave", *_init_command()],
        start_new_session=True,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait(lambda: find() is not None, "the box", seconds=10)
    for folder in _cgroups():
        folder.mkdir(exist_ok=True)
    run("sh", "-euc", _INSIDE)
    for command in (
        f"ip link add {HOST_LINK} type veth peer name ups1 netns {find()}",
        f"ip address add {HOST_ADDRESS}/24 dev {HOST_LINK}",
        f"ip link set {HOST_LINK} up",
    ):
        subprocess.run(command.split(), check=True)
    run("sh", "-euc", "ip link set ups1 master ups0; ip link set ups1 up")


#: Folders that programs insist on are the box's own. Only the API server and S3 can be reached from
#: without: the kubelet and the parts of S3 ask nobody who they are.
_INSIDE = f"""
hostname {NODE}
umount --all --types overlay || true  # of other containers: none may be kept busy from here
mount --make-rshared /
for folder in /run /var/lib /var/log; do mount -t tmpfs -o mode=755 tmpfs $folder; done
ip link set lo up
ip link add ups0 address 02:75:70:73:00:01 type bridge  # else it changes as pods come and go
ip address add {ADDRESS}/24 dev ups0
ip link set ups0 up
iptables -t nat -A PREROUTING -d {SERVICE_ADDRESS} -p tcp --dport 443 -j DNAT --to {ADDRESS}:{API_PORT}
iptables -t nat -A OUTPUT -d {SERVICE_ADDRESS} -p tcp --dport 443 -j DNAT --to {ADDRESS}:{API_PORT}
iptables -A INPUT -i lo -j ACCEPT
iptables -A INPUT -p tcp -m multiport --dports {API_PORT},{S3_PORT} -j ACCEPT
iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
iptables -A INPUT -p icmp -j ACCEPT
iptables -P INPUT DROP
"""


def destroy() -> None:
    """End the box and all in it, and remove what a box leaves; also where the box ended by itself."""
    if (process := find()) is not None:
        os.kill(process, signal.SIGKILL)
    wait(lambda: find() is None, "the end of the box", seconds=30)
    subprocess.run(["ip", "link", "delete", HOST_LINK], check=False, stderr=subprocess.DEVNULL)
    wait(_remove_cgroups, "an end of the pods' control groups", seconds=30)
    for port in range(S3_PORT, S3_PORT + 8):  # SeaweedFS removes its sockets only when it is asked to end
        for left in filter(_is_dead, Path("/tmp").glob(f"seaweedfs-*-{port}.sock")):
            left.unlink()
    shutil.rmtree(STATE, ignore_errors=True)


def _is_dead(path: Path) -> bool:
    """Nobody listens on this socket: a cluster of another cache folder may have its own in the same place."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) != 0


def command(*arguments: str | Path) -> list[str]:
    """The command line that runs ``arguments`` in the box."""
    process = find()
    if process is None:
        raise UpsError("the test cluster is not running", fix="make cluster")
    return ["nsenter", f"--target={process}", "-n", "-p", "-m", "-i", "-u", *map(str, arguments)]


def run(*arguments: str | Path) -> str:
    """What a command in the box prints."""
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
    if done.returncode:
        raise UpsError(
            f"{arguments[0]} failed in the box", where=shlex.join(map(str, arguments)), found=done.stderr
        )
    return done.stdout


def start(name: str, *arguments: str | Path, environment: dict[str, str] | None = None) -> None:
    """Start a program that stays; it is known by ``name`` and logs to ``LOGS/<name>.log``."""
    pid_file = _pid_file(name)
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    LOGS.mkdir(parents=True, exist_ok=True)
    settings = [f"{key}={value}" for key, value in (environment or {}).items()]
    # The shell leaves at once, and the program becomes a child of the box's process 1.
    script = 'log=$1 pid=$2; shift 2; setsid "$@" >>"$log" 2>&1 </dev/null & echo $! >"$pid"'
    run("sh", "-c", script, "sh", log(name), pid_file, "env", *settings, *arguments)


def running(name: str) -> bool:
    """Whether the program that was started as ``name`` still runs."""
    return _signal(name, 0)


def stop(name: str, how: signal.Signals = signal.SIGTERM, seconds: float = 30) -> None:
    """Stop a program and wait for its end."""
    _signal(name, how)
    wait(lambda: not running(name), f"the end of {name}", seconds=seconds)


def log(name: str) -> Path:
    return LOGS / f"{name}.log"


def wait(done: Callable[[], bool], what: str, *, seconds: float, every: float = 0.05) -> None:
    """Wait until ``done``; an error that names ``what`` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise UpsError(f"{what}: not within {seconds:.0f} s", where=LOGS)
        time.sleep(every)


def _init_command() -> list[str]:
    return [sys.executable, "-I", "-S", str(HERE / "init.py"), str(STATE)]


def _is_first(process: Path) -> bool:
    """Whether this is process 1 of a namespace, and not what started it."""
    [numbers] = [line for line in (process / "status").read_text().splitlines() if line.startswith("NSpid:")]
    return numbers.split()[1:] != [process.name] and numbers.split()[-1] == "1"


def _pid_file(name: str) -> Path:
    return STATE / "pids" / name


def _signal(name: str, number: int) -> bool:
    pid_file = _pid_file(name)
    if find() is None or not pid_file.exists():
        return False
    kill = ["kill", f"-{int(number)}", pid_file.read_text().strip()]
    return subprocess.run(command(*kill), check=False, stderr=subprocess.DEVNULL).returncode == 0


def _cgroups() -> list[Path]:
    """The pods' group in each hierarchy: one under cgroup v2, one for each controller under v1."""
    if (_CGROUPS / "cgroup.controllers").exists():
        wanted = {"cpu", "cpuset", "memory", "pids", "io"} & set(
            (_CGROUPS / "cgroup.controllers").read_text().split()
        )
        (_CGROUPS / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in sorted(wanted)))
        return [_CGROUPS / CGROUP]
    return [folder / CGROUP for folder in _CGROUPS.iterdir() if (folder / "cgroup.procs").exists()]


def _remove_cgroups() -> bool:
    """Whether they are gone; a group whose last process is just ending is busy yet."""
    for top in _cgroups():
        for folder in [*sorted(top.rglob("*/"), reverse=True), top]:
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return False
    return True
