"""The object of a trained stage: weights, and a ``model.json`` that says all else about them.

``model.json`` holds the architecture's config, the problem, units, normaliser with its hash, what training
saw and of which data, shapes of all weights, and the validation figure. Every stage adds files of its own
(:data:`NAMES`) to those that it was given, so that one object is complete, and its verdict to
``verdicts.json``; a stage that was dropped adds that alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ups_core.api.architectures import Architecture, BaseArchitecture, GridArchitecture
from ups_core.api.stages import CodecConfig
from ups_core.errors import DataInvalid, NotFound
from ups_core.models.codec import Codec
from ups_core.models.corrector import Corrector
from ups_core.models.critic import Critic
from ups_core.models.device import chosen_device
from ups_core.models.domain import Domain
from ups_core.models.problem import Problem
from ups_core.train.checkpoint import check_shapes, shapes_in, shapes_of
from ups_core.train.normaliser import Normaliser

FORMAT = 3

#: Stage to the name of the files that it adds.
NAMES = {
    "codec": "codec",
    "operator": "model",
    "diffusion": "corrector",
    "steady-prior": "corrector",
    "distill": "student",
    "search": "critic",
}
VERDICTS = "verdicts.json"

_architecture: TypeAdapter[Any] = TypeAdapter(Architecture)


@dataclass(frozen=True)
class Model:
    """A trained network with all that is needed to use it."""

    network: nn.Module
    problem: Problem
    normaliser: Normaliser
    #: What training saw, in physical fields, also where the network works on codes.
    domain: Domain
    facts: dict[str, Any]


def build(stage: str, config: Mapping[str, Any], problem: Problem) -> nn.Module:
    """The untrained network of a stage; ``config`` is the architecture's, or the codec's own."""
    if stage == "codec":
        return Codec(CodecConfig.model_validate(config), problem)
    chosen = architecture(config)
    if stage == "operator":
        return chosen.build(problem)
    assert isinstance(chosen, GridArchitecture)
    return (Critic if stage == "search" else Corrector).of(chosen, problem)


def architecture(config: Mapping[str, Any]) -> BaseArchitecture:
    """The architecture that a model's ``config`` describes."""
    return _architecture.validate_python(config)


def describe(
    stage: str,
    config: Mapping[str, Any],
    network: nn.Module,
    problem: Problem,
    normaliser: Normaliser,
    domain: Domain,
) -> dict[str, Any]:
    """The facts of ``model.json`` that are known before training."""
    return {
        "format": FORMAT,
        "stage": stage,
        "config": dict(config),
        "problem": json.loads(json.dumps(problem.to_dict())),
        "units": dict(zip(problem.fields, problem.units, strict=True)),
        "normaliser": json.loads(json.dumps(normaliser.to_dict())),
        "normaliserSha256": normaliser.sha256,
        "domain": json.loads(json.dumps(domain.to_dict())),
        "shapes": shapes_of(network),
        "parameters": sum(p.numel() for p in network.parameters()),
    }


def verdicts(folder: Path | None) -> list[dict[str, Any]]:
    """The verdicts on all stages that an object has been through, in order."""
    return json.loads((folder / VERDICTS).read_text()) if folder else []


def hand_on(given: Path | None, out: Path, verdict: Mapping[str, Any]) -> None:
    """Everything that the object ``given`` holds, unchanged, and one verdict more."""
    for path in sorted(given.iterdir()) if given else ():
        if path.name != VERDICTS:
            shutil.copyfile(path, out / path.name)
    (out / VERDICTS).write_text(json.dumps([*verdicts(given), verdict], indent=1) + "\n")


def write(folder: Path, facts: Mapping[str, Any], weights: Mapping[str, Tensor], name: str = "model") -> None:
    """``<name>.safetensors`` and ``<name>.json``."""
    save_file({k: v.contiguous() for k, v in weights.items()}, folder / f"{name}.safetensors")
    (folder / f"{name}.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")


def read(folder: Path, name: str = "model") -> Model:
    """What :func:`write` wrote, on the accelerator where there is one.

    NotFound where nothing is there, DataInvalid where parts do not fit.
    """
    path = folder / f"{name}.json"
    if not path.exists():
        raise NotFound(
            "no trained model here",
            where=folder,
            expected=path.name,
            fix="give the folder, or objects/train/<key>, of a trained stage",
        )
    facts = json.loads(path.read_text())
    if facts["format"] != FORMAT:
        raise _of_another_version(path, f"format {facts['format']}", f"format {FORMAT}")
    normaliser = Normaliser.from_dict(facts["normaliser"])
    if normaliser.sha256 != facts["normaliserSha256"]:
        raise DataInvalid(
            "the normaliser is not the one that the model was trained with",
            where=f"{path}: normaliser",
            found=f"sha256 {normaliser.sha256}",
            expected=f"sha256 {facts['normaliserSha256']}",
            fix="take the published model again: its values would mean something else",
        )
    problem = Problem.from_dict(facts["problem"])
    try:
        network = build(facts["stage"], facts["config"], problem)
    except ValidationError as error:
        raise _of_another_version(path, str(error), "a config of this version") from error
    check_shapes(facts["shapes"], shapes_of(network), str(path))
    load_weights(network, folder / f"{name}.safetensors")
    network.to(chosen_device())
    return Model(network, problem, normaliser, Domain.from_dict(facts["domain"]), facts)


def _of_another_version(path: Path, found: str, expected: str) -> DataInvalid:
    fix = "run its TrainingRun again, with this version"
    return DataInvalid("model of another version of UPS", where=path, found=found, expected=expected, fix=fix)


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a safetensors file whose header fits the network; DataInvalid otherwise."""
    check_shapes(shapes_in(path), shapes_of(network), str(path))
    network.load_state_dict(load_file(path))
