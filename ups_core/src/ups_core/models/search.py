"""Beam search over the samples of a corrector: many next frames are proposed, the best rollouts go on.

A rollout's score is the sum of the rewards of its frames (Lowerre, The Harpy Speech Recognition System,
1976, keeps the best few hypotheses in the same way). What comes of it are the frames of the beam as it is
after each step, not the pasts of those that are left at the end: these soon have one ancestor in common, and
then are one rollout, whose scatter no mean takes off. Nothing here knows what a reward is made of.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from ups_core.models.bounds import bounds
from ups_core.models.corrector import Corrector
from ups_core.models.device import device_of
from ups_core.models.gconv import held_kernels
from ups_core.models.rollout import BATCH_VALUES


class Rewards(Protocol):
    """How good candidates are, one number each, (R,); higher is better."""

    def __call__(
        self, before: Tensor, given: Tensor, prediction: Tensor, residual: Tensor, parameters: Tensor
    ) -> Tensor:
        """The frame ``before`` of the rollout, what the operator was ``given``, what it made of that, and the
        drawn residual in units of training's, (R, C, X[, Y]) all; parameters (R, P)."""
        ...


def best(score: Tensor, rewards: Tensor) -> tuple[Tensor, Tensor]:
    """One step of the beam: score (B, W) of W rollouts and rewards (B, W, K) of their candidates.

    Returns the scores of the W best candidates, best first, and their places among the W*K, (B, W) both.
    What is not a number is worse than everything, and of equals the first is better.
    """
    total = (score[:, :, None] + rewards).flatten(1)  # (B, W*K)
    total = torch.where(total.isfinite(), total, -torch.inf)
    found, place = total.sort(dim=1, descending=True, stable=True)
    width = score.shape[1]
    return found[:, :width], place[:, :width]


def cost(beam: int, candidates: int, evaluations: int) -> int:
    """Evaluations of networks for one frame: the operator for each rollout, sampler and critic for each
    candidate. That of an ensemble is ``members * (1 + evaluations)``."""
    return beam * (1 + candidates * (evaluations + 1))


@torch.inference_mode()
def search(
    model: nn.Module,
    corrector: Corrector,
    rewards: Rewards,
    u: Tensor,
    parameters: Tensor,
    steps: int,
    *,
    beam: int,
    candidates: int,
    scale: Tensor,
    spread: float,
    evaluations: int,
    carried: bool,
    generator: torch.Generator,
) -> Tensor:
    """The newest frames of the ``beam`` rollouts that are left after every step, the best first.

    Arguments, but for those of the search, and the result (B, W, T, C, X[, Y]) as those of
    :func:`ups_core.models.rollout.ensemble`; the unit of drawn residuals is ``scale`` (C, 1[, 1]) and their
    size ``spread`` of it.
    """
    out = torch.empty(len(u), beam, steps, *u.shape[1:], dtype=u.dtype)
    size = max(1, BATCH_VALUES // (u[0].numel() * beam * candidates))
    u, parameters, scale = (given.to(device_of(model)) for given in (u, parameters, scale))
    with held_kernels(model, corrector):
        for start in range(0, len(u), size):
            rows = len(u[start : start + size])
            state = u[start : start + size].repeat_interleave(beam, 0)  # (B*W, C, X[, Y])
            p = parameters[start : start + size].repeat_interleave(beam * candidates, 0)  # (B*W*K, P)
            before, score = state, state.new_zeros(rows, beam)  # (B, W)
            first = torch.arange(rows, device=state.device)[:, None] * beam  # (B, 1)
            within = bounds(model, state, shown=True)
            for t in range(steps):
                prediction = within(model(state, p[::candidates]))  # (B*W, C, X[, Y])
                seen = [each.repeat_interleave(candidates, 0) for each in (before, state, prediction)]
                noise = corrector.noise(len(p), generator)
                residual = spread * corrector.sample(noise, *seen[1:], p, evaluations)  # (B*W*K, C, X[, Y])
                given = rewards(*seen, residual, p).reshape(-1, beam, candidates)
                score, place = best(score, given)  # (B, W) both
                chosen = (first * candidates + place).flatten()  # (B*W,), among all candidates
                before = seen[2][chosen] + scale * residual[chosen]  # (B*W, C, X[, Y])
                state = within(before) if carried else seen[2][chosen]
                out[start : start + size, :, t] = before.reshape(-1, beam, *u.shape[1:])
    return out
