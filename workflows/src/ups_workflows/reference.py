"""docs/reference, written from the code: ``make docs``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ups_core import errors
from ups_core.api import KINDS
from ups_core.api.architectures import ARCHITECTURES
from ups_core.api.common import Reason
from ups_core.api.model import Model
from ups_core.api.stages import STAGES
from ups_core.data.families import FAMILIES
from ups_core.steps import STEPS
from ups_workflows.cluster.client import ClusterUnavailable

HEAD = "<!-- Generated from the code by `make docs`; do not edit. -->\n\n"


def pages() -> dict[str, str]:
    """File name to Markdown of every page."""
    return {
        "resources.md": HEAD + "\n".join(_resources()),
        "stages.md": HEAD + "\n".join(_stages()),
        "families.md": HEAD + "\n".join(_families()),
        "cli.md": HEAD + "\n".join(_cli()),
        "exit-codes.md": HEAD + "\n".join(_exit_codes()),
    }


def _resources() -> Iterator[str]:
    yield "# Resources\n"
    yield "Group `ups.dev`, version `v1alpha1`. Fields marked * are required.\n"
    for kind, model in KINDS.items():
        yield f"## {kind}\n\n{_doc(model)}\n"
        seen: set[type[BaseModel]] = set()
        parts = [(name, m) for name in ("spec", "status") for m in _models(model, name)]
        for path, part in parts:
            yield from _tables(part, path, seen)


def _stages() -> Iterator[str]:
    yield "# Stages and architectures\n"
    yield "What `spec.stages[].config` takes, by the name of the stage.\n"
    for name, model in STAGES.items():
        yield f"## Stage `{name}`\n\n{_doc(model)}\n"
        yield from _table(model)
    yield "# Architectures\n\n`architecture` is a name, or a mapping with `name` and these fields.\n"
    for name, model in ARCHITECTURES.items():
        yield f"## Architecture `{name}`\n\n{_doc(model)}\n"
        yield from _table(model)


def _families() -> Iterator[str]:
    yield "# Families\n"
    for name, family in FAMILIES.items():
        yield f"## `{name}`\n\n{family.title}\n"
        facts = {
            "State": ", ".join(f"{f.name} [{f.unit}]" for f in family.fields),
            "Input": ", ".join(f"{f.name} [{f.unit}]" for f in family.inputs),
            "Kind": f"{'steady' if family.steady else 'transient'}, {family.kind}, axes {family.space}",
            "Boundary": ", ".join(f"{axis} {kind}" for axis, kind in family.boundary.items()),
            "Parameters": ", ".join(family.parameters),
            "Conserved": ", ".join(family.conserved or ()),
            "Maximum principle": ", ".join(family.bounded),
            "Diffuses": "with {1:g} {0}".format(*family.diffusion) if family.diffusion else "",
            "Carried by its own flow": family.vorticity or "",
            "Linear": "with constant coefficients" if family.linear else "",
            "Symmetries": ", ".join(
                [
                    *(f"shift along {a}" for a in family.shifts),
                    *(["Galilean boost"] if family.galilean else []),
                    *(t.name for t in family.symmetries),
                ]
            ),
            "Simulation": ", ".join(f"{n} = {v:g}" for n, v in family.defaults.items())
            if family.simulate
            else "",
            "Raw files": "; ".join(f"{lay.name} ({', '.join(lay.suffixes)})" for lay in family.layouts),
            "Reference": family.reference,
        }
        yield "| | |\n|---|---|"
        yield from (f"| {title} | {value} |" for title, value in facts.items() if value)
        yield ""


def _cli() -> Iterator[str]:
    from ups_workflows.cli import app

    command = typer.main.get_command(app)
    context = typer.Context(command)
    yield "# The `ups` command\n"
    yield "Data goes to standard output, progress and logs to standard error.\n"
    for name, verb in command.commands.items():  # type: ignore[attr-defined]
        arguments = [p for p in verb.params if p.param_type_name == "argument"]
        options = [p for p in verb.params if p.param_type_name == "option"]
        usage = " ".join(
            [f"ups {name}", *(p.metavar or p.name.upper() for p in arguments), "[OPTIONS]" if options else ""]
        )
        yield f"## `{usage.strip()}`\n\n{verb.help}\n"
        if arguments or options:
            yield "| | | default |\n|---|---|---|"
        for parameter in (*arguments, *options):
            spelled = parameter.metavar or parameter.name.upper()
            if parameter in options:
                metavar = (
                    "" if parameter.is_flag else f" {parameter.metavar or parameter.display_type(context)}"
                )
                spelled = ", ".join(parameter.opts) + metavar
            default = "" if parameter.default in (None, False, ()) else f"`{parameter.default}`"
            spelled = spelled.replace("|", "\\|")
            yield f"| `{spelled}` | {parameter.help or ''} | {default} |"
        yield ""


def _exit_codes() -> Iterator[str]:
    yield "# Exit codes and reasons\n"
    yield "Steps and the `ups` command share one list.\n"
    yield "| code | reason | meaning |\n|---|---|---|\n| 0 | | done |\n| 1 | InternalError | a bug of ours |"
    found = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.UpsError)]
    found = [*(c for c in found if c is not errors.UpsError), ClusterUnavailable]
    for error in sorted(found, key=lambda c: c.exit_code):
        yield f"| {error.exit_code} | {error.reason} | {' '.join((error.__doc__ or '').split())} |"
    yield "| 130 | | interrupted |\n"
    yield "All reasons of `status.lastFailure`: " + ", ".join(f"`{r}`" for r in get_args(Reason)) + ".\n"
    yield "Steps: " + ", ".join(f"`{name}`" for name in STEPS) + ".\n"


def _models(model: type[BaseModel], field: str) -> list[type[Model]]:
    info = model.model_fields.get(field)
    return list(_models_in(info.annotation)) if info else []


def _models_in(annotation: Any) -> Iterator[type[Model]]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _tables(model: type[Model], path: str, seen: set[type[BaseModel]]) -> Iterator[str]:
    """The table of a model, then those of the models inside it; one that was shown is only named."""
    if model in seen:
        return
    seen.add(model)
    yield f"### {path}\n\n{_doc(model)}\n"
    yield from _table(model)
    for name, info in model.model_fields.items():
        for inner in _models_in(info.annotation):
            yield from _tables(inner, f"{path}.{info.alias or name}", seen)


def _table(model: type[BaseModel]) -> Iterator[str]:
    yield "| field | type | default | |\n|---|---|---|---|"
    for name, info in model.model_fields.items():
        star = "*" if info.is_required() else ""
        text = " ".join((info.description or "").split())
        kind, default = _type(info.annotation), _default(info.default)
        yield f"| `{info.alias or name}`{star} | {kind} | {default} | {text} |"
    yield ""


def _default(value: Any) -> str:
    if value is PydanticUndefined or value is None or isinstance(value, Model):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`" if value not in ({}, []) else ""


def _type(annotation: Any) -> str:
    if annotation is type(None):
        return ""
    if isinstance(annotation, type) and not get_args(annotation):
        plain = {str: "string", int: "integer", float: "number", bool: "boolean"}
        return plain.get(annotation, annotation.__name__)
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " \\| ".join(f"`{value}`" for value in inner)
    if origin is list:
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return f"map of {_type(inner[1])}"
    if hasattr(annotation, "__metadata__"):
        return _type(inner[0])
    return " \\| ".join(filter(None, map(_type, inner))) or "any"


def _doc(model: type[BaseModel]) -> str:
    return "\n".join(line.strip() for line in (model.__doc__ or "").strip().splitlines())


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text)
