"""Stage ``steady-prior``: the solutions that are possible for an input, around the operator's own."""

from __future__ import annotations

from ups_core.api.stages import SteadyPriorConfig
from ups_core.stages import corrector
from ups_core.stages.base import Given, Prepared
from ups_core.train.gate import Verdict


def prepare(given: Given, config: SteadyPriorConfig, seed: int) -> Prepared | Verdict:
    return corrector.prepare(given, config, seed, stage="steady-prior")
