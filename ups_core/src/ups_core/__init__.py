"""What runs inside the steps of UPS; on a laptop, a library.

>>> import ups_core
>>> surrogate = ups_core.Surrogate.load("ups-store/objects/train/3f2a...")  # doctest: +SKIP
>>> data = ups_core.open_dataset("ups-store/datasets/default/demo/v1.json")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ups_core.data.dataset import open_dataset
    from ups_core.surrogate import Surrogate

__all__ = ["Surrogate", "open_dataset"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: the one loads torch, the other h5py, and most of UPS needs neither.
    if name == "Surrogate":
        from ups_core.surrogate import Surrogate

        return Surrogate
    if name == "open_dataset":
        from ups_core.data.dataset import open_dataset

        return open_dataset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
