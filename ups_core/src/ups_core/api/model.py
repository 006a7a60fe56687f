"""The base of every resource model: camelCase outside, strict types, no unknown fields."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Rule(NamedTuple):
    """A rule in the Common Expression Language that the API server holds on every write."""

    cel: str
    message: str


class Model(BaseModel):
    """A part of a resource.

    Field names are snake_case in Python and camelCase in YAML, as Kubernetes has it. Types are
    strict (``"3"`` is no integer), since the API server would refuse the same document.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=False,
        serialize_by_alias=True,
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
        defer_build=True,
    )

    #: What the CRD checks beyond types; each has a validator of the same meaning in Python.
    rules: ClassVar[tuple[Rule, ...]] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, every default written out, absent options left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=48)]
#: A Kubernetes quantity such as ``500m`` or ``2Gi``.
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$", max_length=24)]


def exactly_one(model: Model, *names: str) -> None:
    """Raise ValueError unless exactly one of the fields ``names`` (snake_case) is set."""
    given = [to_camel(name) for name in names if getattr(model, name) is not None]
    if len(given) != 1:
        listed = ", ".join(to_camel(name) for name in names)
        raise ValueError(f"exactly one of {listed} is needed, found {' and '.join(given) or 'none'}")


def one_of_rule(*names: str) -> Rule:
    """The CEL twin of :func:`exactly_one`."""
    aliases = [to_camel(name) for name in names]
    count = " + ".join(f"(has(self.{alias}) ? 1 : 0)" for alias in aliases)
    return Rule(f"{count} == 1", f"exactly one of {', '.join(aliases)} is needed")


def immutable_rules(model: type[Model], mutable: set[str]) -> tuple[Rule, ...]:
    """One rule for each field of ``model`` that a later edit may not touch.

    They sit on the model, not on the fields: a rule on a field does not run when the field is added
    or removed.
    """
    rules = []
    for name, info in model.model_fields.items():
        if name in mutable:
            continue
        alias = info.alias or to_camel(name)
        same = f"self.{alias} == oldSelf.{alias}"
        if not info.is_required():
            same = f"has(self.{alias}) == has(oldSelf.{alias}) && (!has(self.{alias}) || {same})"
        rules.append(Rule(same, f"{alias} cannot be changed: create a resource of another name"))
    return tuple(rules)
