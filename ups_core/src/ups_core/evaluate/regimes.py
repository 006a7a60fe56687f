"""What a test set has in common with training: its parameter values, its grid, its length."""

from __future__ import annotations

import math

import numpy as np

from ups_core.evaluate.split import Split

#: Parameter values are equal up to the rounding of float32.
SAME = 1e-6
#: A train split with more regimes than this draws its parameters from a range.
LISTED = 32


def compare(split: Split, train: Split) -> tuple[dict[str, float], dict[str, str]]:
    """Metrics and notes that say how far ``split`` lies outside of what was trained on.

    A regime is one combination of values of the parameters. ``regimes.unseen``: how many regimes of the split
    are not in train; ``regimes.missing``: how many of train are not in the split. Of a train split with more
    than :data:`LISTED` regimes only the range is compared: ``regimes.outside``, the share of samples outside
    it. All are left out where the parameters are the same everywhere.
    """
    metrics, notes = _parameters(split, train)
    shape, trained = split.states.shape[2:], train.states.shape[2:]
    if shape != trained:
        points = "particles" if split.kind == "particles" else "points"
        notes[split.kind] = f"{_text(shape)} {points}, {_text(trained)} in training"
    if "T" in split.coordinates and split.u.shape[1] != train.u.shape[1]:
        notes["frames"] = f"{split.u.shape[1]}, {train.u.shape[1]} in training"
    return metrics, notes


def _parameters(split: Split, train: Split) -> tuple[dict[str, float], dict[str, str]]:
    mine, known = _regimes(split), _regimes(train)
    if not split.parameter_names or (len(mine) == len(known) == 1 and _in(mine[0], known)):
        return {}, {}
    if len(known) > LISTED:
        low, high = known.min(axis=0), known.max(axis=0)
        slack = SAME * np.maximum(np.abs(low), np.abs(high))
        outside = ((split.parameters < low - slack) | (split.parameters > high + slack)).any(axis=1)
        share = float(outside.mean())
        said = f"{outside.sum()} of {len(split)} samples outside the range of training"
        return {"regimes.outside": share}, {"parameters": said}
    unseen = [row for row in mine if not _in(row, known)]
    missing = [row for row in known if not _in(row, mine)]
    said = [
        f"{what}: {'; '.join(_named(split, row) for row in rows)}"
        for what, rows in (("not in training", unseen), ("in training, but not here", missing))
        if rows
    ]
    found = {"regimes.unseen": float(len(unseen)), "regimes.missing": float(len(missing))}
    return found, {"parameters": ", ".join(said) or "all seen in training"}


def _regimes(split: Split) -> np.ndarray:
    """The different rows of the parameters: (R, P) float64."""
    return np.unique(np.asarray(split.parameters, dtype=np.float64), axis=0)


def _in(row: np.ndarray, rows: np.ndarray) -> bool:
    return any(
        all(math.isclose(a, b, rel_tol=SAME) for a, b in zip(row, other, strict=True)) for other in rows
    )


def _named(split: Split, row: np.ndarray) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in zip(split.parameter_names, row, strict=True))


def _text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
