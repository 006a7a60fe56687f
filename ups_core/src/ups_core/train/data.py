"""A split of a cached dataset as tensors, mapped from disk: memory holds what training touches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
    places: (N, M, D) of the points of a mesh, else None; u is then (N, T, C, M).
    copies: how often all samples are there, one after another, as codes of other patches.
    """

    u: Tensor
    a: Tensor | None
    parameters: np.ndarray
    places: Tensor | None = None
    copies: int = 1

    @classmethod
    def read(cls, folder: Path) -> Split:
        """From ``u.npy``, ``parameters.npy``, where steady ``a.npy``, of a mesh ``x.npy`` and ``y.npy``."""
        steady = (folder / "a.npy").exists()
        dataset = json.loads((folder.parent / "dataset.json").read_text())
        return cls(
            u=_mapped(folder / "u.npy"),
            a=_mapped(folder / "a.npy") if steady else None,
            parameters=np.load(folder / "parameters.npy"),
            places=_places(folder, dataset),
            copies=dataset["splits"][folder.name].get("copies", 1),
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
        return replace(self, u=self.u.to(device), a=None if self.a is None else self.a.to(device))

    def __len__(self) -> int:
        return len(self.u)

    @property
    def distinct(self) -> int:
        """How many samples there are but for copies."""
        return len(self) // self.copies


def _places(folder: Path, dataset: Mapping[str, Any]) -> Tensor | None:
    """Points shared by all samples are held once."""
    if dataset["kind"] != "mesh":
        return None
    along = [np.load(folder / f"{axis.lower()}.npy") for axis in dataset["space"]]  # (M,) or (N, M) each
    places = torch.from_numpy(np.stack(along, axis=-1)).float()  # ([N,] M, D)
    return places.expand(dataset["splits"][folder.name]["samples"], *places.shape[-2:])


def _mapped(path: Path) -> Tensor:
    # Copy on write: torch wants writable memory, and the file must stay as it is.
    return torch.from_numpy(np.load(path, mmap_mode="c")).float()
