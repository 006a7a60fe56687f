"""The physical parameters of a raw file: from its attributes, its arrays or, as PDEBench has it, its name.

PDEBench calls its files ``1D_Burgers_Sols_Nu0.01.hdf5`` or ``2D_DarcyFlow_beta1.0_Train.hdf5``; not
every one repeats the value inside. A surrogate trained on the wrong viscosity looks healthy, so a
parameter that is found nowhere, or twice with two values, is an error and never a default.
"""

from __future__ import annotations

import math
import re
from pathlib import PurePosixPath

import numpy as np

from ups_core.data.families.base import RawLayout
from ups_core.data.raw import RawReader
from ups_core.errors import DataInvalid

NUMBER = r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"


def find_parameter(name: str, reader: RawReader, layout: RawLayout, samples: int) -> float | str:
    """As :func:`look_for`; raises :class:`DataInvalid` if the parameter is nowhere."""
    found = look_for(name, reader, layout, samples)
    if found is None:
        raise DataInvalid(
            f"parameter {name} is missing",
            where=reader.source,
            found=f"attributes {sorted(reader.attributes) or 'none'}",
            expected=f"attribute {name}, array {name} ({samples},), or a file name like *_{name}0.01.*",
            fix=f"name the file so that it ends in _{name}VALUE",
        )
    return found


def look_for(name: str, reader: RawReader, layout: RawLayout, samples: int) -> float | str | None:
    """The value of parameter ``name`` for the whole file, or the array that has it per sample (N,).

    Names are compared without case (``nu``, ``Nu``). A layout whose files never state a parameter
    declares its value as one of its ``constants``. None if it is nowhere. Raises :class:`DataInvalid` if
    it is not a finite number, or contradicted by the file name.
    """
    in_name = from_file_name(name, reader.source)
    of_state = (reader.array_attributes.get(part, {}) for part in layout.parts)
    for place in (reader.attributes, *of_state):
        for key, value in place.items():
            if key.lower() == name.lower():
                return _agreed(name, _number(value, f"{reader.source}:{key}"), in_name, reader.source)
    for key, array in reader.arrays.items():
        if key.lower() != name.lower():
            continue
        if array.shape == (samples,):
            return key
        if array.shape == ():
            return _agreed(name, _number(reader.read(key), f"{reader.source}:{key}"), in_name, reader.source)
    return layout.constants.get(name) if in_name is None else in_name


def from_file_name(name: str, source: str) -> float | None:
    """The number after the parameter's name, as in ``..._Nu0.01.hdf5``; None where it does not occur.

    >>> from_file_name("Nu", "1D_Burgers_Sols_Nu0.01.hdf5"), from_file_name("beta", "darcy_train.pt")
    (0.01, None)
    """
    stem = PurePosixPath(source).stem
    found = re.search(rf"(?:^|[_-]){re.escape(name)}[=]?({NUMBER})(?=[_-]|$)", stem, re.IGNORECASE)
    return float(found.group(1)) if found else None


def _number(value: object, where: str) -> float:
    flat = np.ravel(np.asarray(value))
    if flat.size != 1 or flat.dtype.kind not in "fiu" or not math.isfinite(float(flat[0])):
        raise DataInvalid(
            "a parameter is not a number", where=where, found=value, expected="one finite number"
        )
    return float(flat[0])


def _agreed(name: str, attribute: float, in_name: float | None, source: str) -> float:
    if in_name is not None and not math.isclose(attribute, in_name, rel_tol=1e-6):
        raise DataInvalid(
            f"parameter {name} has two values",
            where=source,
            found=f"{attribute:g} in the attribute, {in_name:g} in the file name",
            expected="one value",
            fix="rename the file after the attribute",
        )
    return attribute
