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

    def placed(self, device: torch.device) -> Split:
        """The same on an accelerator, if it fits into half of what is free there, else as it is.

        What stays behind is sent batch by batch; the other half is for activations.
        """
        if device.type == "cpu":
            return self
        size = sum(t.numel() * t.element_size() for t in (self.u, self.a) if t is not None)
        if size > torch.cuda.mem_get_info(device)[0] // 2:
            return self
        return Split(self.u.to(device), None if self.a is None else self.a.to(device), self.parameters)

    def __len__(self) -> int:
        return len(self.u)


def _mapped(path: Path) -> Tensor:
    # Copy on write: torch wants writable memory, and the file must stay as it is.
    return torch.from_numpy(np.load(path, mmap_mode="c")).float()
