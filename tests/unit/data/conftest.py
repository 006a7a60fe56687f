"""Steps run by hand: what an engine does, without processes and plans."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ups_core.steps import cache, convert, fetch, simulate, validate
from ups_core.steps.context import StepContext, StepSpec
from ups_core.store import PublishedObject, RunRecord, open_store, publish

MODULES: dict[str, ModuleType] = {
    "simulate": simulate,
    "fetch": fetch,
    "convert": convert,
    "validate": validate,
    "cache": cache,
}


class Pipeline:
    """A store in a folder, and steps that publish into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = open_store(str(folder / "store"))
        self.results: list[dict[str, Any]] = []
        self.modules = dict(MODULES)
        #: What all steps reported: done, total.
        self.progress: list[tuple[int, int]] = []

    def run(
        self,
        step: str,
        recipe: dict[str, Any],
        inputs: dict[str, PublishedObject] | None = None,
        options: dict[str, Any] | None = None,
    ) -> PublishedObject:
        number = len(self.results)
        out, work = self.folder / f"out-{number}", self.folder / f"work-{number}"
        out.mkdir()
        work.mkdir()
        spec = StepSpec(step=step, name=step, recipe=recipe, options=options or {}, record="runs/test")
        context = StepContext(
            spec=spec,
            store=self.store,
            record=RunRecord(self.store, "runs/test"),
            out=out,
            work=work,
            progress=lambda done, total, text: self.progress.append((done, total)),
            inputs=inputs or {},
        )
        self.results.append(self.modules[step].run(context))
        json.dumps(self.results[-1])
        return publish(
            self.store,
            step=step,
            key=f"{number:064x}",
            folder=out,
            inputs=inputs or {},
            recipe=recipe,
            deterministic=True,
            provenance={},
        )

    def folder_of(self, published: PublishedObject) -> Path:
        return published.folder(self.folder / "read")


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)
