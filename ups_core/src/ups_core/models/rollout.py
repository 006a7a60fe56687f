"""Closed-loop rollout: the network's own output is its next input."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ups_core.models.averages import rolling
from ups_core.models.bounds import bounds
from ups_core.models.corrector import Corrector
from ups_core.models.device import device_of
from ups_core.models.gconv import held_kernels

#: Values that one batch of a rollout may hold; larger ones are cut along the samples.
BATCH_VALUES = 1 << 20


@torch.inference_mode()
def frames(
    model: nn.Module, u: Tensor, parameters: Tensor, places: Tensor | None = None, every: int = 1
) -> Iterator[Tensor]:
    """The frames after u (B, C, X[, Y]), one after another without end, on the model's device; normalised.

    On a mesh those after u (B, C, M) at ``places`` (B, M, D). Else each may be ``every`` frames after the one
    before, where the model has learned that lead.
    """
    beside = (parameters,) if places is None else (parameters, places)
    u, *beside = (given.to(device_of(model)) for given in (u, *beside))
    within, seen = bounds(model, u), bounds(model, u, shown=True)
    begin, advance, show = rolling(model)
    step = {} if every == 1 else {"lead": u.new_full((len(u),), every)}
    with held_kernels(model):
        state = begin(u, *beside)  # (B, C, X[, Y])
        while True:
            state = within(advance(state, *beside, **step))
            frame = show(state, *beside)
            yield frame if frame is state else seen(frame)


@torch.inference_mode()
def rollout(
    model: nn.Module, u: Tensor, parameters: Tensor, steps: int, places: Tensor | None = None
) -> Tensor:
    """The ``steps`` frames after u (B, C, X[, Y]), with parameters (B, P): (B, T, C, X[, Y]).

    On a mesh u is (B, C, M) at ``places`` (B, M, D).
    Normalised values in and out; the frames lie in the machine's memory, wherever the model is. Those after
    a divergence hold whatever the arithmetic gives.
    """
    out = torch.empty(len(u), steps, *u.shape[1:], dtype=u.dtype)
    size = max(1, BATCH_VALUES // u[0].numel())
    for start in range(0, len(u), size):
        batch = slice(start, start + size)
        where = None if places is None else places[batch]
        for t, frame in zip(range(steps), frames(model, u[batch], parameters[batch], where), strict=False):
            out[batch, t] = frame
    return out


@torch.inference_mode()
def ensemble(
    model: nn.Module,
    corrector: Corrector,
    u: Tensor,
    parameters: Tensor,
    steps: int,
    members: int,
    *,
    scale: Tensor,
    evaluations: int,
    carried: bool,
    generator: torch.Generator,
) -> Tensor:
    """``members`` rollouts of each sample, whose frames are the model's plus a drawn residual.

    u (B, C, X[, Y]), parameters (B, P) and ``scale`` (C, 1[, 1]), the unit of drawn residuals, to
    (B, M, T, C, X[, Y]); normalised values. Where residuals are ``carried``, each member goes on from its own
    frame; else from the model's, of which its frame is an observation.
    """
    out = torch.empty(len(u), members, steps, *u.shape[1:], dtype=u.dtype)
    size = max(1, BATCH_VALUES // (u[0].numel() * members))
    u, parameters, scale = (given.to(device_of(model)) for given in (u, parameters, scale))
    begin, advance, show = rolling(model)
    with held_kernels(model, corrector):
        for start in range(0, len(u), size):
            frame = u[start : start + size].repeat_interleave(members, 0)  # (B*M, C, X[, Y])
            p = parameters[start : start + size].repeat_interleave(members, 0)  # (B*M, P)
            within, seen = bounds(model, frame), bounds(model, frame, shown=True)
            state = begin(frame, p)
            for t in range(steps):
                state = within(advance(state, p))
                prediction = show(state, p)  # (B*M, C, X[, Y])
                if prediction is not state:
                    prediction = seen(prediction)
                noise = corrector.noise(len(frame), generator)
                residual = corrector.sample(noise, frame, prediction, p, evaluations)
                drawn = prediction + scale * residual  # (B*M, C, X[, Y])
                out[start : start + size, :, t] = drawn.reshape(-1, members, *u.shape[1:])
                frame = seen(drawn) if carried else prediction
                if carried:
                    state = begin(frame, p)
    return out


@torch.inference_mode()
def corrected(
    corrector: Corrector,
    a: Tensor,
    solved: Tensor,
    parameters: Tensor,
    members: int,
    scale: Tensor,
    evaluations: int,
    generator: torch.Generator,
) -> Tensor:
    """Solutions (B, C, X[, Y]) of the inputs a, each plus ``members`` drawn residuals: (B, M, C, X[, Y])."""
    out = []
    a, solved, parameters, scale = (each.to(device_of(corrector)) for each in (a, solved, parameters, scale))
    for one in range(len(a)):
        given, mean, p = (part[one].expand(members, *part.shape[1:]) for part in (a, solved, parameters))
        residual = corrector.sample(corrector.noise(members, generator), given, mean, p, evaluations)
        out.append((mean + scale * residual).cpu())  # (M, C, X[, Y])
    return torch.stack(out)
