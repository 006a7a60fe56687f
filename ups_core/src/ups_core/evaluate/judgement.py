"""What an evaluation finds out about one split, before it becomes files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ups_core.evaluate.metrics import (
    BANDS,
    Quantiles,
    band_energy,
    mean_defined,
    power_spectrum,
    quantiles,
    ratio,
    wavenumbers,
)
from ups_core.evaluate.split import Split


@dataclass
class Meter:
    """CPU and wall seconds spent on predictions, all threads together, and how many frames they gave."""

    cpu_seconds: float = 0.0
    seconds: float = 0.0
    frames: int = 0

    @contextmanager
    def running(self, frames: int) -> Iterator[None]:
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.cpu_seconds += time.process_time() - cpu
        self.seconds += time.perf_counter() - wall
        self.frames += frames

    def to_dict(self) -> dict[str, float]:
        rate = {"frames_per_cpu_second": self.frames / self.cpu_seconds} if self.cpu_seconds > 0 else {}
        return {"frames": self.frames, "cpu_seconds": self.cpu_seconds, "seconds": self.seconds, **rate}


@dataclass
class Spectra:
    """Power by wavenumber of truth, prediction and error, averaged over the samples that stayed finite.

    The arrays are (F, C, K): frame, field, wavenumber.
    """

    space: int
    sums: dict[str, np.ndarray] = field(default_factory=dict)
    samples: int = 0

    def add(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        """Take in a batch of chosen frames: (n, F, C, X[, Y]) twice."""
        finite = np.isfinite(prediction).reshape(len(prediction), -1).all(axis=1)
        if not finite.any():
            return
        kept = np.asarray(prediction[finite], dtype=np.float64), np.asarray(truth[finite], dtype=np.float64)
        self.samples += int(finite.sum())
        for name, fields in (("truth", kept[1]), ("prediction", kept[0]), ("error", kept[0] - kept[1])):
            power = power_spectrum(fields, self.space).sum(axis=0)  # (F, C, K)
            self.sums[name] = self.sums[name] + power if name in self.sums else power

    def to_dict(self, frames: list[int], split: Split, fields: list[str]) -> dict[str, Any]:
        mean = {name: (total / self.samples).tolist() for name, total in self.sums.items()}
        return {
            "wavenumber": wavenumbers(split.u.shape[-split.space :]).tolist(),
            "frames": frames,
            "fields": fields,
            "samples": self.samples,
            **mean,
        }


class BandEnergy:
    """Energy of error and truth by field and band of wavenumbers, summed over samples and frames."""

    def __init__(self, split: Split) -> None:
        channel = 1 if split.a is not None else 2
        self._scattered = split.scattered
        self._space, self._points = split.space, min(split.u.shape[-split.space :])
        self._sums = np.zeros((2, split.u.shape[channel], len(BANDS)))  # (2, C, 3)

    def add(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        """Take in a batch: (n, T, C, X[, Y]) twice."""
        if self._scattered:
            return
        for t in range(truth.shape[1]):  # frame by frame: a spectrum takes several times its field's memory
            exact = np.asarray(truth[:, t], dtype=np.float64)
            with np.errstate(invalid="ignore", over="ignore"):
                fields = np.stack([prediction[:, t] - exact, exact])  # (2, n, C, X[, Y])
                energy = band_energy(power_spectrum(fields, self._space), self._points)
                self._sums += energy.sum(axis=1)

    def relative(self) -> np.ndarray:
        """The error's energy relative to the truth's, the mean over fields: (3,); inf where one diverged.

        Scattered points have no spectrum: (0,).
        """
        if self._scattered:
            return np.empty(0)
        return mean_defined(ratio(*self._sums), axis=0)


@dataclass
class Judgement:
    """The surrogate and its peers on one split.

    Attributes
    ----------
    metrics:
        Dotted name to number; a number that is not finite is left out, since it is none.
    columns:
        Per-sample numbers, each (N,), by column name.
    error:
        (N,), the per-sample error by which samples are ranked; inf where the prediction diverged.
    over_time, spectra:
        What becomes ``over_time.json`` and ``spectra.json``.
    predict:
        The predicted frames of a few samples, for the figures.
    """

    metrics: dict[str, float]
    columns: dict[str, np.ndarray]
    error: np.ndarray
    spectra: dict[str, Any]
    predict: Callable[[slice], np.ndarray]
    over_time: dict[str, Any] = field(default_factory=dict)
    cost: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def finite_metrics(metrics: dict[str, float]) -> dict[str, float]:
    """Without what JSON cannot hold: a mean that diverged is no number, and its gate must fail."""
    return {name: float(value) for name, value in metrics.items() if np.isfinite(value)}


def spread(values: np.ndarray) -> dict[str, list[float | None]]:
    """Summary over samples for a figure: (N, T) to lists over T."""
    found: Quantiles = quantiles(values)
    return {"p10": plain(found.low), "median": plain(found.median), "p90": plain(found.high)}


def plain(values: np.ndarray) -> list[float | None]:
    """A JSON list; what is not finite becomes null."""
    return [float(v) if np.isfinite(v) else None for v in values]


def ranked(error: np.ndarray, count: int) -> list[tuple[int, str]]:
    """Which samples to draw, and why: the median, the worst, the best, then the next worst in turn."""
    order = np.argsort(error, kind="stable")[::-1]  # worst first
    chosen: dict[int, str] = {}
    for place, role in ((len(order) // 2, "median"), (0, "worst"), (len(order) - 1, "best")):
        chosen.setdefault(int(order[place]), role)
    for place in range(1, len(order)):
        chosen.setdefault(int(order[place]), f"{place + 1} from worst")
    return list(chosen.items())[:count]
