"""Whether a step of several frames is as good as single ones: errors on the frames that both reach."""

from __future__ import annotations

import numpy as np

from ups_core.evaluate import metrics, peers
from ups_core.evaluate.split import Split, Window


def judge_leads(model: peers.Surrogate, split: Split, frames: Window, single: np.ndarray) -> dict[str, float]:
    """For each lead k > 1 that the predicted frames have room for, the error of every k-th frame: in steps of
    that length, ``every<k>.rollout.nrmse``, and frame by frame, ``every<k>.single.rollout.nrmse``.

    ``single`` is the error of the latter in every frame, (N, T, C).
    """
    found = {}
    for k in (k for k in model.leads if 1 < k <= frames.steps):
        reached = Window(frames.given, frames.steps // k)
        errors = []
        for batch in split.batches():
            truth = split.u[batch, frames.predicted][:, k - 1 :: k]  # (n, T//k, C, X[, Y])
            at_once = peers.surrogate_rollout(model, split, batch, reached, every=k)  # (n, T//k, C, X[, Y])
            errors.append(metrics.nrmse(at_once, truth))
        for name, error in (("", np.concatenate(errors)), (".single", single[:, k - 1 :: k])):
            found[f"every{k}{name}.rollout.nrmse"] = float(metrics.mean_defined(error))
    return found
