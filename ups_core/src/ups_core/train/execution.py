"""How a network is executed on an accelerator: as written, in bfloat16, compiled, or both.

Which is the fastest depends on network, batch and card, so it is measured on the first batch. Only what
saves a fifth of the whole training, compilation included, is taken: bfloat16 has eight bits of precision,
and its rounding shows where errors below a percent are wanted. Weights, optimizer, losses and validation
stay in float32.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal, NamedTuple, get_args

import structlog
import torch
from torch import nn

from ups_core.models.averages import called

log = structlog.get_logger()

Way = Literal["eager", "bf16", "compile", "bf16+compile"]
WAYS: tuple[Way, ...] = get_args(Way)

#: Another way than eager must take at most this share of its time.
GAIN = 0.8
#: Steps that are timed, after one that is not.
TIMED = 5


class Seconds(NamedTuple):
    """Wall seconds of the first step, which compiles or loads kernels, and of each one after it."""

    first: float
    step: float


def fastest(measured: Mapping[Way, Seconds], steps: float) -> Way:
    """The way that trains ``steps`` steps in the least time; eager unless another one saves a fifth."""
    whole: dict[Way, float] = {way: seconds.first + steps * seconds.step for way, seconds in measured.items()}
    best = min(whole, key=whole.__getitem__)
    return best if whole[best] <= GAIN * whole["eager"] else "eager"


def measure(model: nn.Module, device: torch.device, once: Callable[[Way], object]) -> dict[Way, Seconds]:
    """Time ``once(way)``, which computes a gradient and leaves nothing behind; without what cannot run."""
    measured: dict[Way, Seconds] = {}
    for way in WAYS:
        use(model, way)
        try:
            begun = _now(device)
            once(way)
            warm = _now(device)
            for _ in range(TIMED):
                once(way)
            measured[way] = Seconds(warm - begun, (_now(device) - warm) / TIMED)
        except RuntimeError as error:  # no kernel for a type, or none that can be generated
            if way == "eager":
                raise
            log.info("the network cannot be executed so", way=way, found=str(error)[:500])
    return measured


def use(model: nn.Module, way: Way | None) -> None:
    """Have calls of the model compiled, or not, from now on."""
    for part in called(model):
        part._compiled_call_impl = None
        if way is not None and "compile" in way:
            part.compile()


def precision(device: torch.device, way: Way | None) -> AbstractContextManager[object]:
    """Inside, networks compute in what the way says."""
    if way is None or "bf16" not in way:
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


@contextmanager
def eager(model: nn.Module) -> Iterator[None]:
    """Inside, calls of the model are as written: other batch sizes would be compiled anew."""
    parts = called(model)
    compiled = [part._compiled_call_impl for part in parts]
    for part in parts:
        part._compiled_call_impl = None
    try:
        yield
    finally:
        for part, call in zip(parts, compiled, strict=True):
            part._compiled_call_impl = call


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
