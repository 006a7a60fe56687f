"""Random initial states of one-dimensional periodic problems, as the PDEBench data sets draw them.

A state is a short sum of sinusoids on the unit interval,

    u(x) = s · w(x) · r( Σ_j A_j sin(2π n_j x + φ_j) ),     j = 1 ... 4,

with amplitudes A_j uniform in [0, 1) and phases φ_j uniform. Two wave numbers are drawn, with
replacement, from 1 ... 4: a term drawn once has n_j = j, a term drawn twice n_j = 2j, and a term not
drawn has n_j = 0, which leaves the constant A_j sin φ_j. So most states have a mean. In one state out of
ten r is the absolute value (kinks); in one out of ten w is a smooth window (compact support); s is a
random sign. Source: Takamoto et al., "PDEBench" (NeurIPS 2022), appendix D, and its generator's facts.

One deliberate difference: the wave numbers here are multiples of 2π exactly, so that every state is
periodic; PDEBench divides by the distance of the outermost cell centres, which leaves a small jump.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Terms in the sum, of which two wave numbers are drawn.
TERMS = 4
#: Transition width of the window, in units of the domain.
WINDOW_WIDTH = 0.01


@dataclass(frozen=True)
class Waves:
    """One random initial state, known in closed form: it can be evaluated on any grid, at any shift."""

    amplitude: np.ndarray  # (4,)
    wave_number: np.ndarray  # (4,) whole periods per domain; 0 for a constant term
    phase: np.ndarray  # (4,)
    rectified: bool
    sign: float
    window: tuple[float, float] | None  # where the window opens and closes

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Values at the positions ``x`` (any shape, in units of the period; taken modulo 1)."""
        x = np.mod(x, 1.0)
        u = np.zeros_like(x)
        for amplitude, n, phase in zip(self.amplitude, self.wave_number, self.phase, strict=True):
            u += amplitude * np.sin(2 * np.pi * n * x + phase)
        if self.rectified:
            u = np.abs(u)
        if self.window is not None:
            left, right = self.window
            u *= 0.5 * (np.tanh((x - left) / WINDOW_WIDTH) - np.tanh((x - right) / WINDOW_WIDTH))
        return self.sign * u


def sample_generator(seed: int, index: int) -> np.random.Generator:
    """The random numbers of sample ``index``: a function of (seed, index) alone."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))


def draw_waves(seed: int, index: int) -> Waves:
    """The initial state of sample ``index`` under ``seed``."""
    rng = sample_generator(seed, index)
    # Every number is drawn for every sample, so that no choice shifts the ones after it.
    times_drawn = np.bincount(rng.integers(0, TERMS, size=2), minlength=TERMS)
    amplitude, phase = rng.random(TERMS), 2 * np.pi * rng.random(TERMS)
    rectified, negative, windowed = rng.random() < 0.1, rng.random() < 0.5, rng.random() < 0.1
    left, right = rng.uniform(0.1, 0.45), rng.uniform(0.55, 0.9)
    return Waves(
        amplitude=amplitude,
        wave_number=np.arange(1, TERMS + 1) * times_drawn,
        phase=phase,
        rectified=rectified,
        sign=-1.0 if negative else 1.0,
        window=(left, right) if windowed else None,
    )
