"""Checkpoints: all that training needs to go on as if it had never stopped.

``<prefix>/<step, 8 digits>/`` holds ``model.safetensors`` (weights), ``state.safetensors`` (moments of
the optimizer, best weights so far, random numbers) and, written last, ``checkpoint.json`` with their
hashes: a checkpoint without it, or that does not fit it, was not finished. Shapes are compared with
the model's before any tensor is read. No format in use can run code (safetensors and JSON, no pickle).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ups_core.errors import DataInvalid, NotFound
from ups_core.faults import fault_point
from ups_core.models.problem import shape_text
from ups_core.store import Store, sha256_file

FORMAT = 1
FILES = ("model.safetensors", "state.safetensors")

log = structlog.get_logger()


def shapes_of(model: nn.Module) -> dict[str, list[int]]:
    """Name and shape of every weight."""
    return {name: list(value.shape) for name, value in model.state_dict().items()}


def check_shapes(
    found: Mapping[str, Sequence[int]], expected: Mapping[str, Sequence[int]], where: str
) -> None:
    """DataInvalid naming the first weight that is missing, unknown or of another shape."""
    for name in sorted({*found, *expected}):
        a, b = found.get(name), expected.get(name)
        if a is None or b is None or list(a) != list(b):
            raise DataInvalid(
                f"the weights do not fit the model: {name}",
                where=where,
                found="no such tensor" if a is None else shape_text(a),
                expected="no such tensor" if b is None else shape_text(b),
                fix="start from a model of the same architecture and data, or leave out resumeFrom",
            )


def shapes_in(path: Path) -> dict[str, list[int]]:
    """Name and shape of every tensor of a safetensors file, from its header alone."""
    with safe_open(path, framework="pt") as file:
        return {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


@dataclass(frozen=True)
class Saved:
    """What was read back: weights, the rest of the state, and ``checkpoint.json``."""

    weights: dict[str, Tensor]
    state: dict[str, Tensor]
    facts: dict[str, Any]


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one training step, below ``prefix`` in the store; the last ``keep`` stay."""

    store: Store
    prefix: str
    work: Path
    keep: int = 3

    def save(
        self, step: int, weights: Mapping[str, Tensor], state: Mapping[str, Tensor], facts: Mapping[str, Any]
    ) -> None:
        """Write the checkpoint of ``step``, then drop those that are no longer among the last ``keep``."""
        fault_point("checkpoint.before")
        folder, files = f"{self.prefix}/{step:08d}", {}
        for name, tensors in zip(FILES, (weights, state), strict=True):
            local = self.work / name
            save_file({k: v.detach().contiguous() for k, v in tensors.items()}, local)
            files[name] = {"sha256": sha256_file(local), "size": local.stat().st_size}
            self.store.put_file(f"{folder}/{name}", local)
        document = {"format": FORMAT, "step": step, "files": files, **facts}
        self.store.put(f"{folder}/checkpoint.json", json.dumps(document, indent=1).encode())
        self._prune(step)
        fault_point("checkpoint.after")

    def newest(self, expected: Mapping[str, Any]) -> Saved | None:
        """The newest whole checkpoint, or None where there is none.

        ``expected``: ``shapes`` of the weights and other facts that must be equal. DataInvalid where a
        whole checkpoint is of another model; a damaged one is passed over for the one before.
        """
        for step in reversed(self._steps()):
            folder = f"{self.prefix}/{step:08d}"
            try:
                facts = json.loads(self.store.get(f"{folder}/checkpoint.json"))
                files = {name: facts["files"][name]["sha256"] for name in FILES}
            except (NotFound, ValueError, KeyError, TypeError):
                log.warning("checkpoint was not finished, trying the one before", checkpoint=folder)
                continue
            where = self.store.url(f"{folder}/checkpoint.json")
            check_shapes(facts["shapes"], expected["shapes"], where)
            for name in expected:
                if facts.get(name) != expected[name]:
                    raise DataInvalid(
                        f"the checkpoint is of another model: {name}",
                        where=where,
                        found=json.dumps(facts.get(name)),
                        expected=json.dumps(expected[name]),
                        fix=f"remove the checkpoints below {self.store.url(self.prefix)}",
                    )
            if (tensors := self._tensors(folder, files)) is None:
                log.warning("checkpoint is damaged, trying the one before", checkpoint=folder)
                continue
            weights, state = tensors
            return Saved(weights, state, facts)
        return None

    def _tensors(self, folder: str, files: Mapping[str, str]) -> list[dict[str, Tensor]] | None:
        """The tensors of both files, or None where one is missing or differs from its hash."""
        read = []
        for name, sha256 in files.items():
            try:
                if self.store.get_file(f"{folder}/{name}", self.work / name) != sha256:
                    return None
            except NotFound:
                return None
            read.append(load_file(self.work / name))
        return read

    def _steps(self) -> list[int]:
        folders = {e.path.removeprefix(f"{self.prefix}/").split("/")[0] for e in self.store.list(self.prefix)}
        return sorted(int(name) for name in folders if name.isdigit())

    def _prune(self, current: int) -> None:
        """Keep the newest up to ``current``; whatever is later belongs to a damaged past."""
        kept = [step for step in self._steps() if step <= current][-self.keep :]
        for step in self._steps():
            if step not in kept:
                folder = f"{self.prefix}/{step:08d}"
                for name in ("checkpoint.json", *FILES):
                    self.store.delete(f"{folder}/{name}")
