"""A trained surrogate as a function of arrays, in physical units.

>>> surrogate = Surrogate.load("file:///data/ups-store/objects/train/3f2a...")    # doctest: +SKIP
>>> surrogate.rollout(u0, steps=40).shape                                         # doctest: +SKIP
(32, 40, 1, 128)
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ups_core.errors import DataInvalid, InvalidSpec
from ups_core.models.advance import Solve
from ups_core.models.codec import Codec
from ups_core.models.device import device_of
from ups_core.models.problem import Problem, shape_text
from ups_core.models.rollout import rollout
from ups_core.store import open_uri
from ups_core.train import published
from ups_core.train.published import Model
from ups_core.train.tasks import solve


@dataclass(frozen=True)
class Surrogate:
    """A trained operator and, where it works on latent states, its codec."""

    operator: Model
    codec: Model | None = None

    @classmethod
    def load(cls, source: str | Path) -> Self:
        """From a folder, or from ``STORE/objects/train/<key>`` in a store (``file://``, ``s3://``).

        NotFound where nothing is there, DataInvalid where weights and description do not fit.
        """
        text = str(source)
        if isinstance(source, Path) or ("://" not in text and Path(text, "model.json").exists()):
            return cls._read(Path(source))
        with tempfile.TemporaryDirectory() as work:
            return cls._read(open_uri(text).folder(Path(work)))

    @classmethod
    def _read(cls, folder: Path) -> Self:
        operator = published.read(folder)
        if operator.facts["stage"] == "codec":
            raise InvalidSpec(
                "a codec alone predicts nothing", where=folder, expected="the object of the stage operator"
            )
        return cls(operator, published.read(folder, "codec") if (folder / "codec.json").exists() else None)

    @property
    def problem(self) -> Problem:
        """The problem in physical fields."""
        return (self.codec or self.operator).problem

    def rollout(self, u0: np.ndarray, steps: int, parameters: Any = None) -> np.ndarray:
        """The ``steps`` frames after u0, predicted in closed loop.

        ``u0`` (N, C, X[, Y]), or (C, X[, Y]) for one sample, in physical units; ``parameters`` (N, P) or a
        mapping of names to values, not needed for those that were the same in all training samples.
        Returns float32 (N, steps, C, X[, Y]), or (steps, C, X[, Y]).

        A grid that is finer by a whole factor is restricted to the training grid, and the frames are
        interpolated back (periodic axes: trigonometric; between walls: cubic, where node i of n lies at
        i/n). DataInvalid for any other grid, for values that are not finite, and for
        parameters that training did not know.
        """
        self._is(steady=False)
        u, single = self._batch(u0, self.problem.fields)
        p = self._parameters(parameters, len(u))  # (N, P)
        coarse, factor = self._restrict(u)
        if self.codec is None:
            frames = _roll(self.operator, coarse, p, steps)  # (N, T, C, X[, Y])
        else:
            codes = encode(self.codec, coarse)  # (N, Z, X'[, Y'])
            frames = decode(self.codec, _roll(self.operator, codes, p, steps))  # (N, T, C, X[, Y])
        out = self._refine(frames, factor)
        return out[0] if single else out

    def solve(self, a: np.ndarray, parameters: Any = None) -> np.ndarray:
        """The solution of a steady problem: (N, C, X[, Y]), or (C, X[, Y]), to the same form, float32.

        Parameters, finer grids and errors as in :meth:`rollout`; but what means the same on every grid (a
        Fourier neural operator, a learned discretisation) is evaluated on the one that is given.
        """
        self._is(steady=True)
        given, single = self._batch(a, self.problem.inputs)
        model = self.operator
        assert isinstance(model.network, Solve)
        coarse, factor = (given, 1) if model.network.resolution_free else self._restrict(given)
        p = model.normaliser.vary(model.problem, self._parameters(parameters, len(given)))  # (N, varying)
        normalised = model.normaliser.inputs.apply(torch.from_numpy(coarse))
        average = model.facts["testTimeAugmentation"]
        u = model.normaliser.fields.invert(
            solve(model.network, normalised, p, model.problem, average=average)
        )
        out = self._refine(u[:, None].numpy(), factor)[:, 0]
        return out[0] if single else out

    def _is(self, *, steady: bool) -> None:
        if self.problem.steady != steady:
            right, wrong = ("solve", "rollout") if self.problem.steady else ("rollout", "solve")
            raise InvalidSpec(
                f"{self.problem.family} is {'steady' if self.problem.steady else 'transient'}",
                found=wrong,
                expected=right,
                fix=f"call .{right}(...)",
            )

    def _batch(self, values: np.ndarray, channels: tuple[str, ...]) -> tuple[np.ndarray, bool]:
        """float32 (N, C, X[, Y]), and whether one sample without N was given."""
        array = np.asarray(values, dtype=np.float32)
        d = self.problem.dimensions
        single = array.ndim == d + 1
        array = array[None] if single else array
        if array.ndim != d + 2 or array.shape[1] != len(channels):
            raise DataInvalid(
                "the input has another layout",
                found=f"shape {shape_text(np.shape(values))}",
                expected=f"(N, C, {', '.join(self.problem.space)}), channels {', '.join(channels)}",
            )
        if not np.isfinite(array).all():
            bad = int(np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))[0])
            raise DataInvalid("the input is not finite", where=f"sample {bad}", expected="finite values")
        return array, single

    def _parameters(self, given: Any, samples: int) -> np.ndarray:
        """(N, P), with what was fixed in training filled in."""
        problem, fixed = self.problem, self.operator.normaliser.fixed
        if given is None:
            given = {}
        if not isinstance(given, Mapping):
            table = np.asarray(given, dtype=np.float64).reshape(-1, len(problem.parameters))
            given = {name: table[:, i] for i, name in enumerate(problem.parameters)}
        columns = []
        for name in problem.parameters:
            if name not in given and name not in fixed:
                raise DataInvalid(
                    f"the parameter {name} is needed", expected=f"{name} in parameters: it varied in training"
                )
            column = np.broadcast_to(np.asarray(given.get(name, fixed.get(name)), dtype=np.float64), samples)
            if name in fixed and not np.allclose(column, fixed[name], rtol=1e-5):
                raise DataInvalid(
                    f"the surrogate knows one value of {name} only",
                    found=f"{name} = {column[np.argmax(np.abs(column - fixed[name]))]:g}",
                    expected=f"{name} = {fixed[name]:g}, as in training",
                    fix="train on a dataset in which it varies",
                )
            columns.append(column)
        return np.stack(columns, axis=1) if columns else np.zeros((samples, 0))

    def _restrict(self, values: np.ndarray) -> tuple[np.ndarray, int]:
        """Every k-th node, so that the training grid remains; k is the second result."""
        space, expected = values.shape[2:], self.problem.shape
        factor = space[0] // expected[0]
        walls = zip(self.problem.boundary, self.problem.wall, strict=True)
        nested = all(kind == "periodic" or wall for kind, wall in walls)
        if factor < 1 or space != tuple(n * factor for n in expected) or (factor > 1 and not nested):
            raise DataInvalid(
                "the surrogate cannot be used on this grid",
                found=f"{shape_text(space)} points",
                expected=f"{shape_text(expected)} points, as in training"
                + (", or a whole multiple along all axes" if nested else ""),
                fix="interpolate the input to the training grid",
            )
        return np.ascontiguousarray(values[(..., *[slice(None, None, factor)] * len(space))]), factor

    def _refine(self, frames: np.ndarray, factor: int) -> np.ndarray:
        """(N, T, C, X[, Y]) on the training grid to one that is ``factor`` times finer."""
        if factor == 1:
            return frames
        n, t = frames.shape[:2]
        u = torch.from_numpy(np.ascontiguousarray(frames)).flatten(0, 1)  # (N*T, C, X[, Y])
        for axis, kind in enumerate(self.problem.boundary, start=2):
            u = (_trigonometric if kind == "periodic" else _cubic)(u, axis, factor)
        return u.reshape(n, t, *u.shape[1:]).numpy()


def encode(codec: Model, u: np.ndarray) -> np.ndarray:
    """Fields (N, C, X[, Y]) to codes (N, Z, X'[, Y']), both in their own units."""
    network = _codec(codec)
    with torch.inference_mode():
        fields = codec.normaliser.fields.apply(torch.from_numpy(u)).to(device_of(network))
        return network.encode(fields).cpu().numpy()


def decode(codec: Model, z: np.ndarray) -> np.ndarray:
    """Codes (N, T, Z, X'[, Y']) to fields (N, T, C, X[, Y]), both in their own units."""
    network = _codec(codec)
    with torch.inference_mode():
        codes = torch.from_numpy(z).flatten(0, 1).to(device_of(network))  # (N*T, Z, X'[, Y'])
        u = network.decode(codes).cpu()  # (N*T, C, X[, Y])
        return codec.normaliser.fields.invert(u).reshape(*z.shape[:2], *u.shape[1:]).numpy()


def _codec(model: Model) -> Codec:
    assert isinstance(model.network, Codec)
    return model.network


def _roll(model: Model, u: np.ndarray, parameters: np.ndarray, steps: int) -> np.ndarray:
    scale = model.normaliser.fields
    start = scale.apply(torch.from_numpy(u))  # (N, C, X[, Y])
    frames = rollout(model.network, start, model.normaliser.vary(model.problem, parameters), steps)
    return scale.invert(frames.flatten(0, 1)).reshape(frames.shape).numpy()  # (N, T, C, X[, Y])


def _trigonometric(u: Tensor, axis: int, factor: int) -> Tensor:
    """Periodic interpolation through every node: the spectrum padded with zeros."""
    n = u.shape[axis]
    spectrum = torch.fft.rfft(u, dim=axis)
    if n % 2 == 0:  # the highest mode stands for both signs; on the finer grid they part
        spectrum.select(axis, n // 2).mul_(0.5)
    return torch.fft.irfft(spectrum, n=n * factor, dim=axis) * factor


def _cubic(u: Tensor, axis: int, factor: int) -> Tensor:
    """Cubic through the nodes of an axis that starts on a wall; the opposite wall is taken to be alike."""
    n = u.shape[axis]
    lines = torch.cat([u, u.narrow(axis, 0, 1)], dim=axis).movedim(axis, -1)  # (..., n+1)
    image = lines.reshape(1, 1, -1, n + 1)  # torch interpolates images only: one line a row
    fine = F.interpolate(image, (image.shape[2], n * factor + 1), mode="bicubic", align_corners=True)
    return fine[..., :-1].reshape(*lines.shape[:-1], n * factor).movedim(-1, axis)
