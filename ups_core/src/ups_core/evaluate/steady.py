"""Judging a surrogate of a steady problem: from an input field to the solution, in one evaluation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ups_core.data.families.base import Family
from ups_core.evaluate import metrics, peers
from ups_core.evaluate.judgement import BandEnergy, Judgement, Meter, Spectra, finite_metrics
from ups_core.evaluate.split import Split


def judge_steady(
    model: peers.Surrogate,
    split: Split,
    train: Split,
    family: Family,
    boundary: Mapping[str, str],
    *,
    names: Sequence[str],
    fno: peers.Surrogate | None = None,
    tick: Callable[[], None],
) -> Judgement:
    """All metrics of the surrogate, and of the peers in ``names``, over a split.

    ``persistence`` among the names asks for the mean predictor, its counterpart where nothing moves;
    ``fno`` is the trained peer, judged like the surrogate.
    """
    spectra, meter = None if split.scattered else Spectra(split.space), Meter()
    peers.surrogate_steady(model, split, slice(0, 1))  # see judge_transient

    def predict(batch: slice) -> np.ndarray:
        return peers.surrogate_steady(model, split, batch)

    def metered(batch: slice) -> np.ndarray:
        with meter.running(batch.stop - batch.start):
            return predict(batch)

    error, largest, bands = score(metered, split, tick, spectra)
    columns, energies = {"rel_l2": error, "max_error": largest}, {"": bands}
    cost = {"surrogate": meter.to_dict()}
    notes: dict[str, str] = {}
    if "persistence" in names:
        mean = peers.mean_at_points(train, split) if split.mesh else peers.mean_solution(train)
        if split.mesh and not peers.same_points(train, split):
            notes["mean"] = "the mean over all points of training: samples have points of their own"
        elif train.u.shape[2:] != split.u.shape[2:]:
            grids = " onto ".join("x".join(map(str, s.u.shape[2:])) for s in (train, split))
            notes["mean"] = f"the training mean, interpolated linearly from {grids}"
        if not split.scattered:
            mean = peers.resample(mean, train.coordinates, split.coordinates, boundary)
        columns["mean.rel_l2"], columns["mean.max_error"], _ = score(
            lambda b: np.broadcast_to(mean, (b.stop - b.start, *mean.shape)), split, tick
        )
    if "solver" in names and (solver := family.solver) is not None:
        solver_meter = Meter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            peers.solver_steady(solver, split, slice(0, 1))

            def solve(batch: slice) -> np.ndarray:
                with solver_meter.running(batch.stop - batch.start):
                    return peers.solver_steady(solver, split, batch)

            columns["solver.rel_l2"], columns["solver.max_error"], energies["solver."] = score(
                solve, split, tick
            )
        # What a solver had to assume belongs beside its figures.
        if assumed := dict.fromkeys(str(w.message) for w in caught if issubclass(w.category, UserWarning)):
            notes["solver"] = "; ".join(assumed)
        cost["solver"] = solver_meter.to_dict()

    if fno is not None:
        peers.surrogate_steady(fno, split, slice(0, 1))
        fno_meter, its = Meter(), fno

        def infer(batch: slice) -> np.ndarray:
            with fno_meter.running(batch.stop - batch.start):
                return peers.surrogate_steady(its, split, batch)

        columns["fno.rel_l2"], columns["fno.max_error"], energies["fno."] = score(infer, split, tick)
        cost["fno"] = fno_meter.to_dict()

    flat = {name: float(metrics.mean_defined(v)) for name, v in columns.items() if name.endswith("rel_l2")}
    flat |= {name: float(v.max()) for name, v in columns.items() if name.endswith("max_error")}
    for who, found in energies.items():
        flat |= {f"{who}spectrum.{band}": float(e) for band, e in zip(metrics.BANDS, found, strict=False)}
    flat["diverged"] = int(metrics.diverged(error).sum())
    if left_out := metrics.undefined(error):
        flat["undefined"] = left_out
    for who in cost:
        name = "rel_l2" if who == "surrogate" else f"{who}.rel_l2"
        cost[who] |= finite_metrics({"error": flat[name]}) | {"steps": 1}
    return Judgement(
        metrics=finite_metrics(flat),
        columns=columns,
        error=np.where(np.isnan(error), np.inf, error),
        spectra=spectra.to_dict([0], split, [field.name for field in family.fields]) if spectra else {},
        predict=predict,
        cost=cost,
        notes=notes,
    )


def score(
    predict: Callable[[slice], np.ndarray],
    split: Split,
    tick: Callable[[], None],
    spectra: Spectra | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Relative L2 error and largest error of each sample, (N,) both, batch by batch, and the error's energy
    in each band of wavenumbers relative to the truth's, (3,)."""
    errors, largest, bands = [], [], BandEnergy(split)
    for batch in split.batches():
        truth = split.u[batch]  # (n, C, X[, Y])
        prediction = predict(batch)
        errors.append(metrics.rel_l2(prediction, truth))
        largest.append(metrics.max_error(prediction, truth))
        bands.add(prediction[:, None], truth[:, None])
        if spectra is not None:
            spectra.add(prediction[:, None], truth[:, None])
        tick()
    return np.concatenate(errors), np.concatenate(largest), bands.relative()
