"""A trained surrogate as a function of arrays, in physical units.

>>> surrogate = Surrogate.load("file:///data/ups-store/objects/train/3f2a...")    # doctest: +SKIP
>>> surrogate.rollout(u0, steps=40).shape                                         # doctest: +SKIP
(32, 40, 1, 128)

It refuses what it was not trained for (:mod:`ups_core.models.limits` has the rules): a network would give
an answer to that, too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from ups_core.errors import InvalidSpec
from ups_core.models.accepted import Accepted, accept, rows_of
from ups_core.models.advance import Solve
from ups_core.models.corrector import Corrector
from ups_core.models.critic import Critic
from ups_core.models.domain import Domain
from ups_core.models.grid import refine
from ups_core.models.problem import Problem
from ups_core.models.rollout import corrected, ensemble, frames
from ups_core.models.search import search as search_rollouts
from ups_core.store import open_uri
from ups_core.train import mesh, published
from ups_core.train.coding import decode, encode
from ups_core.train.published import Model
from ups_core.train.reward import Reward
from ups_core.train.tasks import solve


@dataclass(frozen=True)
class Surrogate:
    """A trained operator and, where it works on latent states, its codec."""

    operator: Model
    codec: Model | None = None
    corrector: Model | None = None
    student: Model | None = None
    critic: Model | None = None
    #: Whether parameters and values far outside the range of training are answered, not refused.
    extrapolate: bool = False

    @classmethod
    def load(cls, source: str | Path, *, extrapolate: bool = False) -> Self:
        """From a folder, or from ``STORE/objects/train/<key>`` in a store (``file://``, ``s3://``).

        NotFound where nothing is there, DataInvalid where weights and description do not fit.
        """
        text = str(source)
        if isinstance(source, Path) or ("://" not in text and Path(text, "model.json").exists()):
            return cls._read(Path(source), extrapolate)
        with tempfile.TemporaryDirectory() as work:
            return cls._read(open_uri(text).folder(Path(work)), extrapolate)

    @classmethod
    def _read(cls, folder: Path, extrapolate: bool) -> Self:
        beside = [
            name for name in ("codec", "corrector", "student", "critic") if (folder / f"{name}.json").exists()
        ]
        if "codec" in beside and not (folder / "model.json").exists():
            raise InvalidSpec(
                "a codec alone predicts nothing", where=folder, expected="the object of the stage operator"
            )
        parts = {name: published.read(folder, name) for name in beside}
        return cls(published.read(folder), **parts, extrapolate=extrapolate)

    @property
    def problem(self) -> Problem:
        """The problem in physical fields."""
        return (self.codec or self.operator).problem

    @property
    def domain(self) -> Domain:
        """What training has seen, in physical fields."""
        return self.operator.domain

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

    @property
    def searches(self) -> bool:
        """Whether rollouts are searched for where nobody asks for something else: the search was kept."""
        return self.critic is not None

    def shape(self, given: np.ndarray, steps: int | None = None) -> tuple[int, ...]:
        """Of what is predicted from this input: ``steps`` frames, or the solution of a steady problem.

        DataInvalid where the input has another layout.
        """
        rows, single = rows_of(given, self.problem)
        lead, frames = () if single else (len(rows),), () if steps is None else (steps,)
        return (*lead, *frames, len(self.problem.fields), *rows.shape[2:])

    def rollout(
        self,
        u0: np.ndarray,
        steps: int,
        parameters: Any = None,
        *,
        coordinates: Mapping[str, np.ndarray] | None = None,
        units: Mapping[str, str] | None = None,
        out: np.ndarray | None = None,
        search: bool | None = None,
        every: int = 1,
    ) -> np.ndarray:
        """The ``steps`` frames after u0, in closed loop; each is ``every`` frames after the one before.

        ``u0`` (N, C, X[, Y]), or (C, X[, Y]) for one sample, in physical units; ``parameters`` (N, P) or a
        mapping of names to values, not needed for those that were the same in all training samples.
        Returns float32 (N, steps, C, X[, Y]), or (steps, C, X[, Y]): ``out``, where it is given. Both
        ``u0`` and ``out`` may be mapped files; only a batch of samples is in memory. Where the surrogate is
        stochastic, these are the means of :meth:`ensemble` with its own number of members and seed 0; or,
        with ``search``, those of the rollouts that a beam search has after each frame. That is the default
        where the stage of that name was kept; InvalidSpec where it is asked for and was not, and for leads
        ``every`` that training did not have. Ensembles and searches go frame by frame.

        On a mesh ``u0`` is (N, C, M), and ``coordinates`` are needed: ``x`` and ``y`` of the points, (M,) or
        (N, M). They may be any points of the domain, about as many as in training. Of particles ``u0`` is
        (N, C, M) and holds their places: along periodic axes given anywhere, and predicted in
        the box.

        A grid that is finer by a whole factor is restricted to the training grid, and the frames are
        interpolated back (periodic axes: trigonometric; between walls: cubic, where node i of n lies at
        i/n). ``coordinates`` (``x``, ``y``, ``t``: nodes) and ``units`` (field to unit), where given, must
        agree with those of training. DataInvalid where they do not, for any other grid, for values that
        are not finite, for parameters that training did not know, and, without ``extrapolate``, for
        parameters and values far outside the range of training.
        """
        self._is(steady=False)
        if search and not self.searches:
            raise InvalidSpec(
                "the surrogate has no search",
                expected="a surrogate whose stage search was kept",
                fix="leave out --search (in Python: search=True)",
            )
        searched = self.searches if search is None else search
        self._has_lead(every)
        given = self._accept(u0, parameters, coordinates, units, every)
        whole, rows = given.into(out, self.shape(np.asarray(u0), steps))
        if self.stochastic:
            for batch, drawn in self._ensembles(given, steps, None if searched else self.members, 0):
                rows[batch] = drawn.mean(axis=1)
            return whole
        for batch, u, p in given.batches():
            for t, frame in zip(range(steps), self._frames(u, p, given.where(batch), every), strict=False):
                rows[batch, t] = refine(frame, self.problem, given.factor).numpy()
        return whole

    def solve(
        self,
        a: np.ndarray,
        parameters: Any = None,
        *,
        coordinates: Mapping[str, np.ndarray] | None = None,
        units: Mapping[str, str] | None = None,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """The solution of a steady problem: (N, C, X[, Y]), or (C, X[, Y]), to the same form, float32.

        Arguments, finer grids, errors and ensembles as in :meth:`rollout`; but what means the same on every
        grid (a Fourier neural operator, a learned discretisation) is evaluated on the one that is given.
        """
        self._is(steady=True)
        model, scaled, network = self.operator, self.operator.normaliser, self.operator.network
        given = self._accept(a, parameters, coordinates, units)
        whole, solutions = given.into(out, self.shape(np.asarray(a)))
        if self.stochastic:
            for batch, drawn in self._ensembles(given, None, self.members, seed=0):
                solutions[batch] = drawn.mean(axis=1)
            return whole
        for batch, inputs, p in given.batches():
            normalised = scaled.inputs.apply(torch.from_numpy(inputs))  # (B, C, X[, Y])
            average = model.facts["testTimeAugmentation"]
            varying = scaled.vary(model.problem, p)  # (B, varying)
            if (where := given.where(batch)) is not None:
                u = mesh.solve(network, normalised, varying, where, model.problem, average=average)
            else:
                assert isinstance(network, Solve)
                u = solve(network, normalised, varying, model.problem, average=average)
            solutions[batch] = refine(scaled.fields.invert(u), self.problem, given.factor).numpy()
        return whole

    def ensemble(
        self,
        given: np.ndarray,
        steps: int | None = None,
        members: int | None = None,
        parameters: Any = None,
        seed: int = 0,
        *,
        coordinates: Mapping[str, np.ndarray] | None = None,
        units: Mapping[str, str] | None = None,
    ) -> np.ndarray:
        """Possible futures of the states ``given``, or possible solutions of a steady problem, float32.

        Transient: (N, C, X[, Y]) and ``steps`` to (N, M, steps, C, X[, Y]), in closed loop.
        Steady: (N, C, X[, Y]) to (N, M, C, X[, Y]). Without N where ``given`` has none. The same arguments
        give the same samples. Other arguments, grids and errors as in :meth:`rollout`; InvalidSpec where the
        surrogate is deterministic.
        """
        problem = self.problem
        if self.sampler is None:
            raise InvalidSpec(
                "the surrogate is deterministic: it has no ensemble",
                expected="a surrogate whose stage diffusion or steady-prior was kept",
                fix="call .solve(...)" if problem.steady else "call .rollout(...)",
            )
        self._is(steady=steps is None)
        accepted = self._accept(given, parameters, coordinates, units)
        drawn = [part for _, part in self._ensembles(accepted, steps, members or self.members, seed)]
        whole = np.concatenate(drawn)  # (N, M, [T,] C, X[, Y])
        return whole[0] if accepted.single else whole

    def _ensembles(
        self, given: Accepted, steps: int | None, members: int | None, seed: int
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Rows, and their members (B, M, [T,] C, X[, Y]) on the grid that was given; None: a search's."""
        generator = torch.Generator().manual_seed(seed)
        for batch, u, p in given.batches():
            drawn = self._drawn(u, p, steps, members, generator)  # (B, M, [T,] C, X[, Y])
            flat = torch.from_numpy(drawn.reshape(-1, *drawn.shape[-self.problem.dimensions - 1 :]))
            fine = refine(flat, self.problem, given.factor).numpy()  # (B*M[*T], C, X[, Y])
            yield batch, fine.reshape(*drawn.shape[: -self.problem.dimensions - 1], *fine.shape[1:])

    def _drawn(
        self,
        u: np.ndarray,
        parameters: np.ndarray,
        steps: int | None,
        members: int | None,
        generator: torch.Generator,
    ) -> np.ndarray:
        """(B, M, [T,] C, X[, Y]) on the training grid, in the fields' units."""
        model, sampler = self.operator, self.sampler
        assert sampler is not None
        corrector, scaled = sampler.network, model.normaliser
        assert isinstance(corrector, Corrector)
        p = scaled.vary(model.problem, parameters)  # (B, varying)
        scale = torch.tensor(sampler.facts["scale"]).reshape(-1, *[1] * model.problem.dimensions)
        spread = sampler.facts["spread"]  # of a drawn residual, in units of scale (C, 1[, 1])
        evaluations = sampler.facts["evaluations"]
        if steps is None:
            assert isinstance(model.network, Solve)
            assert members is not None
            a = scaled.inputs.apply(torch.from_numpy(u))  # (B, C, X[, Y])
            average = model.facts["testTimeAugmentation"]
            mean = solve(model.network, a, p, model.problem, average=average)  # (B, C, X[, Y])
            out = corrected(corrector, a, mean, p, members, spread * scale, evaluations, generator)
            return scaled.fields.invert(out.flatten(0, 1)).reshape(out.shape).numpy()  # (B, M, C, X[, Y])
        start = scaled.fields.apply(torch.from_numpy(encode(self.codec, u) if self.codec else u))
        drawing = {
            "evaluations": evaluations,
            "carried": sampler.facts["carried"],
            "generator": generator,
        }
        if members is None:
            out = self._searched(corrector, start, p, steps, scale=scale, spread=spread, **drawing)
        else:
            out = ensemble(
                model.network, corrector, start, p, steps, members, scale=spread * scale, **drawing
            )
        # out: (B, M, T, C, X[, Y])
        frames = scaled.fields.invert(out.flatten(0, 2)).reshape(out.shape).numpy()
        if self.codec is None:
            return frames
        decoded = decode(self.codec, frames.reshape(len(u), -1, *frames.shape[3:]), parameters)
        return decoded.reshape(*frames.shape[:3], *decoded.shape[2:])

    def _searched(
        self, corrector: Corrector, start: Tensor, p: Tensor, steps: int, *, scale: Tensor, **drawing: Any
    ) -> Tensor:
        """The beam after each frame, (B, W, T, C, X[, Y]); normalised values."""
        critic = self.critic
        assert critic is not None
        assert isinstance(critic.network, Critic)
        rewards = Reward.from_facts(critic.network, critic.facts, scale)
        width = {name: critic.facts[name] for name in ("beam", "candidates")}
        return search_rollouts(
            self.operator.network, corrector, rewards, start, p, steps, scale=scale, **width, **drawing
        )

    def _is(self, *, steady: bool) -> None:
        if self.problem.steady != steady:
            right, wrong = ("solve", "rollout") if self.problem.steady else ("rollout", "solve")
            raise InvalidSpec(
                f"{self.problem.family} is {'steady' if self.problem.steady else 'transient'}",
                found=wrong,
                expected=right,
                fix=f"call .{right}(...)",
            )

    @property
    def leads(self) -> tuple[int, ...]:
        """Numbers of frames that a step of a rollout can be."""
        return (1,) if self.stochastic else self.operator.problem.leads

    def _has_lead(self, every: int) -> None:
        if every not in self.leads:
            raise InvalidSpec(
                "the surrogate has not learned steps of this length",
                found=f"every = {every}",
                expected=" or ".join(map(str, self.leads)),
                fix="train with operator.config.leads, and without a stage that draws samples",
            )

    def _accept(
        self,
        given: np.ndarray,
        parameters: Any,
        coordinates: Mapping[str, np.ndarray] | None,
        units: Mapping[str, str] | None,
        every: int = 1,
    ) -> Accepted:
        network = self.operator.network
        return accept(
            given,
            parameters,
            coordinates,
            units,
            problem=replace(self.problem, leads=tuple(sorted({1, every}))),
            domain=self.domain,
            fixed=self.operator.normaliser.fixed,
            any_grid=bool(getattr(network, "resolution_free", False)) and not self.stochastic,
            extrapolate=self.extrapolate,
        )

    def _frames(
        self, u: np.ndarray, parameters: np.ndarray, where: Tensor | None, every: int
    ) -> Iterator[Tensor]:
        """The frames after u (B, C, X[, Y]) on the training grid, one after another without end."""
        model, scale = self.operator, self.operator.normaliser.fields
        start = torch.from_numpy(encode(self.codec, u) if self.codec else u)  # (B, C, X[, Y])
        p = model.normaliser.vary(model.problem, parameters)  # (B, varying)
        for state in frames(model.network, scale.apply(start), p, where, every):
            frame = scale.invert(state.cpu())
            if self.codec:
                frame = torch.from_numpy(decode(self.codec, frame[:, None].numpy(), parameters)[:, 0])
            yield frame
