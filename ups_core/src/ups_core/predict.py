"""Using a surrogate from files: what ``ups predict`` runs in a process of its own."""

from __future__ import annotations

import argparse
import os
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from ups_core.errors import DataInvalid, InvalidSpec, NotFound, UpsError
from ups_core.models.problem import Problem
from ups_core.output import check_file, whole_file
from ups_core.surrogate import Surrogate
from ups_core.train.memory import keep_freed_memory


@dataclass(frozen=True)
class Given:
    """What a file gives: values (N, C, X[, Y]) or (C, X[, Y]), and what it says about them."""

    values: np.ndarray
    parameters: Any = None
    coordinates: Mapping[str, np.ndarray] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


def predict(
    surrogate: Surrogate, given: Path, out: Path, steps: int | None, members: int | None = None
) -> tuple[int, ...]:
    """Predict from a file into an ``.npy`` file; returns the shape written.

    Transient: states (N, C, X[, Y]) and ``steps`` to frames (N, steps, C, X[, Y]). Steady: inputs to
    solutions, (N, C, X[, Y]) both. ``given`` is one of

    - ``.npy``: the values, which are read batch by batch. Parameters that varied in training are read
      from ``<given>`` with the suffix ``.parameters.npy``, (N, P).
    - ``.npz``: the values as ``u`` (steady: ``a``), parameters under their names (a number, or (N,)), and
      what training is compared with: nodes ``x``, ``y``, times ``t``, ``units`` (C,) of the channels. On a
      mesh ``x`` and ``y`` are where the points lie, (M,) or (N, M), and have to be there.

    ``out`` is written batch by batch, and complete or absent.

    With ``members`` that many are drawn, ``out`` is their mean, and their standard deviation lies beside it
    with the suffix ``.std.npy``. InvalidSpec where the surrogate is deterministic.
    """
    problem = surrogate.problem
    if problem.steady and steps is not None:
        raise InvalidSpec("a steady problem has no steps", found=f"--steps {steps}", fix="leave out --steps")
    if not problem.steady and steps is None:
        raise InvalidSpec("a rollout needs a length", expected="--steps N", fix="add --steps 40")
    read = read_npz(given, problem) if given.suffix == ".npz" else read_npy(given, problem)
    about = {"coordinates": read.coordinates, "units": read.units}
    shape = surrogate.shape(read.values, steps)
    if members is not None:
        drawn = surrogate.ensemble(read.values, steps, members, read.parameters, **about)
        axis = read.values.ndim - len(problem.axes) - 1  # M, behind N where there is one
        for path, values in (
            (out.with_suffix(".std.npy"), drawn.std(axis=axis, ddof=1)),
            (out, drawn.mean(axis=axis)),
        ):
            with whole_array(path, "--out", shape) as predicted:
                predicted[...] = values
        return shape
    with whole_array(out, "--out", shape) as predicted:
        if steps is None:
            surrogate.solve(read.values, read.parameters, **about, out=predicted)
        else:
            surrogate.rollout(read.values, steps, read.parameters, **about, out=predicted)
    return shape


def read_npy(path: Path, problem: Problem) -> Given:
    values = _load(path)
    beside = path.with_suffix(".parameters.npy")
    if not beside.exists():
        return Given(values)
    parameters, names = _load(beside), problem.parameters
    samples = len(values) if values.ndim == len(problem.axes) + 2 else 1
    if parameters.shape != (samples, len(names)):
        raise DataInvalid(
            "the parameters have another layout",
            where=beside,
            found=f"shape {parameters.shape}",
            expected=f"{(samples, len(names))}: a row a sample, columns {', '.join(names)}",
            fix=f"correct {beside}, or remove it where no parameter varied in training",
        )
    return Given(values, parameters)


def read_npz(path: Path, problem: Problem) -> Given:
    main = "a" if problem.steady else "u"
    axes = [axis.lower() for axis in problem.space] + ([] if problem.steady else ["t"])
    with _opened(path):
        loaded = np.load(path, allow_pickle=False)
        arrays = {name: loaded[name] for name in loaded.files} if hasattr(loaded, "files") else {}
    known = [main, *problem.parameters, *axes, "units"]
    unknown = [name for name in arrays if name not in known]
    if unknown or main not in arrays:
        raise DataInvalid(
            f"the file has no array {main}"
            if main not in arrays
            else "the file has arrays of no meaning here",
            where=path,
            found=", ".join(unknown or arrays) or "none",
            expected=f"{main}, and of {', '.join(known[1:])} what there is",
            fix="save it by numpy.savez with these names",
        )
    for name, array in arrays.items():
        if name != "units" and array.dtype.kind not in "fiu":
            raise _no_array(path, f"{name}: {array.dtype}")
    samples = len(arrays[main]) if arrays[main].ndim == len(problem.axes) + 2 else 1
    parameters = {name: arrays[name] for name in problem.parameters if name in arrays}
    for name, values in parameters.items():
        if values.shape not in ((), (samples,)):
            raise DataInvalid(
                "the parameters have another layout",
                where=f"{path}: {name}",
                found=f"shape {values.shape}",
                expected=f"one number, or ({samples},): one for each sample",
                fix=f"correct {name}",
            )
    units = np.atleast_1d(arrays["units"]) if "units" in arrays else np.array([])
    if len(units) not in (0, len(problem.inputs)):
        raise DataInvalid(
            "there is not one unit for each channel",
            where=f"{path}: units",
            found=", ".join(map(str, units)),
            expected=f"{len(problem.inputs)}, of {', '.join(problem.inputs)}",
            fix="give units in this order",
        )
    return Given(
        values=arrays[main],
        parameters=parameters,
        coordinates={axis: arrays[axis] for axis in axes if axis in arrays},
        units=dict(zip(problem.inputs, map(str, units), strict=False)),
    )


@contextmanager
def whole_array(path: Path, option: str, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """A float32 array in a file, to fill in; it becomes the ``.npy`` file ``path`` where the block ends well.

    All of its space is taken first: a disk that is too small says so before the work, and a mapped file
    that cannot grow would end the process.
    """
    with whole_file(path, option) as part:
        array = np.lib.format.open_memmap(part, "w+", np.float32, shape)
        with part.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, part.stat().st_size)
        yield array
        array.flush()


def _load(path: Path) -> np.ndarray:
    with _opened(path):
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        raise _no_array(path, getattr(values, "dtype", "several arrays (.npz)"))
    return values


@contextmanager
def _opened(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(
            "there is no such file", where=path, fix="give an .npy or .npz file to --input"
        ) from error
    except (ValueError, OSError, EOFError, BadZipFile, zlib.error) as error:
        raise _no_array(path, error) from error


def _no_array(path: Path, found: object) -> DataInvalid:
    return DataInvalid(
        "the file is no array of numbers",
        where=path,
        found=found,
        expected="an .npy or .npz file of real numbers",
        fix="save the array by numpy.save",
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="ups predict")
    parser.add_argument("model")
    parser.add_argument("input", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--extrapolate", action="store_true")
    parser.add_argument("--members", type=int)
    args = parser.parse_args()
    keep_freed_memory()
    try:
        check_file(args.out, "--out")
        surrogate = Surrogate.load(args.model, extrapolate=args.extrapolate)
        shape = predict(surrogate, args.input, args.out, args.steps, args.members)
    except UpsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    print(f"wrote {args.out}, shape {' x '.join(map(str, shape))}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
