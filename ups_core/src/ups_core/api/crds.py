"""CustomResourceDefinitions, generated from the models: ``make crds``.

A CRD's schema must be *structural*: no references, a type at every node, no union of types. What
pydantic describes beyond that (the branches of ``splits``, a stage's ``config``) is left open there,
and checked by ``ups`` and by the operator.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel

from ups_core.api import GROUP, KINDS, VERSION
from ups_core.api.model import Model, Rule
from ups_core.api.yamltext import dump


class Names(NamedTuple):
    """How ``kubectl`` calls a resource, and what it prints of it."""

    plural: str
    short: str
    scope: str
    columns: tuple[tuple[str, str, str, int], ...]  # header, type, JSON path, priority


_AGE = ("Age", "date", ".metadata.creationTimestamp", 0)
NAMES = {
    "TrainingRun": Names(
        "trainingruns",
        "tr",
        "Namespaced",
        (
            ("Phase", "string", ".status.phase", 0),
            ("Stage", "string", ".status.progress.stage", 0),
            ("Progress", "integer", ".status.progress.percent", 0),
            ("Metric", "number", ".status.headline.value", 0),
            ("Cost", "number", ".status.cost.spentUsd", 0),
            ("Attempt", "integer", ".status.attempt", 0),
            _AGE,
            ("Workflow", "string", ".status.workflow.name", 1),
            ("Dataset", "string", ".spec.datasetRef.name", 1),
            ("Preemptions", "integer", ".status.preemptions", 1),
            ("Reason", "string", ".status.lastFailure.reason", 1),
        ),
    ),
    "Dataset": Names(
        "datasets",
        "dset",  # "ds" is DaemonSet's, and kubectl would take it for that
        "Namespaced",
        (
            ("Phase", "string", ".status.phase", 0),
            ("Family", "string", ".spec.family", 0),
            ("Version", "string", ".status.version", 0),
            ("Samples", "integer", ".status.samples", 0),
            _AGE,
            ("Key", "string", ".status.key", 1),
            ("Workflow", "string", ".status.workflow.name", 1),
            ("Reason", "string", ".status.lastFailure.reason", 1),
        ),
    ),
    "ComputeClass": Names(
        "computeclasses",
        "cc",
        "Cluster",
        (
            ("Resource", "string", ".spec.resource", 0),
            ("GPUs", "integer", ".spec.gpusPerNode", 0),
            ("OnDemand", "number", ".spec.onDemand.pricePerHourUsd", 0),
            ("Spot", "number", ".spec.spot.pricePerHourUsd", 0),
            _AGE,
        ),
    ),
}

#: The API server refuses rules on ``metadata`` below the root; names are held here.
NAME_RULE = Rule(
    "size(self.metadata.name) <= 48 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
    "metadata.name must be a DNS-1123 label of at most 48 characters",
)
_KEPT = (
    "type",
    "description",
    "default",
    "enum",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
)
_OPEN = {"x-kubernetes-preserve-unknown-fields": True}


def crd(kind: str) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind."""
    names, model = NAMES[kind], KINDS[kind]
    schema = model.model_json_schema(by_alias=True)
    described = _models_by_title(model)
    properties = {
        name: structural(schema["properties"][name], schema.get("$defs", {}), described)
        for name in ("spec", "status")
        if name in schema["properties"]
    }
    root = {
        "type": "object",
        "description": model.__doc__,
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            **properties,
        },
        "required": ["spec"],
        "x-kubernetes-validations": [{"rule": NAME_RULE.cel, "message": NAME_RULE.message}],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": names.scope,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": names.plural,
                "singular": kind.lower(),
                "shortNames": [names.short],
                "categories": ["all", "ups"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": root},
                    **({"subresources": {"status": {}}} if "status" in properties else {}),
                    "additionalPrinterColumns": [
                        {"name": header, "type": kind_, "jsonPath": path, **({"priority": p} if p else {})}
                        for header, kind_, path, p in names.columns
                    ],
                }
            ],
        },
    }


def structural(node: dict[str, Any], defs: dict[str, Any], models: dict[str, type[Model]]) -> dict[str, Any]:
    """A JSON schema of pydantic as a structural one.

    References are put into place, ``null`` branches dropped (absence says the same), unions and
    untyped values left open.
    """
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[1]
        inner = structural(defs[name], defs, models)
        rules = (
            [{"rule": rule.cel, "message": rule.message} for rule in models[name].rules]
            if name in models
            else []
        )
        extra = {"x-kubernetes-validations": rules} if rules else {}
        return {**inner, **_kept(node), **extra}
    if "anyOf" in node or "oneOf" in node:
        branches = [b for b in node.get("anyOf", node.get("oneOf", [])) if b.get("type") != "null"]
        if len(branches) == 1:
            return {**structural(branches[0], defs, models), **_kept(node)}
        return {**_kept(node), **_OPEN}
    kept = _kept(node)
    if "const" in node:
        return {**kept, "type": "string", "enum": [node["const"]]}
    if "enum" in node and "type" not in node:
        kept["type"] = "string"
    if node.get("type") == "object":
        if "properties" in node:
            kept["properties"] = {n: structural(p, defs, models) for n, p in node["properties"].items()}
            if node.get("required"):
                kept["required"] = node["required"]
            if "patternProperties" in node:  # names of somebody's own beside those that must be there
                kept |= _OPEN
        elif isinstance(node.get("additionalProperties"), dict):
            kept["additionalProperties"] = structural(node["additionalProperties"], defs, models)
        else:
            kept |= _OPEN
    elif node.get("type") == "array":
        kept["items"] = structural(node.get("items", {}), defs, models)
        if "$ref" in node.get("items", {}) and node["items"]["$ref"].endswith("/Stage"):
            kept |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    elif "type" not in kept:
        kept |= _OPEN
    return kept


def _kept(node: dict[str, Any]) -> dict[str, Any]:
    kept = {
        name: node[name] for name in _KEPT if name in node and not (name == "default" and node[name] is None)
    }
    if "default" in kept:
        kept["default"] = _without_null(kept["default"])
    if "exclusiveMinimum" in node:
        kept |= {"minimum": node["exclusiveMinimum"], "exclusiveMinimum": True}
    if "exclusiveMaximum" in node:
        kept |= {"maximum": node["exclusiveMaximum"], "exclusiveMaximum": True}
    if "description" in kept:
        kept["description"] = " ".join(kept["description"].split())
    return kept


def _without_null(value: Any) -> Any:
    """A default as the API server takes it: an option that is not set is absent, not null."""
    if isinstance(value, dict):
        return {name: _without_null(inner) for name, inner in value.items() if inner is not None}
    return value


def _models_by_title(model: type[BaseModel]) -> dict[str, type[Model]]:
    """Every model that ``model`` is made of, by the name its definition has in the schema."""
    found: dict[str, type[Model]] = {}

    def walk(annotation: Any) -> None:
        if (
            isinstance(annotation, type)
            and issubclass(annotation, Model)
            and annotation.__name__ not in found
        ):
            found[annotation.__name__] = annotation
            for info in annotation.model_fields.values():
                walk(info.annotation)
        for inner in get_args(annotation):
            walk(inner)

    walk(model)
    return found


def crd_files() -> dict[str, str]:
    """File name to YAML text of every CRD."""
    return {
        f"{GROUP}_{NAMES[kind].plural}.yaml": "# Generated from ups_core.api by `make crds`; do not edit.\n"
        + dump([crd(kind)], width=110)
        for kind in KINDS
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in crd_files().items():
        (folder / name).write_text(text)
