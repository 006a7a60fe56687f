"""The maximum principle: no value of a solution leaves the range of its initial state.

A surrogate that is asked for what it has not learned can leave that range, and then has learned even less of
where it is: the rollout diverges. Where the family declares the principle, values of a rollout beyond the
range are set to its ends. What a conserved field would gain or lose by that is taken from the other values in
proportion to their room, so that the mean stays what it was and nothing leaves the range either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ups_core.models.averages import Averaged

#: How much wider the range is on both sides, in itself: a maximum may lie between the nodes.
MARGIN = 0.05


def bounds(model: nn.Module, u: Tensor, *, shown: bool = False) -> Callable[[Tensor], Tensor]:
    """What keeps the states after u (B, C, X[, Y]) where the model says that they stay.

    ``shown``: the frames of a rollout, where it carries averages: values at points keep no mean.
    """
    channels: Sequence[int] = getattr(model, "bounded", [])
    kept: Sequence[int] = [] if shown and isinstance(model, Averaged) else getattr(model, "kept", [])
    return Bounds(u, channels, kept) if channels else lambda later: later


class Bounds:
    """The range of each bounded channel of a state u (B, C, X[, Y]), to keep later states in."""

    def __init__(self, u: Tensor, channels: Sequence[int], kept: Sequence[int]) -> None:
        self.channels, self.space = list(channels), tuple(range(2, u.ndim))
        own = u[:, self.channels]  # (B, F, X[, Y])
        low, high = own.amin(self.space, keepdim=True), own.amax(self.space, keepdim=True)  # (B, F, 1[, 1])
        margin = MARGIN * (high - low)
        self.low, self.high = low - margin, high + margin
        self.conserved = torch.tensor([c in kept for c in channels], device=u.device).reshape(
            -1, *[1] * len(self.space)
        )

    def __call__(self, u: Tensor) -> Tensor:
        """u with no value beyond the range; itself where there is none."""
        own = u[:, self.channels]  # (B, F, X[, Y])
        inside = own.clamp(self.low, self.high)
        if torch.equal(inside, own) or not bool(own.isfinite().all()):
            return u  # what has diverged is to be seen
        missing = (own - inside).mean(self.space, keepdim=True) * self.conserved  # (B, F, 1[, 1])
        room = torch.where(missing > 0, self.high - inside, inside - self.low)
        share = missing / room.mean(self.space, keepdim=True).clamp(min=1e-30)
        u = u.clone()
        u[:, self.channels] = inside + share.clamp(-1, 1) * room
        return u
