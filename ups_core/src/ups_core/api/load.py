"""Reading resource files strictly: all findings at once, each with file, line, field and a fix.

The file is the one that ``kubectl apply -f`` takes: one or more YAML documents.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from ups_core.api import KINDS
from ups_core.api.common import API_VERSION
from ups_core.api.computeclass import ComputeClass
from ups_core.api.dataset import Dataset
from ups_core.api.stages import STAGES
from ups_core.api.templates import expand
from ups_core.api.trainingrun import TrainingRun
from ups_core.api.yamltext import AMBIGUOUS
from ups_core.errors import InvalidSpec, NotFound

# Where libyaml is there it is ten times faster.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):
    """YAML as the API server reads it: `1e-3` is a number, which YAML 1.1 takes for a string."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)
Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a file."""

    file: str
    line: int
    field: str
    what: str
    found: str | None = None
    expected: str | None = None
    fix: str | None = None

    def __str__(self) -> str:
        head = f"{self.file}:{self.line}:{self.field}: {self.what}"
        rest = (("found", self.found), ("expected", self.expected), ("fix", self.fix))
        return "\n".join([head, *(f"  {name + ':':<9} {value}" for name, value in rest if value is not None)])


@dataclass(frozen=True)
class Resources:
    """What a file holds, by kind and name."""

    datasets: Mapping[str, Dataset]
    runs: Mapping[str, TrainingRun]
    classes: Mapping[str, ComputeClass]


def load(path: Path, overrides: tuple[str, ...] = ()) -> Resources:
    """Read a resource file.

    ``overrides`` are ``spec.path=value`` strings; they go to the file's TrainingRuns, or to its
    Datasets where they begin with ``dataset.`` or the file holds no run.

    Raises :class:`NotFound` (5) where there is no file, :class:`InvalidSpec` (2) with every finding.
    """
    try:
        text = path.read_text()
    except FileNotFoundError as error:
        raise NotFound("there is no such file", where=path, fix="ups init > my-run.yaml") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSpec("the file cannot be read", where=path, found=error) from error
    resources, findings = parse(text, str(path), overrides)
    if findings:
        count = f"{len(findings)} findings" if len(findings) > 1 else "1 finding"
        raise InvalidSpec("\n".join([f"{path}: {count}", *map(str, findings)]))
    return resources


def parse(text: str, file: str, overrides: tuple[str, ...] = ()) -> tuple[Resources, list[Finding]]:
    """Resources of a text and what is wrong with it; the resources are whole only without findings."""
    try:
        nodes = [node for node in yaml.compose_all(text, Loader=_Loader) if node is not None]
        plain = [_plain(node) for node in nodes]
    except (yaml.YAMLError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        told = getattr(error, "problem", None) or error
        return _resources([]), [Finding(file, mark.line + 1 if mark else 1, "", f"not YAML: {told}")]
    findings: list[Finding] = []
    if not nodes:
        findings.append(Finding(file, 1, "", "the file holds no resource", fix="ups init > my-run.yaml"))
    kinds = [values.get("kind") if isinstance(values, dict) else None for values in plain]
    resources = []
    for node, kind in zip(nodes, kinds, strict=True):
        document = _Document(file, node)
        findings += document.slips()
        mine = [o for o in overrides if _override_kind(o, kinds) == kind]
        resource, found = document.resource(mine)
        findings += found
        if resource is not None:
            resources.append(resource)
    loaded = _resources(resources)
    if not findings:
        findings += _across(loaded, file, nodes)
    return loaded, findings


def _resources(items: list[Any]) -> Resources:
    def of(kind: type) -> dict[str, Any]:
        return {item.metadata.name: item for item in items if isinstance(item, kind)}

    return Resources(of(Dataset), of(TrainingRun), of(ComputeClass))


def _across(loaded: Resources, file: str, nodes: list[yaml.Node]) -> Iterator[Finding]:
    """What no single document can show."""
    counted = len(loaded.datasets) + len(loaded.runs) + len(loaded.classes)
    if counted != len(nodes):
        yield Finding(file, 1, "metadata.name", "two resources of one kind have one name")
    for run in loaded.runs.values():
        data = loaded.datasets.get(run.spec.dataset_ref.name) if run.spec.dataset_ref else None
        if data and data.metadata.namespace != run.metadata.namespace:
            yield Finding(
                file,
                1,
                "metadata.namespace",
                f"run {run.metadata.name} and its dataset are in different namespaces",
                found=f"{run.metadata.namespace} and {data.metadata.namespace}",
                expected="the same in both",
            )
        if data and data.spec.artifacts.store != run.spec.artifacts.store:
            yield Finding(
                file,
                1,
                "spec.artifacts.store",
                f"run {run.metadata.name} and its dataset use different stores",
                found=f"{run.spec.artifacts.store} and {data.spec.artifacts.store}",
                expected="the same in both",
            )


class _Document:
    """One YAML document: its values, and where each stands."""

    def __init__(self, file: str, node: yaml.Node) -> None:
        self.file, self.node = file, node

    def finding(self, path: Path_, what: str, **details: str | None) -> Finding:
        return Finding(self.file, self.line(path), dotted(path), what, **details)

    def line(self, path: Path_) -> int:
        """The line of the value at ``path``, or of the innermost part of it that is there."""
        node, line = self.node, self.node.start_mark.line
        for part in path:
            if isinstance(node, yaml.MappingNode):
                pair = next(((k, v) for k, v in node.value if k.value == str(part)), None)
                if pair is None:
                    break
                line, node = pair[0].start_mark.line, pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line
            else:
                break
        return line + 1

    def slips(self) -> list[Finding]:
        """What YAML takes without a word, and nobody means.

        A later key overwrites an earlier one, and a bare y is true to ``kubectl``.
        """
        found: list[Finding] = []

        def tell(node: yaml.Node, path: Path_, what: str, fix: str | None = None) -> None:
            found.append(Finding(self.file, node.start_mark.line + 1, dotted(path), what, fix=fix))

        def walk(node: yaml.Node, path: Path_) -> None:
            if isinstance(node, yaml.MappingNode):
                seen: set[str] = set()
                for key, value in node.value:
                    place = (*path, key.value)
                    if key.value in seen:
                        tell(key, place, "given twice")
                    seen.add(key.value)
                    spelled(key, place)
                    walk(value, place)
            elif isinstance(node, yaml.SequenceNode):
                for index, value in enumerate(node.value):
                    walk(value, (*path, index))
            else:
                spelled(node, path)

        def spelled(node: yaml.Node, path: Path_) -> None:
            if isinstance(node, yaml.ScalarNode) and not node.style and AMBIGUOUS.match(node.value):
                tell(node, path, f"kubectl reads a bare {node.value} as a boolean", f'write "{node.value}"')

        walk(self.node, ())
        return found

    def resource(self, overrides: list[str]) -> tuple[Any, list[Finding]]:
        if not isinstance(self.node, yaml.MappingNode):
            return None, [self.finding((), "not a resource", expected="a mapping with apiVersion and kind")]
        values = _plain(self.node)
        kind, version = values.get("kind"), values.get("apiVersion")
        if kind not in KINDS:
            return None, [
                self.finding(("kind",), "unknown kind", found=str(kind), **closest(str(kind), KINDS))
            ]
        if version != API_VERSION:
            fix = f"apiVersion: {API_VERSION}"
            return None, [self.finding(("apiVersion",), "unknown version", found=str(version), fix=fix)]
        for override in overrides:
            values = set_path(values, override)
        values = anchored(values, Path(self.file).parent)
        model, findings, resource = KINDS[kind], [], None
        try:
            resource = model.model_validate(values)
        except ValidationError as error:
            findings += self._findings(model, error, values, ())
        if kind == "TrainingRun":
            findings += self._stage_findings(values)
        return resource, findings

    def _stage_findings(self, values: dict[str, Any]) -> Iterator[Finding]:
        """What is wrong with stages' configs; those that a template gives are told where it is named."""
        spec = values.get("spec")
        if not isinstance(spec, dict):
            return
        stages, where = spec.get("stages", []), None
        if isinstance(spec.get("template"), str):
            try:
                stages, where = expand(spec).get("stages", []), ("spec", "overrides")
            except InvalidSpec as error:
                fix = error.details.get("expected")
                yield self.finding(("spec", "template"), error.what, found=spec["template"], expected=fix)
                return
        for index, stage in enumerate(stages if isinstance(stages, list) else []):
            if not isinstance(stage, dict) or stage.get("name") not in STAGES:
                continue
            if isinstance(config := stage.get("config"), dict):
                try:
                    STAGES[stage["name"]].model_validate(config)
                except ValidationError as error:
                    at: Path_ = where or ("spec", "stages", index, "config")
                    yield from self._findings(STAGES[stage["name"]], error, config, at)

    def _findings(
        self, model: type[BaseModel], error: ValidationError, values: Any, prefix: Path_
    ) -> list[Finding]:
        """One finding for each place; the branches of a union that failed there are told together."""
        places: dict[Path_, list[Any]] = {}
        for item in error.errors(include_url=False):
            places.setdefault(_within(values, item), []).append(item)
        return [
            self.finding(
                (*prefix, *path), *_told(model, path, items[0]), **_details(model, path, items, values)
            )
            for path, items in places.items()
        ]


def _told(model: type[BaseModel], path: Path_, item: Any) -> tuple[str]:
    told = {"extra_forbidden": "unknown field", "missing": "missing field", "value_error": None}
    what = told.get(item["type"], "not a valid value")
    return (what or str(item["ctx"]["error"]),)


def _details(model: type[BaseModel], path: Path_, items: list[Any], values: Any) -> dict[str, str | None]:
    item = items[0]
    if item["type"] == "extra_forbidden":
        return {"found": str(path[-1]), **closest(str(path[-1]), _fields_at(model, path[:-1]))}
    if item["type"] in ("missing", "value_error"):
        return {}
    messages = [i["msg"].removeprefix("Input should be ") for i in items]
    return {"found": f"{item['input']!r}", "expected": " or ".join(dict.fromkeys(messages))}


def _within(values: Any, item: Any) -> Path_:
    """The part of an error's location that is in the document: unions add names of branches to it."""
    path: list[str | int] = []
    here, loc = values, item["loc"]
    for nth, part in enumerate(loc):
        last_missing = nth == len(loc) - 1 and item["type"] == "missing"
        if isinstance(here, dict) and (part in here or last_missing):
            here = here.get(part)
            path.append(part)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
            path.append(part)
    return tuple(path)


def _fields_at(model: type[BaseModel], path: Path_) -> list[str]:
    """The fields that are known at ``path`` below ``model``."""
    models = [model]
    for part in path:
        inner = [
            found
            for m in models
            for name, info in m.model_fields.items()
            if (info.alias or name) == part
            for found in _models_in(info.annotation)
        ]
        models = inner or models  # an index of a list, or a key of a map: the same models go on
    return sorted({info.alias or name for m in models for name, info in m.model_fields.items()})


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def closest(name: str, known: Any) -> dict[str, str | None]:
    """What to say of an unknown name: the known ones, and the nearest as a fix."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return {"expected": ", ".join(known), "fix": f"write {near[0]}" if near else f"remove {name}"}


def dotted(path: Path_) -> str:
    """``("spec", "stages", 0, "name")`` as ``spec.stages[0].name``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def anchored(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A relative ``source.uri`` counts from the folder of the file that says it."""
    spec = values.get("spec")
    if not isinstance(spec, dict):
        return values
    own = spec.get("dataset")
    if isinstance(own, dict):
        return {**values, "spec": {**spec, "dataset": anchored({"spec": own}, folder)["spec"]}}
    source = spec.get("source")
    if isinstance(source, dict) and isinstance(uri := source.get("uri"), str) and "://" not in uri:
        return {
            **values,
            "spec": {**spec, "source": {**source, "uri": str((folder / Path(uri).expanduser()).resolve())}},
        }
    return values


def _plain(node: yaml.Node) -> Any:
    loader = _Loader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _override_kind(override: str, kinds: list[Any]) -> str:
    return "TrainingRun" if "TrainingRun" in kinds and not override.startswith("dataset.") else "Dataset"


def set_path(values: dict[str, Any], override: str) -> dict[str, Any]:
    """Set ``spec.path=value`` in a document; items of a list are named by their ``name`` or index.

    >>> set_path({"spec": {"stages": [{"name": "operator"}]}}, "spec.stages.operator.config.lr=0.1")
    {'spec': {'stages': [{'name': 'operator', 'config': {'lr': 0.1}}]}}
    """
    path, equals, text = override.removeprefix("dataset.").partition("=")
    parts = path.split(".")
    if not equals or parts[0] != "spec" or len(parts) < 2:
        raise InvalidSpec("--set cannot be read", found=override, expected="spec.path=value")

    def put(here: Any, rest: list[str]) -> Any:
        if not rest:
            try:
                return yaml.load(text, Loader=_Loader)
            except yaml.YAMLError as error:
                raise InvalidSpec("--set has a value that is not YAML", found=override) from error
        head, tail = rest[0], rest[1:]
        if isinstance(here, list):
            names = [
                str(item.get("name", nth)) if isinstance(item, dict) else str(nth)
                for nth, item in enumerate(here)
            ]
            if head not in names:
                raise InvalidSpec("--set names no item of the list", found=head, expected=", ".join(names))
            return [put(item, tail) if name == head else item for name, item in zip(names, here, strict=True)]
        here = here if isinstance(here, dict) else {}
        return {**here, head: put(here.get(head), tail)}

    return put(values, parts)
