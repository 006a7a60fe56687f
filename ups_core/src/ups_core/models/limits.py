"""What an input must be, to be answered: the rules of a :class:`~ups_core.models.domain.Domain`.

A surrogate applies them, and the model card states them in words.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from ups_core.errors import DataInvalid
from ups_core.models import places
from ups_core.models.domain import DEVIATIONS, MARGIN, Domain, Parameter, mean_of
from ups_core.models.problem import Problem, nested

#: How far a node may lie from its place, in spacings of the training grid.
TOLERANCE = 0.02

EXTRAPOLATE = "or ask for it: ups predict --extrapolate, Surrogate.load(..., extrapolate=True)"


def check_units(domain: Domain, units: Mapping[str, str]) -> None:
    """DataInvalid where a channel is given in another unit than in training."""
    for channel in domain.channels:
        if units.get(channel.name, channel.unit) != channel.unit:
            raise DataInvalid(
                f"{channel.name} is given in another unit than in training",
                found=units[channel.name],
                expected=channel.unit + (" (no unit)" if channel.unit == "1" else ""),
                fix=f"convert {channel.name} to {channel.unit}",
            )
    known = [channel.name for channel in domain.channels]
    if unknown := [name for name in units if name not in known]:
        raise DataInvalid(
            "a unit is given for a field that the surrogate does not take",
            found=", ".join(unknown),
            expected=", ".join(known),
            fix="name the fields as in training",
        )


def check_coordinates(
    domain: Domain, problem: Problem, coordinates: Mapping[str, np.ndarray], points: tuple[int, ...]
) -> None:
    """DataInvalid where nodes lie elsewhere than in training: ``x``, ``y`` (X,) or (Y,), and times ``t``.

    Where the points of a mesh lie is another question: :mod:`ups_core.models.places` asks it.
    ``points`` is the grid of the values; one finer by a whole factor has every node of training among
    its own. Where the equation does not know places (cyclic shifts), only distances are compared.
    """
    for axis, letter in enumerate("" if problem.scattered else problem.space):
        nodes = coordinates.get(letter.lower())
        if nodes is None:
            continue
        _check_length(letter.lower(), nodes, points[axis])
        factor = max(points[axis] // problem.shape[axis], 1)
        spacing = problem.spacing[axis]
        free = letter in problem.shifts
        first = float(nodes[0]) if free else domain.origin[axis]
        wanted = first + spacing / factor * np.arange(len(nodes))
        if np.abs(np.asarray(nodes, dtype=np.float64) - wanted).max() > TOLERANCE * spacing:
            raise DataInvalid(
                f"the grid lies elsewhere than in training along {letter.lower()}",
                found=f"nodes from {nodes[0]:g} to {nodes[-1]:g}, {len(nodes)} of them",
                expected=f"from {wanted[0]:g} to {wanted[-1]:g}, {spacing / factor:g} apart"
                + (", or shifted as a whole" if free else ""),
                fix=f"interpolate the input to nodes {spacing / factor:g} apart",
            )
    times = coordinates.get("t")
    if times is not None and problem.dt is not None and len(times) > 1:
        steps = np.diff(np.asarray(times, dtype=np.float64))
        learned = [lead * problem.dt for lead in problem.leads]
        if all(np.abs(steps - step).max() > TOLERANCE * step for step in learned):
            raise DataInvalid(
                "the frames are apart by another time than in training",
                found=f"t advances by {steps.min():g} to {steps.max():g}",
                expected=f"dt = {' or '.join(f'{step:g}' for step in learned)}, a step of the surrogate",
                fix="train on data with this dt, or leave t out where only one frame is given",
            )


def check_parameter(parameter: Parameter, values: np.ndarray, *, extrapolate: bool) -> None:
    """DataInvalid where one of the values (N,) is further from the range of training than :data:`MARGIN`.

    What has no logarithm is refused in any case, where the network is given logarithms.
    """
    low, high = (-math.inf, math.inf) if extrapolate else parameter.allowed
    outside = ~((values >= low) & (values <= high) & np.isfinite(values))
    if parameter.logarithmic:
        outside |= ~(values > 0)
    if outside.any():
        first, last = parameter.allowed
        raise DataInvalid(
            f"{parameter.name} is outside the range of training",
            where=f"sample {int(np.flatnonzero(outside)[0])}",
            found=f"{parameter.name} = {values[outside][0]:g}",
            expected=f"{first:.4g} to {last:.4g}: training had {parameter.low:.4g} to {parameter.high:.4g}, "
            f"and {MARGIN:.0%} of {'the logarithms of ' if parameter.logarithmic else ''}that range more",
            fix=f"train on a dataset that has such values, {EXTRAPOLATE}",
        )


def check_values(domain: Domain, values: np.ndarray, first: int) -> None:
    """DataInvalid where values (N, C, X[, Y]) leave the range of training by more than :data:`DEVIATIONS`.

    ``first`` is the number of the first of these samples.
    """
    space = tuple(range(2, values.ndim))
    for channel, own in zip(domain.channels, np.moveaxis(values, 1, 0), strict=True):  # (N, X[, Y])
        seen = own - mean_of(own, len(space)) if domain.at_rest else own
        lines = seen.reshape(len(seen), -1)  # (N, X*Y)
        low, high = lines.min(axis=1), lines.max(axis=1)  # (N,)
        deviations = np.maximum(channel.low - low, high - channel.high) / channel.std
        worst = int(np.argmax(deviations))
        if deviations[worst] > DEVIATIONS:
            raise DataInvalid(
                f"{channel.name} is far outside what training has seen",
                where=f"sample {first + worst}",
                found=f"{channel.name} from {low[worst]:g} to {high[worst]:g}{_about(domain)}, "
                f"{deviations[worst]:.3g} standard deviations beyond the range of training",
                expected=f"{channel.low:g} to {channel.high:g}{_about(domain)} as in training, "
                f"and {DEVIATIONS:g} standard deviations of {channel.std:g} more",
                fix=f"check the unit of {channel.name}, {EXTRAPOLATE}",
            )


def limits(domain: Domain, problem: Problem) -> Iterator[tuple[str, str]]:
    """What is refused, in words: (what, what it must be)."""
    positions = [problem.fields[c] for c in problem.motion.positions] if problem.motion else []
    boxed = dict(zip(positions, problem.box or (), strict=False))
    for channel in domain.channels:
        low, high = channel.allowed
        first, last = boxed.get(channel.name, (-math.inf, math.inf))
        if low <= first and last <= high:
            continue  # any place in the box will do, and the box is told below
        yield (
            f"values of {channel.name}{_about(domain)}",
            f"{channel.low:.4g} to {channel.high:.4g} in training; "
            f"refused below {low:.4g} and above {high:.4g}",
        )
    for parameter in domain.parameters:
        if parameter.name not in problem.varying:
            yield parameter.name, f"{parameter.low:.4g} in training; any other is refused"
            continue
        low, high = parameter.allowed
        yield (
            parameter.name,
            f"{parameter.low:.4g} to {parameter.high:.4g} in training; "
            f"refused below {low:.4g} and above {high:.4g}",
        )
    if problem.scattered:
        yield from places.where(problem)
    for axis, letter in enumerate("" if problem.scattered else problem.space):
        n, spacing, first = problem.shape[axis], problem.spacing[axis], domain.origin[axis]
        yield (
            f"grid along {letter.lower()}",
            f"{n} nodes{', or a whole multiple of that,' if nested(problem) else ''} "
            f"from {first:.4g} to {first + (n - 1) * spacing:.4g}"
            f"{', or shifted as a whole' if letter in problem.shifts else ''}",
        )
    if problem.dt is not None:
        yield "time between frames", f"{problem.dt:.4g}"


def _check_length(name: str, nodes: np.ndarray, points: int) -> None:
    if np.shape(nodes) != (points,):
        raise DataInvalid(
            f"the coordinates {name} do not fit the values",
            found=f"{name} of shape {np.shape(nodes)}",
            expected=f"({points},), a node for each point",
            fix=f"give the nodes of the values, or leave {name} out",
        )


def _about(domain: Domain) -> str:
    return " about the mean" if domain.at_rest else ""
