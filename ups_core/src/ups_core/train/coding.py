"""A trained codec applied: fields to codes and back, as arrays."""

from __future__ import annotations

import numpy as np
import torch

from ups_core.models.codec import Codec
from ups_core.models.device import device_of
from ups_core.train.published import Model


def encode(codec: Model, u: np.ndarray) -> np.ndarray:
    """Fields (N, C, X[, Y]) to codes (N, Z, X'[, Y']), both in their own units."""
    network = _codec(codec)
    with torch.inference_mode():
        fields = codec.normaliser.fields.apply(torch.from_numpy(u)).to(device_of(network))
        return network.encode(fields).cpu().numpy()


def decode(codec: Model, z: np.ndarray) -> np.ndarray:
    """Codes (N, T, Z, X'[, Y']) to fields (N, T, C, X[, Y]), both in their own units."""
    network = _codec(codec)
    with torch.inference_mode():
        codes = torch.from_numpy(z).flatten(0, 1).to(device_of(network))  # (N*T, Z, X'[, Y'])
        u = network.decode(codes).cpu()  # (N*T, C, X[, Y])
        return codec.normaliser.fields.invert(u).reshape(*z.shape[:2], *u.shape[1:]).numpy()


def _codec(model: Model) -> Codec:
    assert isinstance(model.network, Codec)
    return model.network
