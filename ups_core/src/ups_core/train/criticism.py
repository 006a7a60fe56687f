"""What a critic learns: the log error of residuals that a sampler draws."""

from __future__ import annotations

import torch
from torch import Tensor

from ups_core.models.corrector import Corrector
from ups_core.models.critic import Critic, log_error
from ups_core.models.problem import Problem
from ups_core.train.residuals import OnResiduals, Residuals


class Criticism(OnResiduals[Critic]):
    """The log error of one fresh candidate for each frame; judged by the mean square of what it is off."""

    metric = "log_error.mse"

    def __init__(
        self,
        model: Critic,
        problem: Problem,
        train: Residuals,
        val: Residuals,
        *,
        augment: bool,
        sampler: Corrector,
        spread: float,
        evaluations: int,
    ) -> None:
        """Residuals in units of the sampler's; ``spread`` is the factor on what it draws."""
        super().__init__(model, problem, train, val, augment=augment)
        self.sampler, self.spread, self.evaluations = sampler, spread, evaluations

    def loss(self, batch: Residuals, generator: torch.Generator) -> Tensor:
        known = batch.given, batch.prediction, batch.parameters
        noise = self.noise_like(self.sampler, batch.residual, generator)  # (B, C, X[, Y])
        with torch.no_grad():
            drawn = self.spread * self.sampler.sample(noise, *known, self.evaluations)
            wanted = log_error(drawn, batch.residual)  # (B,)
        return (self.model(drawn, *known) - wanted).square()
