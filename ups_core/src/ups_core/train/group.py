"""The processes that train one model together, each with its share of every batch.

The first of them alone validates, saves and reports. What all must agree on they add up, so that each has
the same number: gradients, losses, CPU seconds, whether somebody was told to stop.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from ups_core.errors import Preempted


@dataclass(frozen=True)
class Group:
    """The processes of this training; a single one by default."""

    rank: int = 0
    size: int = 1

    @classmethod
    def joined(cls) -> Group:
        """The group that this process has joined, or a group of itself alone."""
        if distributed.is_available() and distributed.is_initialized():
            return cls(distributed.get_rank(), distributed.get_world_size())
        return cls()

    @property
    def first(self) -> bool:
        return self.rank == 0

    def rows(self, count: int) -> slice:
        """The rows of a batch of ``count`` that fall to this process; none is empty where count >= size.

        >>> [Group(rank, 3).rows(8) for rank in range(3)]
        [slice(0, 2, None), slice(2, 5, None), slice(5, 8, None)]
        """
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def add(self, tensors: Iterable[Tensor]) -> None:
        """Put into each tensor its sum over all processes. One message, so they share dtype and device."""
        if self.size == 1:
            return
        tensors = list(tensors)
        flat = torch.cat([t.detach().flatten() for t in tensors])
        _all_there(lambda: distributed.all_reduce(flat))
        for t, total in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            t.detach().copy_(total.view_as(t))

    def follow_first(self, tensors: Iterable[Tensor]) -> None:
        """Put into each tensor what the first process has in it."""
        if self.size > 1:
            for t in tensors:
                _all_there(lambda t=t: distributed.broadcast(t, src=0))

    def wait(self) -> None:
        """Until all are here."""
        self.add([torch.zeros(1)])


def _all_there(exchange) -> None:
    try:
        exchange()
    except RuntimeError as error:  # what both backends raise when a peer's connection has closed
        raise Preempted("another process of this training is gone", found=error) from error
