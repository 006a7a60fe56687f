"""Where networks compute. The device is chosen by what the machine has, and is in no key."""

from __future__ import annotations

import os

import torch
from torch import nn


def chosen_device() -> torch.device:
    """The accelerator of this process, by its rank on the node, where there is one; else the processor."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def device_of(model: nn.Module) -> torch.device:
    """Where a model's weights are; one without weights is on the processor."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def device_name(device: torch.device) -> str:
    """As people call it: ``cpu``, ``NVIDIA H100 80GB HBM3``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
