"""Closed-loop rollout: the network's own output is its next input."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ups_core.models.device import device_of

#: Values that one batch of a rollout may hold; larger ones are cut along the samples.
BATCH_VALUES = 1 << 20


@torch.inference_mode()
def frames(model: nn.Module, u: Tensor, parameters: Tensor) -> Iterator[Tensor]:
    """The frames after u (B, C, X[, Y]), one after another without end, on the model's device; normalised."""
    u, parameters = (given.to(device_of(model)) for given in (u, parameters))
    while True:
        u = model(u, parameters)  # (B, C, X[, Y])
        yield u


@torch.inference_mode()
def rollout(model: nn.Module, u: Tensor, parameters: Tensor, steps: int) -> Tensor:
    """The ``steps`` frames after u (B, C, X[, Y]), with parameters (B, P): (B, T, C, X[, Y]).

    Normalised values in and out; the frames lie in the machine's memory, wherever the model is. Those after
    a divergence hold whatever the arithmetic gives.
    """
    out = torch.empty(len(u), steps, *u.shape[1:], dtype=u.dtype)
    size = max(1, BATCH_VALUES // u[0].numel())
    for start in range(0, len(u), size):
        batch = slice(start, start + size)
        for t, frame in zip(range(steps), frames(model, u[batch], parameters[batch]), strict=False):
            out[batch, t] = frame
    return out
