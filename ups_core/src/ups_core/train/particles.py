"""Learning on particles: a symmetry moves them, and turns their velocities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ups_core.models.problem import Problem
from ups_core.train import mesh
from ups_core.train.augment import Transformation


def augmentation(problem: Problem) -> Transformation:
    """As :func:`~ups_core.train.mesh.augmentation`, of states (B, C, M) whose places are channels.

    All frames of a batch are moved alike. Normalised coordinates are shares of the box, and may leave it.
    """
    motion = problem.motion
    assert motion is not None
    places = list(motion.positions)
    values, order = motion.parted(len(problem.fields))
    fields = [problem.fields[c] for c in values]
    move = mesh.augmentation(replace(problem, box=((0.0, 1.0),) * problem.dimensions))

    def transform(
        batch: Sequence[Tensor], generator: torch.Generator, names: Sequence[Sequence[str]] | None = None
    ) -> list[Tensor]:
        frames = len(batch)
        where = torch.cat([u[:, places].mT for u in batch], dim=1)  # (B, T*M, D)
        moved, turned = move(where, [u[:, values] for u in batch], generator, [fields] * frames)
        parts = zip(turned, moved.mT.chunk(frames, dim=2), strict=True)
        return [torch.cat([u, x], dim=1)[:, order] for u, x in parts]

    return transform
