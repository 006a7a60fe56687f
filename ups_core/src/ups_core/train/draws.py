"""Random numbers of a batch, drawn the same however many processes share it, and on whatever device.

Every process draws for the whole batch and keeps its own rows, so that they stay in step and a sample gets
the noise that it would get in one process. Numbers come from the processor's generator always: a seed
means the same on an accelerator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class BatchGenerator(torch.Generator):
    """A generator that knows how large the whole batch is and which rows of it are computed here."""

    whole: int | None = None
    rows: slice = slice(None)


def uniform(shape: Sequence[int], generator: torch.Generator, device: torch.device | str = "cpu") -> Tensor:
    """Numbers in [0, 1) for a batch, (B, ...)."""
    return _rows(lambda whole: torch.rand(whole, generator=generator), shape, generator).to(device)


def normal(shape: Sequence[int], generator: torch.Generator, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal numbers for a batch, (B, ...)."""
    return _rows(lambda whole: torch.randn(whole, generator=generator), shape, generator).to(device)


def integers(
    below: int, shape: Sequence[int], generator: torch.Generator, device: torch.device | str = "cpu"
) -> Tensor:
    """Integers in [0, below) for a batch, (B, ...)."""
    return _rows(lambda whole: torch.randint(below, whole, generator=generator), shape, generator).to(device)


def _rows(
    draw: Callable[[tuple[int, ...]], Tensor], shape: Sequence[int], generator: torch.Generator
) -> Tensor:
    if isinstance(generator, BatchGenerator) and generator.whole is not None:
        return draw((generator.whole, *shape[1:]))[generator.rows]
    return draw(tuple(shape))
