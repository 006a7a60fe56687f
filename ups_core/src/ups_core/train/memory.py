"""Keep freed memory instead of returning it to the system after every step of training or of a rollout.

Activations of a small network are just large enough for glibc to give them back each time, and the
system to clear the same pages again for the next step: a fifth of the time, measured. Networks and
batches here are small, so what is kept is tens of megabytes.
"""

from __future__ import annotations

import ctypes
import platform

# malloc.h; 32 MiB is the largest value that glibc takes for the first.
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1


def keep_freed_memory() -> None:
    """Raise glibc's thresholds for this process; does nothing where the C library is another one."""
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)
    libc.mallopt(M_TRIM_THRESHOLD, 256 << 20)
