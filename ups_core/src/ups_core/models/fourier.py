"""Waves on a periodic grid, in real arithmetic, as matrices."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def waves(points: int, length: float) -> tuple[Tensor, Tensor, Tensor]:
    """Sines and cosines as an orthogonal matrix (K, X), K = X; their slopes (K, X); their |k|² (K,)."""
    angle = 2 * math.pi * torch.arange(points, dtype=torch.float64) / points  # (X,)
    rows, slopes, numbers = [torch.full_like(angle, points**-0.5)], [torch.zeros_like(angle)], [0]
    for k in range(1, points // 2 + 1):
        if 2 * k == points:  # the sine of the highest wave vanishes on the grid, and so does its slope
            rows.append((k * angle).cos() * points**-0.5)
            slopes.append(torch.zeros_like(angle))
            numbers.append(k)
            continue
        cosine, sine = ((k * angle).cos() * (2 / points) ** 0.5, (k * angle).sin() * (2 / points) ** 0.5)
        rows += [cosine, sine]
        slopes += [-k * sine, k * cosine]
        numbers += [k, k]
    unit = 2 * math.pi / length
    return torch.stack(rows), torch.stack(slopes) * unit, (unit * torch.tensor(numbers).double()) ** 2
