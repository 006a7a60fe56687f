"""Closed-loop rollout: the network's own output is its next input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ups_core.models.device import device_of

#: Values that one batch of a rollout may hold; larger ones are cut along the samples.
BATCH_VALUES = 1 << 20


@torch.inference_mode()
def rollout(model: nn.Module, u: Tensor, parameters: Tensor, steps: int) -> Tensor:
    """The ``steps`` frames after u (B, C, X[, Y]), with parameters (B, P): (B, T, C, X[, Y]).

    Normalised values in and out; the frames lie in the machine's memory, wherever the model is. Those after
    a divergence hold whatever the arithmetic gives.
    """
    out = torch.empty(len(u), steps, *u.shape[1:], dtype=u.dtype)
    size, device = max(1, BATCH_VALUES // u[0].numel()), device_of(model)
    for start in range(0, len(u), size):
        state, p = (given[start : start + size].to(device) for given in (u, parameters))
        for t in range(steps):
            state = model(state, p)  # (B, C, X[, Y])
            out[start : start + size, t] = state
    return out
