"""A split of a cached dataset as tensors, mapped from disk: memory holds what training touches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Split:
    """Samples in physical units.

    Attributes
    ----------
    u: (N, T, C, X[, Y]) where transient, (N, C, X[, Y]) where steady.
    a: (N, C, X[, Y]) where steady, else None.
    parameters: (N, P), float64.
    """

    u: Tensor
    a: Tensor | None
    parameters: np.ndarray

    @classmethod
    def read(cls, folder: Path) -> Split:
        """From ``u.npy``, ``parameters.npy`` and, where steady, ``a.npy``."""
        steady = (folder / "a.npy").exists()
        return cls(
            u=_mapped(folder / "u.npy"),
            a=_mapped(folder / "a.npy") if steady else None,
            parameters=np.load(folder / "parameters.npy"),
        )

    def __len__(self) -> int:
        return len(self.u)


def _mapped(path: Path) -> Tensor:
    # Copy on write: torch wants writable memory, and the file must stay as it is.
    return torch.from_numpy(np.load(path, mmap_mode="c")).float()
