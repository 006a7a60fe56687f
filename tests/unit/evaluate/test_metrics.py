"""The metrics against a literal transcription of their definitions, and what must hold for any data."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ups_core.evaluate import metrics

RNG = np.random.default_rng(7)


def literal_nrmse(prediction: np.ndarray, truth: np.ndarray) -> float:
    """sqrt(mean_x (pred - true)^2) / sqrt(mean_x true^2) per sample, frame and channel; then the mean."""
    ratios = []
    for sample_p, sample_t in zip(prediction, truth, strict=True):
        for frame_p, frame_t in zip(sample_p, sample_t, strict=True):
            for channel_p, channel_t in zip(frame_p, frame_t, strict=True):
                points = list(zip(channel_p.ravel().tolist(), channel_t.ravel().tolist(), strict=True))
                error = math.sqrt(sum((p - t) ** 2 for p, t in points) / len(points))
                scale = math.sqrt(sum(t**2 for _, t in points) / len(points))
                ratios.append(error / scale)
    return sum(ratios) / len(ratios)


def literal_rel_l2(prediction: np.ndarray, truth: np.ndarray) -> float:
    ratios = []
    for p, t in zip(prediction, truth, strict=True):
        points = list(zip(p.ravel().tolist(), t.ravel().tolist(), strict=True))
        ratios.append(
            math.sqrt(sum((a - b) ** 2 for a, b in points)) / math.sqrt(sum(b**2 for _, b in points))
        )
    return sum(ratios) / len(ratios)


def literal_power(field: np.ndarray) -> list[float]:
    """Sum of |c_k|^2 over the modes whose |k| rounds to the bin; c_k from the Fourier sum itself."""
    power: dict[int, float] = {}
    indices = list(np.ndindex(field.shape))
    for k in indices:
        signed = [j if j <= (n - 1) // 2 else j - n for j, n in zip(k, field.shape, strict=True)]
        c = sum(
            field[x] * np.exp(-2j * np.pi * sum(j * i / n for j, i, n in zip(k, x, field.shape, strict=True)))
            for x in indices
        ) / len(indices)
        bin_ = round(math.sqrt(sum(j * j for j in signed)))
        power[bin_] = power.get(bin_, 0.0) + abs(c) ** 2
    return [power[k] for k in sorted(power)]


@pytest.mark.parametrize("shape", [(3, 4, 2, 8), (2, 3, 1, 4, 5)])
def test_nrmse_is_the_definition(shape: tuple[int, ...]) -> None:
    truth, prediction = RNG.normal(size=(2, *shape))
    found = metrics.nrmse(prediction, truth)
    assert found.shape == shape[:3]
    assert float(metrics.mean_defined(found)) == pytest.approx(literal_nrmse(prediction, truth), rel=1e-12)


@pytest.mark.parametrize("shape", [(3, 2, 8), (2, 1, 4, 5)])
def test_rel_l2_is_the_definition(shape: tuple[int, ...]) -> None:
    truth, prediction = RNG.normal(size=(2, *shape))
    assert metrics.rel_l2(prediction, truth).mean() == pytest.approx(
        literal_rel_l2(prediction, truth), rel=1e-12
    )


@pytest.mark.parametrize("shape", [(8,), (7,), (4, 4), (4, 6)])
def test_power_spectrum_is_the_definition_and_sums_to_the_mean_square(shape: tuple[int, ...]) -> None:
    field = RNG.normal(size=shape)
    found = metrics.power_spectrum(field, len(shape))
    assert found == pytest.approx(literal_power(field), rel=1e-9)
    assert found.sum() == pytest.approx(np.mean(field**2), rel=1e-12)
    assert len(metrics.wavenumbers(shape)) == len(found)


def test_power_of_one_wave_lies_in_one_bin() -> None:
    x = np.arange(16) / 16
    power = metrics.power_spectrum(np.sin(2 * np.pi * 3 * x)[None], 1)[0]
    assert power[3] == pytest.approx(0.5)
    assert np.delete(power, 3) == pytest.approx(0, abs=1e-30)


@pytest.mark.parametrize(("points", "edges"), [(16, (2, 4)), (54, (3, 9)), (128, (4, 16)), (32, (3, 7))])
def test_bands_are_thirds_of_the_logarithm_of_the_wavenumber(points: int, edges: tuple[int, int]) -> None:
    power = RNG.random((2, points // 2 + 1))
    low, middle, high = np.moveaxis(metrics.band_energy(power, points), -1, 0)
    assert low == pytest.approx(power[:, : edges[0]].sum(axis=1))
    assert middle == pytest.approx(power[:, edges[0] : edges[1]].sum(axis=1))
    assert high == pytest.approx(power[:, edges[1] :].sum(axis=1))
    third = math.log(points // 2) / 3
    literal = [sum(math.log(max(k, 1)) < i * third - 1e-9 for k in range(points // 2 + 1)) for i in (1, 2)]
    assert tuple(literal) == edges


def test_a_horizon_ends_before_the_first_frame_that_is_too_wrong() -> None:
    error = np.array(
        [[0.1, 0.2, 0.3, 0.1], [0.1, 0.1, 0.1, 0.1], [0.3, 0.1, 0.1, 0.1], [0.1, np.nan, 0.1, np.inf]]
    )
    assert metrics.horizon(error, 0.2).tolist() == [2, 4, 0, 3]


fields = arrays(np.float64, (2, 3, 1, 5), elements=st.floats(-1e3, 1e3, width=32, allow_subnormal=False))


@settings(max_examples=50, deadline=None)
@given(truth=fields, noise=fields, scale=st.sampled_from([2.0**-40, 0.5, -4.0, 2.0**40]))
def test_scaling_both_changes_no_relative_error(truth: np.ndarray, noise: np.ndarray, scale: float) -> None:
    before = metrics.nrmse(truth + noise, truth)
    after = metrics.nrmse(scale * (truth + noise), scale * truth)
    np.testing.assert_allclose(after, before, rtol=1e-9, equal_nan=True)


@settings(max_examples=50, deadline=None)
@given(truth=fields, factor=st.floats(0, 3))
def test_a_prediction_that_is_a_multiple_is_wrong_by_the_difference(truth: np.ndarray, factor: float) -> None:
    found = metrics.nrmse(factor * truth, truth)
    np.testing.assert_allclose(found[~np.isnan(found)], abs(factor - 1), rtol=1e-9, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(values=arrays(np.float64, (4, 3), elements=st.sampled_from([0.5, 2.0, np.nan, np.inf])))
def test_means_leave_out_the_undefined_and_nothing_else(values: np.ndarray) -> None:
    kept = [v for v in values.ravel().tolist() if not math.isnan(v)]
    found = float(metrics.mean_defined(values))
    assert metrics.undefined(values) == values.size - len(kept)
    if not kept:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(sum(kept) / len(kept))


def test_zero_truth_has_no_relative_error_and_hides_none() -> None:
    truth = np.ones((2, 2, 1, 4))
    truth[0, 1] = 0
    found = metrics.nrmse(truth + 1, truth)
    assert np.isnan(found[0, 1, 0])
    assert metrics.undefined(found) == 1
    assert float(metrics.mean_defined(found)) == 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_prediction_that_is_not_finite_makes_the_mean_infinite(value: float) -> None:
    truth = np.ones((3, 4, 1, 8))
    prediction = truth.copy()
    prediction[1, 2, 0, 5] = value
    found = metrics.nrmse(prediction, truth)
    assert metrics.diverged(found).tolist() == [False, True, False]
    assert metrics.first_divergence(found).tolist() == [4, 2, 4]
    assert math.isinf(float(metrics.mean_defined(found)))
    assert math.isinf(metrics.max_error(prediction, truth)[1])


def test_float32_overflow_of_the_square_is_no_divergence() -> None:
    truth = np.ones((1, 1, 1, 4), dtype=np.float32)
    assert metrics.nrmse(truth * np.float32(1e30), truth)[0, 0, 0] == pytest.approx(1e30, rel=1e-6)


def test_drift_is_relative_to_the_initial_spread() -> None:
    initial = np.array([[[1.0, 3.0]]])  # mean 2, std 1
    states = np.array([[[[1.0, 3.0]], [[1.5, 3.0]], [[0.5, 3.0]]]])  # means 2, 2.25, 1.75
    assert metrics.mean_drift(states, initial) == pytest.approx(0.25)
    assert np.isnan(metrics.mean_drift(states, np.full((1, 1, 2), 5.0)))


def test_shapes_that_would_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        metrics.nrmse(np.ones((1, 3, 1, 4)), np.ones((2, 3, 1, 4)))


def test_metrics_import_neither_torch_nor_matplotlib() -> None:
    heavy = "('torch', 'scipy', 'matplotlib')"
    code = f"import sys, ups_core.evaluate.metrics; print([m for m in {heavy} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
