"""The registry of physical problems: one module here, one family.

A further family is one more file in this folder that ends in ``FAMILY = Family(...)``; nothing else
lists it.

>>> from ups_core.data.families import family
>>> family("burgers1d").conserved
('u',)
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Mapping

from ups_core.data.families.base import Family, Field, RawLayout, Transform
from ups_core.errors import InvalidSpec

__all__ = ["FAMILIES", "Family", "Field", "RawLayout", "Transform", "family"]


def _find() -> dict[str, Family]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "base")
    found = [importlib.import_module(f"{__name__}.{name}").FAMILY for name in names]
    return {one.name: one for one in found}


#: Every family by its name.
FAMILIES: Mapping[str, Family] = _find()


def family(name: str) -> Family:
    """The family called ``name``. Raises InvalidSpec, with the nearest name there is, where there is none."""
    if name in FAMILIES:
        return FAMILIES[name]
    close = difflib.get_close_matches(name, FAMILIES, n=1, cutoff=0.5)
    raise InvalidSpec(
        f"unknown family {name}",
        where="spec.family",
        found=name,
        expected="one of " + ", ".join(FAMILIES),
        fix=f"set spec.family to {close[0]}" if close else "set spec.family to one of these",
    )
