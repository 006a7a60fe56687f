"""Using a surrogate from files: what ``ups predict`` runs in a process of its own."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ups_core.errors import InvalidSpec, UpsError
from ups_core.given import read
from ups_core.output import check_file, whole_file
from ups_core.surrogate import Surrogate
from ups_core.train.memory import keep_freed_memory


def predict(
    surrogate: Surrogate,
    given: Path,
    out: Path,
    steps: int | None,
    members: int | None = None,
    search: bool | None = None,
    every: int = 1,
) -> tuple[int, ...]:
    """Predict from a file into an ``.npy`` file; returns the shape written.

    Transient: states (N, C, X[, Y]) and ``steps`` to frames (N, steps, C, X[, Y]). Steady: inputs to
    solutions, (N, C, X[, Y]) both. What ``given`` may be, :mod:`ups_core.given` says.

    ``out`` is written batch by batch, and complete or absent.

    With ``members`` that many are drawn, ``out`` is their mean, and their standard deviation lies beside it
    with the suffix ``.std.npy``. InvalidSpec where the surrogate is deterministic. ``search`` and ``every``
    as in :meth:`~ups_core.surrogate.Surrogate.rollout`; members are drawn frame by frame, without a search.
    """
    problem = surrogate.problem
    if search and (problem.steady or members is not None):
        raise InvalidSpec(
            "a search gives one rollout, of a transient problem",
            found=f"--search with {'a steady problem' if problem.steady else f'--members {members}'}",
            fix="leave out --search" if problem.steady else "leave out --search or --members",
        )
    if problem.steady and steps is not None:
        raise InvalidSpec("a steady problem has no steps", found=f"--steps {steps}", fix="leave out --steps")
    if not problem.steady and steps is None:
        raise InvalidSpec("a rollout needs a length", expected="--steps N", fix="add --steps 40")
    if every > 1 and (problem.steady or members is not None):
        raise InvalidSpec(
            "steps of several frames are those of one rollout, of a transient problem",
            found=f"--every {every}",
            fix="leave out --every",
        )
    found = read(given, problem)
    about = {"coordinates": found.coordinates, "units": found.units}
    shape = surrogate.shape(found.values, steps)
    if members is not None:
        drawn = surrogate.ensemble(found.values, steps, members, found.parameters, **about)
        axis = found.values.ndim - len(problem.axes) - 1  # M, behind N where there is one
        for path, values in (
            (out.with_suffix(".std.npy"), drawn.std(axis=axis, ddof=1)),
            (out, drawn.mean(axis=axis)),
        ):
            with whole_array(path, "--out", shape) as predicted:
                predicted[...] = values
        return shape
    with whole_array(out, "--out", shape) as predicted:
        if steps is None:
            surrogate.solve(found.values, found.parameters, **about, out=predicted)
        else:
            asked = {"search": search, "every": every}
            surrogate.rollout(found.values, steps, found.parameters, **about, out=predicted, **asked)
    return shape


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


def main() -> None:
    parser = argparse.ArgumentParser(prog="ups predict")
    parser.add_argument("model")
    parser.add_argument("input", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--extrapolate", action="store_true")
    parser.add_argument("--members", type=int)
    parser.add_argument("--search", action=argparse.BooleanOptionalAction)
    args = parser.parse_args()
    keep_freed_memory()
    try:
        check_file(args.out, "--out")
        surrogate = Surrogate.load(args.model, extrapolate=args.extrapolate)
        shape = predict(surrogate, args.input, args.out, args.steps, args.members, args.search, args.every)
    except UpsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    print(f"wrote {args.out}, shape {' x '.join(map(str, shape))}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
