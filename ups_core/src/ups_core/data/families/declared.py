"""Families that a Dataset declares itself, in place of a module here."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from ups_core.api.declaration import Declaration, DeclaredField, DeclaredLayout
from ups_core.data.families.base import Family, Field, RawLayout, Transform
from ups_core.errors import DataInvalid


def declared(name: str, **declaration: Any) -> Family:
    """The family ``name`` of a ``spec.declaration`` as JSON has it. It has no simulator and no solver.

    DataInvalid where a published one is not what this version of UPS takes.
    """
    try:
        said = Declaration.model_validate(declaration)
    except ValidationError as error:
        wrong = [
            f"{'.'.join(map(str, each['loc'])) or 'all of it'}: {each['msg']}" for each in error.errors()
        ]
        raise DataInvalid(
            "a declaration that this version of UPS does not take",
            where=f"declaration of {name}",
            found="; ".join(wrong),
            fix="make its Dataset again, and train again, with a spec.declaration that `ups check` takes",
        ) from error
    return Family(
        name=name,
        title=said.title or name,
        kind=said.kind,
        steady=said.steady,
        space=said.space,
        fields=_fields(said.fields),
        inputs=_fields(said.inputs),
        layouts=(_layout(name, said.layout),),
        boundary={axis.upper(): kind for axis, kind in said.boundary.items()},
        box={axis.upper(): (low, high) for axis, (low, high) in said.box.items()},
        positions=tuple(said.positions),
        velocities=tuple(said.velocities),
        parameters=tuple(said.parameters),
        conserved=None if said.conserved is None else tuple(said.conserved),
        bounded=tuple(said.bounded),
        vectors=tuple(tuple(components) for components in said.vectors),
        shifts=tuple(axis.upper() for axis in said.shifts),
        symmetries=tuple(
            Transform(each.name, tuple(axis.upper() for axis in each.flip), each.transpose, each.sign)
            for each in said.symmetries
        ),
        diffusion=None if said.diffusion is None else (said.diffusion.parameter, said.diffusion.factor),
        galilean=said.galilean,
        vorticity=said.vorticity,
        linear=said.linear,
        elliptic=said.elliptic,
        reference=said.reference,
    )


def _fields(fields: list[DeclaredField]) -> tuple[Field, ...]:
    return tuple(Field(each.name, each.unit, each.label) for each in fields)


def _layout(name: str, layout: DeclaredLayout) -> RawLayout:
    return RawLayout(
        name=name,
        suffixes=tuple(layout.suffixes),
        state=layout.state if isinstance(layout.state, str) else tuple(layout.state),
        state_axes=layout.axes,
        input=layout.input,
        input_axes=layout.input_axes,
        coordinates={axis.upper(): array for axis, array in layout.coordinates.items()},
        nodes=layout.nodes,
        frame_interval=layout.frame_interval,
        constants=dict(layout.constants),
    )
