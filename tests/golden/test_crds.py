"""The CRD files in the chart are those that the models give, and are structural."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ups_core.api import KINDS
from ups_core.api.crds import crd, crd_files

FOLDER = Path(__file__).parents[2] / "charts/ups/crds"


def test_the_files_are_up_to_date():
    written = {path.name: path.read_text() for path in FOLDER.glob("*.yaml")}
    assert written == crd_files(), "run `make crds`"


@pytest.mark.parametrize("kind", list(KINDS))
def test_schemas_are_structural(kind: str):
    """What the API server asks: a type or an open node everywhere, no references, no mixed maps."""

    def walk(node: dict[str, Any], path: str) -> None:
        assert "$ref" not in node, path
        assert not {"anyOf", "oneOf", "const", "allOf"} & set(node), path
        assert "type" in node or node.get("x-kubernetes-preserve-unknown-fields"), path
        assert not ("properties" in node and "additionalProperties" in node), path
        for name, inner in node.get("properties", {}).items():
            walk(inner, f"{path}.{name}")
        for part in ("items", "additionalProperties"):
            if part in node:
                walk(node[part], f"{path}.{part}")
        for rule in node.get("x-kubernetes-validations", []):
            assert rule["rule"], path
            assert rule["message"], path

    for version in crd(kind)["spec"]["versions"]:
        walk(version["schema"]["openAPIV3Schema"], kind)


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_field_is_documented(kind: str):
    def walk(node: dict[str, Any], path: str) -> None:
        for name, inner in node.get("properties", {}).items():
            assert inner.get("description") or path == kind, f"{path}.{name}"
            walk(inner, f"{path}.{name}")
        if "items" in node:
            walk(node["items"], f"{path}[]")

    walk(crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"], kind)


def test_a_crd_can_be_read_back():
    for text in crd_files().values():
        assert yaml.safe_load(text)["kind"] == "CustomResourceDefinition"
