"""Splits: which samples train, validate and test, dealt out by initial state.

A multi-parameter set holds the same initial states under several viscosities. A test trajectory whose
initial state was trained on under another viscosity is no test of anything new, so the unit that is
dealt out is the *initial state*, and all its samples go where it goes. States are put in an order
that depends on the seed and on their hash alone: neither on the order of the files, nor on how many
other states there are. A test set of what lies outside of training is ranked instead of drawn, by a
statistic of the state.
"""

from __future__ import annotations

import difflib
import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple

from ups_core.data.families.base import Family
from ups_core.errors import InvalidSpec

#: Further names are further test sets.
EXCLUSIVE = ("train", "val", "test")


class Sample(NamedTuple):
    """One trajectory, or one input with its solution."""

    #: Converted file, and the raw file that it came from, whose name patterns are about.
    file: str
    source: str
    index: int
    #: SHA-256 of the raw initial state.
    state: str
    parameters: Mapping[str, float]
    #: Of the initial state, those by which a rule ranks (see :mod:`~ups_core.data.extremes`).
    statistics: Mapping[str, float] = MappingProxyType({})


@dataclass
class Splits:
    """Name of a split to its samples by file, and how many states were dropped from it."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, list[dict[str, Any]]]:
        """``{split: [{"file", "indices"}]}``, files and indices in order."""
        table = {}
        for name, samples in self.samples.items():
            files: dict[str, list[int]] = {}
            for sample in samples:
                files.setdefault(sample.file, []).append(sample.index)
            table[name] = [{"file": file, "indices": sorted(files[file])} for file in sorted(files)]
        return table


class _Rule(NamedTuple):
    """What a split asks for. ``amount`` is a count, a fraction of the pool, or None for all of it.

    ``largest`` is the statistic whose largest values it takes; None where it draws.
    """

    pattern: str | None
    where: tuple[tuple[str, tuple[float, ...]], ...]
    amount: int | Fraction | None
    largest: str | None = None

    @property
    def pool(self) -> tuple[str | None, tuple[tuple[str, tuple[float, ...]], ...]]:
        return self.pattern, self.where

    def matches(self, sample: Sample) -> bool:
        names = (sample.source, sample.source.rpartition("/")[2])
        if self.pattern is not None and not any(fnmatchcase(name, self.pattern) for name in names):
            return False
        return all(
            name in sample.parameters
            and any(math.isclose(sample.parameters[name], value) for value in values)
            for name, values in self.where
        )


def check_where(splits: Mapping[str, Any], family: Family) -> None:
    """InvalidSpec where a rule of ``spec.splits`` can mean nothing, whatever the samples.

    That is a parameter in ``where`` that ``family`` has not, and ``count`` beside ``fraction``. Pure.
    """
    known = {name.lower(): name for name in family.parameters}
    for split_name, rule in splits.items():
        if not isinstance(rule, Mapping):
            continue
        place = f"spec.splits.{split_name}"
        if rule.get("count") is not None and rule.get("fraction") is not None:
            raise InvalidSpec(
                "a split has a count and a fraction",
                where=place,
                found=f"count {rule['count']}, fraction {rule['fraction']}",
                expected="one of them",
                fix=f"remove {place}.fraction",
            )
        for name in sorted(rule.get("where") or {}):
            if name in family.parameters:
                continue
            near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
            raise InvalidSpec(
                f"{family.name} has no parameter {name}",
                where=f"{place}.where",
                found=name,
                expected=f"one of {', '.join(family.parameters)}" if known else "no parameter at all",
                fix=f"write {known[near[0]]} for {name}" if near else f"remove {name} from {place}.where",
            )


def split(samples: Iterable[Sample], spec: Mapping[str, Any], seed: int = 0) -> Splits:
    """Deal ``samples`` out as ``spec.splits`` says. Pure.

    A split is a count or a fraction of initial states, or a mapping with ``pattern`` (names of raw
    files), ``where`` (values of parameters) and ``count`` or ``fraction`` of what these match. A plain
    number draws from the samples that no other split's ``pattern`` or ``where`` claims. ``train`` is
    served first, then ``val``, then ``test``, then the further test sets by name, which may share states
    with ``test`` and each other but, like ``test``, never with ``train`` or ``val``: such states are
    dropped from them, and counted where the rule asked for all it matches.

    A test set with ``largest`` draws nothing: it is given, before all others, the states with the largest
    values of that statistic among those it matches. No state that reaches its least value is in another
    split, be it matched or not, so that all of training lies below it; only two such sets may share states.

    Raises :class:`InvalidSpec`, with both numbers, where a split asks for more states than there are
    and where one remains empty.
    """
    ordered = sorted(samples, key=lambda sample: (sample.file, sample.index))
    rules = {name: _rule(value) for name, value in spec.items()}
    claimed = [rule for rule in rules.values() if rule.pool != (None, ()) and rule.largest is None]
    names = [name for name in EXCLUSIVE if name in rules] + sorted(set(rules) - set(EXCLUSIVE))
    extreme = {name: _extremes(name, rules[name], ordered, seed) for name in names if rules[name].largest}
    held_back = {state for _, reached in extreme.values() for state in reached}
    result = Splits()
    learned: set[str] = set()  # states in train or val
    tested: set[str] = set()  # states in test
    handed_out: dict[Any, Fraction] = {}
    for name in names:
        rule = rules[name]
        if name in extreme:
            result.samples[name], result.dropped[name] = extreme[name][0], 0
            continue
        matching = [
            sample
            for sample in ordered
            if rule.matches(sample)
            and (rule.pool != (None, ()) or not any(other.matches(sample) for other in claimed))
        ]
        pool = [sample for sample in matching if sample.state not in held_back]
        states = _in_order({sample.state for sample in pool}, seed)
        taken = learned | tested if name in EXCLUSIVE else learned
        free = [state for state in states if state not in taken]
        wanted = _wanted(rule, len(states), handed_out)
        chosen = set(free if wanted is None else free[:wanted])
        matched = len({sample.state for sample in matching})  # with those that are held back
        if wanted is not None and wanted > len(free):
            raise _too_few(name, rule, wanted, len(free), matched)
        if not chosen:
            raise _too_few(name, rule, 1, len(free), matched)
        result.samples[name] = [sample for sample in pool if sample.state in chosen]
        result.dropped[name] = matched - len(free) if wanted is None else 0
        if name in ("train", "val"):
            learned |= chosen
        elif name == "test":
            tested |= chosen
    return result


def _extremes(name: str, rule: _Rule, samples: list[Sample], seed: int) -> tuple[list[Sample], set[str]]:
    """The samples of the states with the largest values, and all states whose value is no smaller."""
    assert rule.largest is not None
    value: dict[str, float] = {}
    for sample in samples:  # the same state may lie on nodes of other coordinates
        value[sample.state] = max(sample.statistics[rule.largest], value.get(sample.state, 0.0))
    pool = [sample for sample in samples if rule.matches(sample)]
    states = _in_order({sample.state for sample in pool}, seed)
    states.sort(key=lambda state: -value[state])  # stable: equal ones stay in the order of the seed
    wanted = _wanted(rule, len(states), {}) or 1
    if wanted > len(states):
        raise _too_few(name, rule, wanted, len(states), len(states))
    chosen, least = set(states[:wanted]), value[states[wanted - 1]]
    reached = {state for state, each in value.items() if each >= least}
    return [sample for sample in pool if sample.state in chosen], reached


def shared_states(samples: Mapping[str, Iterable[Sample]]) -> dict[tuple[str, str], set[str]]:
    """States that two splits share although they must not: empty for every result of :func:`split`."""
    states = {name: {sample.state for sample in each} for name, each in samples.items()}
    pairs = [(one, other) for one in ("train", "val") for other in states if other != one]
    return {
        (one, other): both for one, other in pairs if one in states and (both := states[one] & states[other])
    }


def _rule(value: Any) -> _Rule:
    if not isinstance(value, Mapping):
        return _Rule(None, (), _amount(value))
    where = tuple(
        (name, tuple(float(v) for v in (values if isinstance(values, (list, tuple)) else [values])))
        for name, values in sorted(value.get("where", {}).items())
    )
    amount = _amount(value.get("count", value.get("fraction")))
    return _Rule(value.get("pattern"), where, amount, value.get("largest"))


def _amount(value: float | None) -> int | Fraction | None:
    """Canonical JSON writes 1.0 as 1, so type tells nothing: whole numbers are counts, others fractions."""
    if value is None:
        return None
    return int(value) if value == int(value) else Fraction(str(value))


def _in_order(states: Iterable[str], seed: int) -> list[str]:
    return sorted(states, key=lambda state: hashlib.sha256(f"{seed}:{state}".encode()).digest())


def _wanted(rule: _Rule, available: int, handed_out: dict[Any, Fraction]) -> int | None:
    """A count of states. Fractions of one pool are rounded together: 0.8, 0.1 and 0.1 leave none over."""
    if not isinstance(rule.amount, Fraction):
        return rule.amount
    before = handed_out.get(rule.pool, Fraction(0))
    handed_out[rule.pool] = before + rule.amount
    return round(available * (before + rule.amount)) - round(available * before)


def _too_few(name: str, rule: _Rule, wanted: int, free: int, matching: int) -> InvalidSpec:
    claimed = matching - free
    found = f"{free} initial states" + (
        f" ({matching} match, {claimed} of them are in other splits)" if claimed else ""
    )
    if rule.pool == (None, ()):
        found += " that no other split claims by pattern or where"
    else:
        found += ", matching " + ", ".join(
            [f"pattern {rule.pattern}"] * (rule.pattern is not None)
            + [f"{parameter} in {list(values)}" for parameter, values in rule.where]
        )
    return InvalidSpec(
        f"split {name} asks for more than there is",
        where=f"spec.splits.{name}",
        found=found,
        expected=f"at least {wanted}",
        fix=f"lower spec.splits.{name}"
        if free
        else f"correct spec.splits.{name}, or lower the splits before it",
    )
