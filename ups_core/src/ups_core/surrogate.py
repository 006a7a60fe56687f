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
from ups_core.models.codec import Codec
from ups_core.models.corrector import Corrector
from ups_core.models.problem import Problem, shape_text
from ups_core.models.rollout import ensemble, rollout
from ups_core.store import open_uri
from ups_core.train import published
from ups_core.train.published import Model
from ups_core.train.tasks import solve


@dataclass(frozen=True)
class Surrogate:
    """A trained operator, its codec where it works on latent states, and what draws samples of its errors."""

    operator: Model
    codec: Model | None = None
    corrector: Model | None = None
    student: Model | None = None

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
        beside = [name for name in ("codec", "corrector", "student") if (folder / f"{name}.json").exists()]
        if "codec" in beside and not (folder / "model.json").exists():
            raise InvalidSpec(
                "a codec alone predicts nothing", where=folder, expected="the object of the stage operator"
            )
        return cls(published.read(folder), **{name: published.read(folder, name) for name in beside})

    @property
    def problem(self) -> Problem:
        """The problem in physical fields."""
        return (self.codec or self.operator).problem

    @property
    def stochastic(self) -> bool:
        """Whether predictions are ensembles: a corrector was trained and kept."""
        return self.sampler is not None

    @property
    def sampler(self) -> Model | None:
        """What draws the samples: the student, where one was kept, else the corrector that taught it."""
        return self.student or self.corrector

    @property
    def members(self) -> int:
        """How many members an ensemble has where nobody asks for another number."""
        sampler = self.sampler
        return sampler.facts["members"] if sampler else 1

    def rollout(self, u0: np.ndarray, steps: int, parameters: Any = None) -> np.ndarray:
        """The ``steps`` frames after u0, predicted in closed loop.

        ``u0`` (N, C, X[, Y]), or (C, X[, Y]) for one sample, in physical units; ``parameters`` (N, P) or a
        mapping of names to values, not needed for those that were the same in all training samples.
        Returns float32 (N, steps, C, X[, Y]), or (steps, C, X[, Y]). Where the surrogate is stochastic,
        these are the means of :meth:`ensemble` with its own number of members and seed 0.

        A grid that is finer by a whole factor is restricted to the training grid, and the frames are
        interpolated back (periodic axes: trigonometric; between walls: cubic, where node i of n lies at
        i/n). DataInvalid for any other grid, for values that are not finite, and for
        parameters that training did not know.
        """
        self._is(steady=False)
        if self.stochastic:
            drawn = self.ensemble(u0, steps, parameters=parameters)
            return drawn.mean(axis=-self.problem.dimensions - 3)
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

        Parameters, finer grids, errors and ensembles as in :meth:`rollout`.
        """
        self._is(steady=True)
        if self.stochastic:
            return self.ensemble(a, parameters=parameters).mean(axis=-self.problem.dimensions - 2)
        given, single = self._batch(a, self.problem.inputs)
        model = self.operator
        coarse, factor = self._restrict(given)
        p = model.normaliser.vary(model.problem, self._parameters(parameters, len(given)))  # (N, varying)
        normalised = model.normaliser.inputs.apply(torch.from_numpy(coarse))
        average = model.facts["testTimeAugmentation"]
        u = model.normaliser.fields.invert(
            solve(model.network, normalised, p, model.problem, average=average)
        )
        out = self._refine(u[:, None].numpy(), factor)[:, 0]
        return out[0] if single else out

    def ensemble(
        self,
        given: np.ndarray,
        steps: int | None = None,
        members: int | None = None,
        parameters: Any = None,
        seed: int = 0,
    ) -> np.ndarray:
        """Possible futures of the states ``given``, or possible solutions of a steady problem, float32.

        Transient: (N, C, X[, Y]) and ``steps`` to (N, M, steps, C, X[, Y]), in closed loop.
        Steady: (N, C, X[, Y]) to (N, M, C, X[, Y]). Without N where ``given`` has none. The same arguments
        give the same samples. Parameters, grids and errors as in :meth:`rollout`; InvalidSpec where the
        surrogate is deterministic.
        """
        sampler, problem = self.sampler, self.problem
        if sampler is None:
            raise InvalidSpec(
                "the surrogate is deterministic: it has no ensemble",
                expected="a surrogate whose stage diffusion or steady-prior was kept",
                fix="call .solve(...)" if problem.steady else "call .rollout(...)",
            )
        self._is(steady=steps is None)
        m = members or self.members
        u, single = self._batch(given, problem.inputs if problem.steady else problem.fields)
        p = self._parameters(parameters, len(u))  # (N, P)
        coarse, factor = self._restrict(u)
        generator = torch.Generator().manual_seed(seed)
        if steps is None:
            drawn = self._solutions(sampler, coarse, p, m, generator)
            frames = drawn[:, :, None]  # (N, M, T, C, X[, Y]), T = 1
        else:
            start = encode(self.codec, coarse) if self.codec else coarse
            frames = _draw(self.operator, sampler, start, p, steps, m, generator)  # (N, M, T, C, X[, Y])
            if self.codec:
                frames = decode(self.codec, frames.reshape(len(u), -1, *frames.shape[3:]))
                frames = frames.reshape(len(u), m, steps, *frames.shape[2:])
        flat = self._refine(frames.reshape(-1, *frames.shape[2:]), factor)  # (N*M, T, C, X[, Y])
        out = flat.reshape(len(u), m, *flat.shape[1:])
        out = out[:, :, 0] if problem.steady else out
        return out[0] if single else out

    def spread(
        self,
        given: np.ndarray,
        steps: int | None = None,
        members: int | None = None,
        parameters: Any = None,
        seed: int = 0,
    ) -> np.ndarray:
        """The standard deviation over the members of :meth:`ensemble`: the shape of a rollout or solution."""
        drawn = self.ensemble(given, steps, members, parameters, seed)
        return drawn.std(axis=-self.problem.dimensions - (2 if self.problem.steady else 3), ddof=1)

    def _solutions(
        self, sampler: Model, a: np.ndarray, parameters: np.ndarray, members: int, generator: torch.Generator
    ) -> np.ndarray:
        """(N, M, C, X[, Y]) in the fields' units for inputs on the training grid."""
        model, corrector = self.operator, sampler.network
        assert isinstance(corrector, Corrector)
        p = model.normaliser.vary(model.problem, parameters)  # (N, varying)
        given = model.normaliser.inputs.apply(torch.from_numpy(a))
        average = model.facts["testTimeAugmentation"]
        mean = solve(model.network, given, p, model.problem, average=average)  # (N, C, X[, Y])
        out = []
        with torch.inference_mode():
            for one in range(len(given)):
                alike = (part[one].expand(members, *part.shape[1:]) for part in (given, mean, p))
                same, center, same_p = alike  # (M, C, X[, Y]) twice, (M, P)
                noise = corrector.noise(members, generator)
                drawn = corrector.sample(noise, same, center, same_p, sampler.facts["evaluations"])
                out.append(model.normaliser.fields.invert(center + _unit(sampler, drawn) * drawn))
        return torch.stack(out).numpy()

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
    with torch.inference_mode():
        return _codec(codec).encode(codec.normaliser.fields.apply(torch.from_numpy(u))).numpy()


def decode(codec: Model, z: np.ndarray) -> np.ndarray:
    """Codes (N, T, Z, X'[, Y']) to fields (N, T, C, X[, Y]), both in their own units."""
    with torch.inference_mode():
        u = _codec(codec).decode(torch.from_numpy(z).flatten(0, 1))  # (N*T, C, X[, Y])
        return codec.normaliser.fields.invert(u).reshape(*z.shape[:2], *u.shape[1:]).numpy()


def _codec(model: Model) -> Codec:
    assert isinstance(model.network, Codec)
    return model.network


def _roll(model: Model, u: np.ndarray, parameters: np.ndarray, steps: int) -> np.ndarray:
    scale = model.normaliser.fields
    start = scale.apply(torch.from_numpy(u))  # (N, C, X[, Y])
    frames = rollout(model.network, start, model.normaliser.vary(model.problem, parameters), steps)
    return scale.invert(frames.flatten(0, 1)).reshape(frames.shape).numpy()  # (N, T, C, X[, Y])


def _draw(
    model: Model,
    sampler: Model,
    u: np.ndarray,
    parameters: np.ndarray,
    steps: int,
    members: int,
    generator: torch.Generator,
) -> np.ndarray:
    corrector, scale = sampler.network, model.normaliser.fields
    assert isinstance(corrector, Corrector)
    start = scale.apply(torch.from_numpy(u))  # (N, C, X[, Y])
    frames = ensemble(
        model.network,
        corrector,
        start,
        model.normaliser.vary(model.problem, parameters),
        steps,
        members,
        scale=_unit(sampler, start),
        evaluations=sampler.facts["evaluations"],
        carried=sampler.facts["carried"],
        generator=generator,
    )  # (N, M, T, C, X[, Y])
    return scale.invert(frames.flatten(0, 2)).reshape(frames.shape).numpy()


def _unit(sampler: Model, u: Tensor) -> Tensor:
    """What one unit of a drawn residual is in normalised values, its calibration included: (C, 1[, 1])."""
    scale = torch.tensor(sampler.facts["scale"], dtype=u.dtype) * sampler.facts["spread"]
    return scale.reshape(-1, *[1] * (u.ndim - 2))


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
