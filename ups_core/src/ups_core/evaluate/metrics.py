"""What "accurate" means here, as pure functions of arrays.

**nRMSE** is PDEBench's (Takamoto et al. 2022, arXiv:2210.07182): for every sample, frame and channel
the root mean square error over space divided by the root mean square of the truth, and then the
mean. **rel_l2**, for steady problems, is the mean over samples of ``||pred - true|| / ||true||``.

Two cases have no number, and none is invented with an epsilon:

- The truth is zero everywhere in space: the ratio is undefined and its entry is NaN. Means leave
  such entries out, and whoever reports the mean reports :func:`undefined`, their count, beside it.
- The prediction is not finite: its entry is ``inf``, and so is every mean that it enters. A model
  that diverged on one sample has no finite mean error.

Everything is accumulated in float64, whatever the arrays hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np


def ratio(error: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """error / scale, NaN where the scale is zero, inf where the error is not finite."""
    quotient = np.divide(error, scale, out=np.full_like(error, np.nan), where=scale > 0)
    return np.where(np.isfinite(error), quotient, np.inf)


def _rms(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.sqrt(np.mean(np.square(values), axis=axes))


def _difference(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction has shape {prediction.shape}, truth {truth.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(prediction, dtype=np.float64) - np.asarray(truth, dtype=np.float64)


def nrmse(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """PDEBench's normalised RMSE, before the mean: (N, T, C, X[, Y]) twice to (N, T, C).

    NaN where the truth is zero everywhere, inf where the prediction is not finite.
    """
    space = tuple(range(3, truth.ndim))
    error = _rms(_difference(prediction, truth), space)  # (N, T, C)
    return ratio(error, _rms(np.asarray(truth, dtype=np.float64), space))


def rel_l2(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Relative L2 error of each sample over all channels and space: (N, C, X[, Y]) twice to (N,)."""
    everything = tuple(range(1, truth.ndim))
    error = _rms(_difference(prediction, truth), everything)  # (N,)
    return ratio(error, _rms(np.asarray(truth, dtype=np.float64), everything))


def max_error(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Largest absolute error of each sample, in the fields' unit: (N, ...) twice to (N,)."""
    error = np.abs(_difference(prediction, truth)).reshape(len(truth), -1)
    return np.where(np.isfinite(error).all(axis=1), error.max(axis=1), np.inf)


def mean_drift(states: np.ndarray, initial: np.ndarray) -> np.ndarray:
    """How far the spatial mean of each field wanders from where it started.

    ``max_t |mean_x u_t - mean_x u_0| / std_x u_0``: (N, T, C, X[, Y]) and (N, C, X[, Y]) to (N, C).
    NaN where the initial state is constant in space, inf where a state is not finite.
    """
    space = tuple(range(3, states.ndim))
    start = np.asarray(initial, dtype=np.float64)
    means = np.asarray(states, dtype=np.float64).mean(axis=space)  # (N, T, C)
    starts = start.mean(axis=tuple(a - 1 for a in space))  # (N, C)
    with np.errstate(invalid="ignore"):
        wander = np.abs(means - starts[:, None]).max(axis=1)  # (N, C)
    return ratio(wander, start.std(axis=tuple(a - 1 for a in space)))


def mean_defined(values: np.ndarray, axis: int | tuple[int, ...] | None = None) -> np.ndarray:
    """The mean of what is defined; NaN where nothing is, inf where anything diverged."""
    defined = ~np.isnan(values)
    total = np.where(defined, values, 0.0).sum(axis=axis)
    count = np.asarray(defined.sum(axis=axis))
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)


def undefined(values: np.ndarray) -> int:
    """How many entries :func:`mean_defined` left out."""
    return int(np.isnan(values).sum())


def diverged(values: np.ndarray) -> np.ndarray:
    """Which samples (the first axis) hold a prediction that is not finite: (N, ...) to (N,) bool."""
    return np.asarray(np.any(np.isinf(values).reshape(len(values), -1), axis=1))


def first_divergence(values: np.ndarray) -> np.ndarray:
    """How many frames of each sample were finite before the first that was not: (N, T, C) to (N,)."""
    bad = np.asarray(np.any(np.isinf(values), axis=2))  # (N, T)
    return np.where(bad.any(axis=1), bad.argmax(axis=1), values.shape[1])


def wavenumbers(space: tuple[int, ...]) -> np.ndarray:
    """The integer wavenumbers (cycles per domain length) of the bins of :func:`power_spectrum`."""
    return np.arange(_bins(space).max() + 1)


def power_spectrum(fields: np.ndarray, space: int) -> np.ndarray:
    """Mean square of a field by wavenumber, summed over directions: (..., X[, Y]) to (..., K).

    ``space`` is the number of spatial axes, 1 or 2. The bin of a Fourier mode is the nearest integer
    to ``|k|`` (both signs together), so that the bins sum to the spatial mean of the square
    (Parseval). Non-finite fields give NaN.
    """
    axes = tuple(range(fields.ndim - space, fields.ndim))
    shape = fields.shape[-space:]
    bins = _bins(shape).ravel()
    with np.errstate(over="ignore", invalid="ignore"):
        modes = np.fft.fftn(np.asarray(fields, dtype=np.float64), axes=axes, norm="forward")
        power = np.square(np.abs(modes)).reshape(*fields.shape[:-space], -1)  # (..., modes)
    order = np.argsort(bins, kind="stable")
    starts = np.searchsorted(bins[order], np.arange(bins.max() + 1))
    return np.add.reduceat(power[..., order], starts, axis=-1)


def _bins(shape: tuple[int, ...]) -> np.ndarray:
    ks = [np.fft.fftfreq(n, d=1.0 / n) for n in shape]
    radius = np.sqrt(sum(np.square(k) for k in np.meshgrid(*ks, indexing="ij")))
    return np.rint(radius).astype(np.int64)


@dataclass(frozen=True)
class Quantiles:
    """The spread of one number over samples; diverged samples count as infinitely large."""

    low: np.ndarray
    median: np.ndarray
    high: np.ndarray


def quantiles(values: np.ndarray) -> Quantiles:
    """10 %, 50 % and 90 % over the first axis, each an entry that occurred: (N, ...) to (...)."""
    ordered = np.sort(np.where(np.isnan(values), np.inf, values), axis=0)
    low, median, high = (ordered[round(q * (len(values) - 1))] for q in (0.1, 0.5, 0.9))
    return Quantiles(low, median, high)


def horizon(error: np.ndarray, threshold: float) -> np.ndarray:
    """How many frames of each sample come before the first whose error exceeds ``threshold``.

    (N, T) to (N,): T where none does. A frame without an error (NaN) exceeds nothing.
    """
    lost = error > threshold  # (N, T)
    return np.where(lost.any(axis=1), lost.argmax(axis=1), error.shape[1])


#: Thirds, in log k, of the wavenumbers from 1 to the Nyquist one.
BANDS = ("low", "middle", "high")


def band_energy(power: np.ndarray, points: int) -> np.ndarray:
    """A :func:`power_spectrum` (..., K) summed over bands of wavenumbers: (..., 3), as :data:`BANDS`.

    With q = ``points`` // 2, the highest wavenumber of the coarsest axis, the bands are k < q^(1/3), the mean
    (k = 0) included, then k < q^(2/3), then the rest; in two dimensions this holds the corners beyond q.
    """
    k, q = np.arange(power.shape[-1]), points // 2
    edges = (0, int((k**3 < q).sum()), int((k**3 < q**2).sum()), len(k))  # in whole numbers: no rounding
    parts = [power[..., start:stop].sum(axis=-1) for start, stop in pairwise(edges)]
    return np.stack(parts, axis=-1)
