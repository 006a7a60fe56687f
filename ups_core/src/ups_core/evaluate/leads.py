"""Whether a step of several frames is as good as single ones: errors on the frames that both reach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ups_core.evaluate import metrics, peers
from ups_core.evaluate.judgement import finite_metrics
from ups_core.evaluate.split import Split, Window


def judge_leads(
    model: peers.Surrogate, split: Split, frames: Window, leads: Sequence[int]
) -> dict[str, float]:
    """For each lead k > 1 that the predicted frames have room for, the error of every k-th frame: in steps of
    that length, ``every<k>.rollout.nrmse``, and frame by frame, ``every<k>.single.rollout.nrmse``.
    """
    errors: dict[str, list[np.ndarray]] = {}
    for batch in split.batches():
        truth = split.u[batch, frames.predicted]  # (n, T, C, X[, Y])
        single = peers.surrogate_rollout(model, split, batch, frames)  # (n, T, C, X[, Y])
        for k in (k for k in leads if 1 < k <= frames.steps):
            reached = Window(frames.given, frames.steps // k)
            at_once = peers.surrogate_rollout(model, split, batch, reached, every=k)  # (n, T//k, C, X[, Y])
            for name, found in ((f"every{k}", at_once), (f"every{k}.single", single[:, k - 1 :: k])):
                errors.setdefault(name, []).append(metrics.nrmse(found, truth[:, k - 1 :: k]))
    return finite_metrics(
        {
            f"{name}.rollout.nrmse": float(metrics.mean_defined(np.concatenate(e)))
            for name, e in errors.items()
        }
    )
