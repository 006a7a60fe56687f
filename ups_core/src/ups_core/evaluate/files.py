"""The published form of an evaluation: plain files whose bytes depend on its numbers alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ups_core.evaluate.judgement import Judgement, ranked
from ups_core.evaluate.split import Split, Window

#: Samples whose fields are kept for the figures: as many as ``analysis.samples`` may ask for.
SAMPLES = 12
#: Frames kept of each for a film: at most 65 and, where fields are large, so few that all of them together
#: stay near 32 MB, but never fewer than a row of maps shows.
FRAMES, FEWEST_FRAMES, VALUES = 65, 5, 1 << 22


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_per_sample(path: Path, judged: Mapping[str, tuple[Split, Judgement]]) -> None:
    """One row a sample, all splits below one another; empty where a number is not finite."""
    splits = list(judged.values())
    names = list(dict.fromkeys(name for split, _ in splits for name in split.parameter_names))
    columns = list(dict.fromkeys(name for _, judgement in splits for name in judgement.columns))
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["split", "sample", *names, *columns])
        for split, judgement in splits:
            parameters = split.named_parameters(slice(0, len(split)))
            for i in range(len(split)):
                values = [parameters[n][i] if n in parameters else None for n in names]
                values += [judgement.columns[c][i] if c in judgement.columns else None for c in columns]
                rows.writerow([split.name, i, *map(_cell, values)])


def _cell(value: Any) -> str:
    return repr(value.item()) if value is not None and np.isfinite(value) else ""


def kept_frames(covered: int, values: int) -> np.ndarray:
    """Which of ``covered`` frames are kept, evenly spread, first and last among them; ``values`` a frame.

    >>> len(kept_frames(41, 12 * 128)), len(kept_frames(101, 12 * 64**2)), kept_frames(101, 12 * 1024**2)
    (41, 65, array([  0,  25,  50,  75, 100]))
    """
    count = min(covered, FRAMES, max(FEWEST_FRAMES, VALUES // values))
    return np.unique(np.linspace(0, covered - 1, count).round().astype(int))


def write_fields(
    folder: Path, split: Split, judgement: Judgement, frames: Window | None
) -> list[dict[str, Any]]:
    """Truth and prediction of the samples that figures draw; returns which they are, and why.

    ``fields/*.npy``: ``truth`` and ``prediction`` (S, F, C, X[, Y]) float32, ``x`` and ``y`` (on a mesh of
    each sample, (S, M)); transient: ``t`` (F,), the first frame being the last given one; steady (F = 1):
    ``input`` (S, C, X[, Y]). Of three dimensions they hold one plane, in the middle, and where it is: ``z``
    (1,). They are files of their own, since an archive of them has bytes that differ between versions of
    Python.
    """
    chosen = ranked(judgement.error, SAMPLES)
    arrays = {axis.lower(): split.coordinates[axis] for axis in "XY" if axis in split.coordinates}
    depth = split.u.shape[-1] // 2 if "Z" in split.coordinates else None
    if depth is not None:
        arrays["z"] = split.coordinates["Z"][depth : depth + 1]
    shown = np.s_[...] if depth is None else np.s_[..., depth]
    if split.mesh:
        arrays = {name: x[[i for i, _ in chosen]] for name, x in arrays.items()}
    truths, predictions = [], []
    if frames is not None:
        kept = kept_frames(frames.steps + 1, len(chosen) * int(np.prod(split.u[0, 0][shown].shape)))
        arrays["t"] = split.coordinates["T"][frames.covered][kept]
    for i, _ in chosen:
        sample = slice(i, i + 1)
        prediction = judgement.predict(sample)[shown]
        if frames is None:
            truths.append(split.u[sample][shown])
            predictions.append(prediction)
        else:
            start = split.u[i, frames.start : frames.given][shown]  # (1, C, X[, Y]), given: no error there
            truths.append(split.u[i, frames.covered][kept][shown])
            predictions.append(np.concatenate([start, prediction[0]])[kept])
    arrays["truth"] = np.stack(truths).astype(np.float32)
    arrays["prediction"] = np.stack(predictions).astype(np.float32)
    if split.a is not None:
        arrays["input"] = np.stack([split.a[i][shown] for i, _ in chosen]).astype(np.float32)
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return [
        {
            "sample": i,
            "role": role,
            "error": float(judgement.error[i]) if np.isfinite(judgement.error[i]) else None,
            "parameters": {n: float(v[0]) for n, v in split.named_parameters(slice(i, i + 1)).items()},
        }
        for i, role in chosen
    ]
