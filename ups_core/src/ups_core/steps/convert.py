"""``convert``: raw files of any layout to canonical arrays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ups_core.data.canonical import write_json
from ups_core.data.convert import ConvertOptions, convert_file, output_name
from ups_core.data.families import family as family_of
from ups_core.errors import DataInvalid
from ups_core.steps.context import StepContext


def run(ctx: StepContext) -> dict[str, Any]:
    """Publishes one canonical file for each raw file, ``index.json`` and ``states.json``."""
    family = family_of(ctx.recipe["family"])
    options = ConvertOptions.from_recipe(ctx.recipe.get("convert", {}))
    files = dict(sorted(_raw_files(ctx)))
    _check_names(files, options)
    index, states = [], {}
    for number, (source, path) in enumerate(files.items()):

        def progress(done: int, total: int, number: int = number, source: str = source) -> None:
            ctx.progress(round(100 * (number + done / max(total, 1)) / len(files)), 100, source)

        entry, hashes = convert_file(path, source, family, options, ctx.out, progress)
        index.append(entry)
        states[entry["name"]] = hashes
    write_json(ctx.out / "index.json", {"family": family.name, "format": options.format, "files": index})
    write_json(ctx.out / "states.json", states)
    return {"files": len(index), "samples": sum(entry["samples"] for entry in index)}


def _raw_files(ctx: StepContext) -> Iterator[tuple[str, Path]]:
    """Name and path of every raw file of every input, one ``raw`` or the shards ``raw-0``, ``raw-1``, ..."""
    for published in ctx.inputs.values():
        folder = published.folder(ctx.work)
        yield from ((name, folder / name) for name in published.manifest.files)


def _check_names(files: dict[str, Path], options: ConvertOptions) -> None:
    sources: dict[str, str] = {}
    for source in files:
        name = output_name(source, options.format)
        if name in sources:
            raise DataInvalid(
                "two raw files differ in their suffix alone",
                where=name,
                found=f"{sources[name]}, {source}",
                expected="one stem a file",
                fix="set spec.source.pattern so that it matches one of them",
            )
        sources[name] = source
