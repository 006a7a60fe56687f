"""Stage ``diffusion``: ensembles of rollouts, by a generative model of the operator's one-step residual."""

from __future__ import annotations

from ups_core.api.stages import DiffusionConfig
from ups_core.stages import corrector
from ups_core.stages.base import Given, Prepared
from ups_core.train.gate import Verdict


def prepare(given: Given, config: DiffusionConfig, seed: int) -> Prepared | Verdict:
    return corrector.prepare(given, config, seed, stage="diffusion")
