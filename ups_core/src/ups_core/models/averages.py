"""Rollouts that carry averages of cells, and read the values at points off them.

Data are often values at points. Their sum is that of a conserved field only where the grid resolves the
field: a front thinner than a cell moves on for a while without changing the value at any point, and the
sum of values jumps when it passes one. What such a front does next depends on where it is within its
cell. A frame of values does not tell; the average of the cell does, and averages keep their sum exactly,
whatever is in a cell.

So a rollout here begins with a frame of values, from which averages are estimated; it advances averages,
and *reconstructs* values from those when a frame is to be shown (as finite volume methods do: LeVeque,
Finite Volume Methods for Hyperbolic Problems, chapter 10). Averages are never observed: training sees
values alone.

The estimate keeps the sum of the values of the first frame. That is right where this frame is smooth;
where there is a front in it, nobody knows better, and the rollout keeps what the estimate lacks.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from ups_core.models.advance import Advance

#: Frame or carried state, and what stands beside it (parameters, places), to another one.
Step = Callable[..., Tensor]


class Averaged(nn.Module):
    """(B, C, X[, Y]) and (B, P) to the values one frame later, (B, C, X[, Y]); normalised values."""

    def __init__(self, advance: Advance, average: Advance, reconstruct: Advance) -> None:
        """``average`` keeps the sums of conserved fields, as ``advance`` does; ``reconstruct`` need not."""
        super().__init__()
        self.advance, self.average, self.reconstruct = advance, average, reconstruct
        self.shift_equivariant, self.symmetric = advance.shift_equivariant, advance.symmetric
        self.boost, self.kept, self.bounded = advance.boost, advance.kept, advance.bounded

    def forward(self, u: Tensor, parameters: Tensor) -> Tensor:
        return self.show(self.advance(self.begin(u, parameters), parameters), parameters)

    def begin(self, u: Tensor, parameters: Tensor) -> Tensor:
        """Averages (B, C, X[, Y]) from the values of a frame."""
        return self._without_mean(self.average, u, parameters)

    def show(self, averages: Tensor, parameters: Tensor) -> Tensor:
        """Values of a frame from averages, (B, C, X[, Y]) twice."""
        return self._without_mean(self.reconstruct, averages, parameters)

    def _without_mean(self, network: Advance, u: Tensor, parameters: Tensor) -> Tensor:
        if self.boost is None:
            return network(u, parameters)
        mean = u.mean(-1, keepdim=True)  # (B, 1, 1): both are the same for a moving observer
        return network(u - mean, parameters) + mean


def rolling(model: nn.Module) -> tuple[Step, Step, Step]:
    """How a rollout of ``model`` begins with a frame, goes on, and shows a frame of what it carries."""
    if isinstance(model, Averaged):
        return model.begin, model.advance, model.show
    return _itself, model, _itself


def called(model: nn.Module) -> list[nn.Module]:
    """The modules that these three call."""
    return [model.average, model.advance, model.reconstruct] if isinstance(model, Averaged) else [model]


def _itself(u: Tensor, *_: Tensor) -> Tensor:
    return u
