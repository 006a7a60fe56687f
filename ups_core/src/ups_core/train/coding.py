"""A trained codec applied: fields to codes and back, as arrays."""

from __future__ import annotations

import numpy as np
import torch

from ups_core.models.codec import Codec
from ups_core.models.device import device_of
from ups_core.train.published import Model


def encode(codec: Model, u: np.ndarray) -> np.ndarray:
    """Fields (N, C, X[, Y]) to codes (N, C, X'[, Y']), in the same units."""
    network = codec_of(codec)
    with torch.inference_mode():
        return network.encode(torch.from_numpy(u).to(device_of(network))).cpu().numpy()


def decode(codec: Model, z: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Codes (N, T, C, X'[, Y']) and parameters (N, P) to fields (N, T, C, X[, Y]), all in their own units."""
    network, scale = codec_of(codec), codec.normaliser.fields
    with torch.inference_mode():
        codes = scale.apply(torch.from_numpy(z).flatten(0, 1))  # (N*T, C, X'[, Y'])
        varying = codec.normaliser.vary(codec.problem, parameters).repeat_interleave(z.shape[1], 0)
        device = device_of(network)
        u = network.decode(codes.to(device), varying.to(device)).cpu()  # (N*T, C, X[, Y])
        return scale.invert(u).reshape(*z.shape[:2], *u.shape[1:]).numpy()


def codec_of(model: Model) -> Codec:
    assert isinstance(model.network, Codec)
    return model.network
