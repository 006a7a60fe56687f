"""Using a surrogate from files: what ``ups predict`` runs in a process of its own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from ups_core.errors import DataInvalid, InvalidSpec, NotFound, UpsError
from ups_core.output import check_file, whole_file
from ups_core.surrogate import Surrogate


def predict(
    surrogate: Surrogate, given: Path, out: Path, steps: int | None, members: int | None = None
) -> tuple[int, ...]:
    """Predict from an ``.npy`` file into another; returns the shape written.

    Transient: states (N, C, X[, Y]) and ``steps`` to frames (N, steps, C, X[, Y]). Steady: inputs to
    solutions, (N, C, X[, Y]) both. Parameters that varied in training are read from ``<given>`` with
    the suffix ``.parameters.npy``, (N, P). ``out`` is complete or absent.

    With ``members`` that many are drawn, ``out`` is their mean, and their standard deviation lies beside it
    with the suffix ``.std.npy``. InvalidSpec where the surrogate is deterministic.
    """
    values = _read(given)
    beside = given.with_suffix(".parameters.npy")
    parameters = _read(beside) if beside.exists() else None
    names = surrogate.problem.parameters
    samples = len(values) if values.ndim == surrogate.problem.dimensions + 2 else 1
    if parameters is not None and parameters.shape != (samples, len(names)):
        raise DataInvalid(
            "the parameters have another layout",
            where=beside,
            found=f"shape {parameters.shape}",
            expected=f"{(samples, len(names))}: a row a sample, columns {', '.join(names)}",
            fix=f"correct {beside}, or remove it where no parameter varied in training",
        )
    if surrogate.problem.steady:
        if steps is not None:
            raise InvalidSpec(
                "a steady problem has no steps", found=f"--steps {steps}", fix="leave out --steps"
            )
    elif steps is None:
        raise InvalidSpec("a rollout needs a length", expected="--steps N", fix="add --steps 40")
    if members is not None:
        drawn = surrogate.ensemble(values, steps, members, parameters)
        axis = values.ndim - surrogate.problem.dimensions - 1  # M, behind N where there is one
        _save(drawn.std(axis=axis, ddof=1), out.with_suffix(".std.npy"))
        predicted = drawn.mean(axis=axis)
    elif steps is None:
        predicted = surrogate.solve(values, parameters)
    else:
        predicted = surrogate.rollout(values, steps, parameters)
    _save(predicted, out)
    return predicted.shape


def _save(values: np.ndarray, out: Path) -> None:
    with whole_file(out, "--out") as part, part.open("wb") as file:
        np.save(file, values)


def _read(path: Path) -> np.ndarray:
    try:
        values = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise NotFound("there is no such file", where=path, fix="give an .npy file to --input") from error
    except (ValueError, OSError, EOFError) as error:
        raise _no_array(path, error) from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        raise _no_array(path, getattr(values, "dtype", "several arrays (.npz)"))
    return values


def _no_array(path: Path, found: object) -> DataInvalid:
    return DataInvalid(
        "the file is no array of numbers",
        where=path,
        found=found,
        expected="an .npy file of real numbers",
        fix="save the array by numpy.save",
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="ups predict")
    parser.add_argument("model")
    parser.add_argument("input", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--members", type=int)
    args = parser.parse_args()
    try:
        check_file(args.out, "--out")
        shape = predict(Surrogate.load(args.model), args.input, args.out, args.steps, args.members)
    except UpsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    print(f"wrote {args.out}, shape {' x '.join(map(str, shape))}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
