"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner.

The gradient's two covariances, of rows and of columns, turn a matrix into a basis in which its entries are
nearly uncorrelated; there Adam's step per entry is the right one (Vyas et al., "SOAP", ICLR 2025). The
bases are refreshed every tenth step. A kernel (C_out, C_in, K) has one for each axis, a vector none.

It takes all weights. On Burgers' equation this and the inner matrices alone, with AdamW on the rest, differ
by less than two seeds do.

The arithmetic is the library's (``pytorch-optimizer``). Importing it loads the compiler, as all of
``torch.optim`` does: 5 CPU seconds and 160 MiB, so it is done where SOAP is asked for and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Soap:
    """SOAP on the named weights; the first step only initialises the bases and moves nothing."""

    def __init__(self, named: Mapping[str, nn.Parameter], lr: float, weight_decay: float) -> None:
        from pytorch_optimizer.optimizer.soap import SOAP

        self.named, self.lr = named, lr
        self.soap = SOAP(list(named.values()), lr=lr, weight_decay=weight_decay)
        self.group: dict[str, Any] = self.soap.param_groups[0]

    def step(self, rate: float) -> None:
        self.group["lr"] = self.lr * rate
        self.soap.step()
        self._lay_out()

    def state(self) -> dict[str, Tensor]:
        """Moments, covariances and bases by name of the weight; nothing before the first step."""
        return dict(self._tensors())

    def load_state(self, tensors: Mapping[str, Tensor], steps: int) -> None:
        """Continue after ``steps`` steps from what :meth:`state` gave."""
        if not steps:
            return
        for p in self.named.values():
            p.grad = torch.zeros_like(p)
        self.soap.init_group(self.group)  # makes all that there is for a gradient, to be written over
        for p in self.named.values():
            p.grad = None
        self._lay_out()
        for name, value in self._tensors():
            value.copy_(tensors[name])
        self.group["step"] = steps

    def _lay_out(self) -> None:
        """Bases row by row, as a checkpoint has them; decompositions leave them column by column.

        Products of equal numbers in another layout differ in the last bit.
        """
        for p in self.named.values():
            moments = self.soap.state[p]
            moments["Q"] = [basis.contiguous() if len(basis) else basis for basis in moments["Q"]]

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for name, p in self.named.items():
            for key, value in self.soap.state.get(p, {}).items():
                if isinstance(value, Tensor):
                    yield f"{name}.{key}", value
                elif isinstance(value, list):  # one for each axis; an axis without a basis has an empty list
                    yield from ((f"{name}.{key}.{i}", v) for i, v in enumerate(value) if len(v))
