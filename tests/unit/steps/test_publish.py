"""What several seeds become: of the surrogate and of the peer that is trained as often."""

from __future__ import annotations

import pytest

from ups_core.steps.publish import over_seeds, seeds_told

SEEDS = [
    {
        "rollout.nrmse": 0.01,
        "fno.rollout.nrmse": 0.04,
        "solver.rollout.nrmse": 0.5,
        "rollout.horizon.p10": 3.0,
    },
    {"rollout.nrmse": 0.03, "fno.rollout.nrmse": 0.08, "solver.rollout.nrmse": 0.5},
]


def test_both_sides_have_mean_and_spread():
    assert over_seeds(SEEDS[:1]) == SEEDS[0]
    found = over_seeds(SEEDS)
    assert found["rollout.nrmse"] == pytest.approx(0.02)
    assert found["rollout.nrmse.std"] == pytest.approx(0.02 / 2**0.5)
    assert found["fno.rollout.nrmse"] == pytest.approx(0.06)
    assert found["fno.rollout.nrmse.std"] == pytest.approx(0.04 / 2**0.5)
    assert not [name for name in found if name.startswith("rollout.horizon")]  # one seed lacks it
    assert seeds_told(found, 2) == (
        "2; mean and standard deviation: rollout.nrmse 0.02 ± 0.01, fno.rollout.nrmse 0.06 ± 0.03. "
        "What is drawn below is the first seed"
    )
    assert seeds_told(SEEDS[0], 1) is None
