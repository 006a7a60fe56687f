"""Where the cluster keeps its files: a cache folder of the current user, never the clone."""

from __future__ import annotations

from pathlib import Path

from ups_core.paths import cache_folder

#: Programs, images and state; may be deleted whenever no cluster runs, and is then made anew.
CACHE = cache_folder("cluster")
#: What the running cluster knows; gone with it, but for its logs.
STATE = CACHE / "state"
LOGS = CACHE / "log"
#: Images and their layers outlive a cluster, so that the next one need not import gigabytes again.
IMAGES = CACHE / "containerd"
#: This package, and the modules that its programs are built from.
HERE = Path(__file__).parent
TOOLS = HERE.parent / "tools"
