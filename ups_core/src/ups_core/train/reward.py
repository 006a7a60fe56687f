"""The reward of a search: how good a candidate for the next frame is, from what training has shown.

Less is better of three terms, and the reward is their weighted sum with the sign changed:

- **balance**: how unlike those of training the changes of mean and of energy are, for each field. What is
  conserved must not change at all; where it is conserved by construction, its part is zero.
- **spectrum**: the same of the changes of energy in each band of wavenumbers.
- **critic**: the log error that a trained network expects (:mod:`ups_core.models.critic`).

Changes are counted in standard deviations from their mean over transitions of the training split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ups_core.evaluate.metrics import band_energy, power_spectrum
from ups_core.models.critic import Critic

TERMS = ("balance", "spectrum", "critic")
#: Energy that counts as none, relative to the whole of a frame: less is rounding.
FAINT = 1e-8
#: The smallest standard deviation of a change: what has none in training is kept but for rounding.
SMALLEST = 1e-3


def changes(before: np.ndarray, after: np.ndarray) -> dict[str, np.ndarray]:
    """What changes from one frame to the next, (R, C, X[, Y]) both, normalised: term to (R, features).

    ``balance``: the mean, and the log of the mean square, of each field; ``spectrum``: the log of the energy
    in each band of wavenumbers.
    """
    space = before.ndim - 2
    means, energies, bands = [], [], []
    for frames in (before, after):
        power = power_spectrum(frames, space)  # (R, C, K)
        whole = power.sum(axis=-1)  # (R, C)
        faint = FAINT * whole[..., None] + np.finfo(np.float64).tiny
        means.append(frames.mean(axis=tuple(range(2, frames.ndim)), dtype=np.float64))  # (R, C)
        energies.append(np.log(whole + np.finfo(np.float64).tiny))  # (R, C)
        bands.append(np.log(band_energy(power, min(frames.shape[2:])) + faint))  # (R, C, 3)
    spectrum = (bands[1] - bands[0]).reshape(len(before), -1)  # (R, C*3)
    return {
        "balance": np.concatenate([means[1] - means[0], energies[1] - energies[0]], axis=1),  # (R, 2*C)
        "spectrum": spectrum,
    }


@dataclass(frozen=True)
class Usual:
    """The mean and standard deviation of each change over transitions of training, by term."""

    mean: Mapping[str, list[float]]
    std: Mapping[str, list[float]]

    @classmethod
    def of(cls, before: np.ndarray, after: np.ndarray) -> Usual:
        """From pairs of frames, (R, C, X[, Y]) both, normalised."""
        found = changes(before, after)
        return cls(
            {term: values.mean(axis=0).tolist() for term, values in found.items()},
            {term: values.std(axis=0).clip(min=SMALLEST).tolist() for term, values in found.items()},
        )

    def distance(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Root mean square of the standard deviations from what is usual, (R, 2): balance, spectrum."""
        off = [(values - self.mean[term]) / self.std[term] for term, values in changes(before, after).items()]
        return np.stack([np.sqrt(np.square(each).mean(axis=1)) for each in off], axis=1)


@dataclass(frozen=True)
class Reward:
    """Terms and their weights; see :class:`ups_core.models.search.Rewards` for how it is called.

    ``scale`` (C, 1[, 1]) is the unit of drawn residuals, ``weights`` (3,) are those of :data:`TERMS`.
    """

    critic: Critic
    usual: Usual
    scale: Tensor
    weights: tuple[float, ...] = (0.0, 0.0, 1.0)

    @classmethod
    def from_facts(cls, critic: Critic, facts: Mapping[str, Any], scale: Tensor) -> Reward:
        """As the description of a published critic has it."""
        weights = tuple(facts["weights"][term] for term in TERMS)
        return cls(critic, Usual(**facts["usual"]), scale, weights)

    @torch.inference_mode()
    def terms(
        self, before: Tensor, given: Tensor, prediction: Tensor, residual: Tensor, parameters: Tensor
    ) -> Tensor:
        """The three terms of each candidate, (R, 3), on the machine's memory, float64."""
        after = prediction + self.scale.to(prediction.device) * residual  # (R, C, X[, Y])
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            unusual = self.usual.distance(before.cpu().numpy(), after.cpu().numpy())  # (R, 2)
        expected = self.critic(residual, given, prediction, parameters)  # (R,)
        return torch.cat([torch.from_numpy(unusual), expected.cpu().double()[:, None]], dim=1)

    def __call__(
        self, before: Tensor, given: Tensor, prediction: Tensor, residual: Tensor, parameters: Tensor
    ) -> Tensor:
        terms = self.terms(before, given, prediction, residual, parameters)
        return -(terms @ torch.tensor(self.weights, dtype=terms.dtype)).to(before)  # (R,)


def fitted(terms: np.ndarray, errors: np.ndarray) -> tuple[float, ...]:
    """Weights (3,), none negative, with which terms (S, K, 3) tell the log errors (S, K) of K candidates of
    the same state apart.

    Least squares of the differences from the mean over the candidates of a state: what all of them share
    ranks none.
    """
    from scipy.optimize import nnls

    a = (terms - terms.mean(axis=1, keepdims=True)).reshape(-1, terms.shape[-1])
    b = (errors - errors.mean(axis=1, keepdims=True)).ravel()
    return tuple(float(weight) for weight in nnls(a, b)[0])
