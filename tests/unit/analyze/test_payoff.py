"""When a surrogate has paid for itself: what is said, and when nothing can be."""

from __future__ import annotations

from typing import Any

import pytest

from ups_core.analyze.payoff import cost_at, payoff_words


def setting(points: int, error: float, each: float) -> dict[str, float]:
    return {"points": points, "error": error, "frames": 100, "cpu_seconds": 100 * each}


SETTINGS = [setting(16, 1e-1, 1e-4), setting(32, 1e-2, 1e-3), setting(64, 1e-3, 1e-2)]


def cost(
    error: float, each: float, settings: list[dict[str, float]] = SETTINGS, **spent: float
) -> dict[str, Any]:
    own = {"frames": 100, "cpu_seconds": 100 * each, "steps": 10, "error": error}
    return {"surrogate": own, "equal": {"error": error, "settings": settings}, "spent": spent}


def test_cost_is_read_off_between_two_settings_and_never_beyond() -> None:
    assert cost_at(1e-2, SETTINGS) == pytest.approx(1e-3)
    assert cost_at(10**-2.5, SETTINGS) == pytest.approx(10**-2.5)  # error times cost is the same all along
    assert cost_at(2e-1, SETTINGS) is None
    assert cost_at(5e-4, SETTINGS) is None
    assert cost_at(1e-2, SETTINGS[:1]) is None


def test_it_pays_off_after_what_training_took_over_what_a_rollout_saves() -> None:
    # 10 frames take the solver 10 ms and the surrogate 2 ms: 99.99 s are 12 498.75 times 8 ms.
    said = payoff_words(cost(1e-2, 2e-4, training=99.99))
    assert said.startswith("Pays off after 12\u202f499 rollouts: training took 100 s of CPU time")
    assert "the surrogate 2 ms and the solver 10 ms" in said
    both = payoff_words(cost(1e-2, 2e-4, training=99.99, data=60.0))
    assert "12\u202f499 rollouts (19\u202f999 if the 60 s count that its data took to simulate)" in both


def test_it_never_pays_off_where_the_solver_is_cheaper_at_the_same_error() -> None:
    assert payoff_words(cost(1e-2, 2e-3, training=1.0)).startswith("Never pays off")
    # Even where no setting is as inaccurate as the surrogate: the coarsest is cheaper and more accurate.
    assert payoff_words(cost(5e-1, 2e-3, training=1.0)).startswith("Never pays off")


def test_nothing_is_extrapolated() -> None:
    assert "does not reach the surrogate's error of 5.00×10⁻⁴" in payoff_words(cost(5e-4, 1e-5, training=1.0))
    assert "no number of rollouts" in payoff_words(cost(5e-1, 1e-5, training=1.0))


def test_what_is_not_known_is_not_told() -> None:
    assert payoff_words({}) == ""
    assert payoff_words(cost(1e-2, 1e-5)) == ""
    assert payoff_words({"surrogate": {"frames": 1, "cpu_seconds": 1.0}, "spent": {"training": 1.0}}) == ""
