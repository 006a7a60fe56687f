"""The registry of physical problems: one module here, one family.

A further family is one more file in this folder that ends in ``FAMILY = Family(...)``; nothing else
lists it. One without a simulator and a solver needs no file: a Dataset can declare it (``spec.declaration``).

>>> from ups_core.data.families import family
>>> family("burgers1d").conserved
('u',)
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from ups_core.data.families.base import Family, Field, RawLayout, Transform
from ups_core.data.families.declared import declared
from ups_core.errors import InvalidSpec

__all__ = ["FAMILIES", "Described", "Family", "Field", "RawLayout", "Transform", "check_own", "family"]

#: What recipes and ``dataset.json`` say of a family: its name or, where a Dataset declares it, the
#: declaration with a ``name``.
Described = str | Mapping[str, Any]


def _find() -> dict[str, Family]:
    names = sorted({module.name for module in pkgutil.iter_modules(__path__)} - {"base", "declared"})
    found = [importlib.import_module(f"{__name__}.{name}").FAMILY for name in names]
    return {one.name: one for one in found}


#: Every family by its name.
FAMILIES: Mapping[str, Family] = _find()


def family(described: Described) -> Family:
    """The family of this name, or of this declaration.

    Raises InvalidSpec, with the nearest name there is, where there is none, and DataInvalid where a published
    declaration is not what this version takes.
    """
    if not isinstance(described, str):
        return declared(**described)
    name = described
    if name in FAMILIES:
        return FAMILIES[name]
    close = difflib.get_close_matches(name, FAMILIES, n=1, cutoff=0.5)
    raise InvalidSpec(
        f"unknown family {name}",
        where="spec.family",
        found=name,
        expected="one of " + ", ".join(FAMILIES) + "; or a spec.declaration of that name",
        fix=f"set spec.family to {close[0]}" if close else "set spec.family to one of these",
    )


def check_own(described: Described) -> None:
    """InvalidSpec where a new declaration has the name of a family of UPS. Published ones keep theirs."""
    if not isinstance(described, str) and (name := described["name"]) in FAMILIES:
        raise InvalidSpec(
            f"{name} is a family of UPS and cannot be declared",
            where="spec.declaration",
            expected="another name, or no declaration",
            fix="set spec.family to a name of your own",
        )
