"""``encode``: turns the cached dataset into codes, once, so that the operator trains on those alone.

Reads the cached dataset (role ``data``) and the trained codec (``model``). Where that was dropped, the
object holds its verdict alone, and later stages train on the fields. Else it has the layout of the cache
itself, of the splits ``train`` and ``val``: ``<split>/u.npy`` (N, T, C, X'[, Y']), parameters, coordinates,
``dataset.json``, and a ``normaliser.json`` of the codes of the training split. Where a shifted sample is a
sample, patches may begin at any of their points: ``train`` has that many ``copies`` of all its samples, one
behind the other, and is as large as that of the fields.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ups_core.data.cache import normaliser
from ups_core.data.canonical import read_json, write_json
from ups_core.data.families import family as family_of
from ups_core.steps.context import StepContext
from ups_core.store import sha256_file
from ups_core.train import published
from ups_core.train.coding import codec_of, encode
from ups_core.train.published import Model

#: Samples that are encoded at once.
BATCH = 16


def run(ctx: StepContext) -> dict[str, Any]:
    trained = ctx.inputs["model"].folder(ctx.work)
    if published.verdicts(trained)[-1]["decision"] == "dropped":
        shutil.copyfile(trained / published.VERDICTS, ctx.out / published.VERDICTS)
        return {"dropped": True}
    codec = published.read(trained, published.NAMES["codec"])
    data = ctx.inputs["data"].folder(ctx.work)
    dataset = read_json(data / "dataset.json")
    family, space = family_of(dataset["family"]), dataset["space"]
    patch, shifts = codec_of(codec).patch, codec.problem.shifts
    starts = list(itertools.product(*(range(patch if axis in shifts else 1) for axis in space)))
    dataset["splits"] = {name: dataset["splits"][name] for name in ("train", "val")}
    for done, (name, split) in enumerate(dataset["splits"].items()):
        own = starts if name == "train" else starts[:1]
        shape = encode_split(codec, data / name, ctx.out / name, space, own)
        split |= {"shape": shape, "samples": split["samples"] * len(own), "copies": len(own)}
        ctx.progress(done + 1, 2, f"encoded {name}")
    write_json(ctx.out / "normaliser.json", normaliser(ctx.out / "train", family))
    dataset["latent"] = {"wall": any(codec.problem.wall)}
    dataset["normaliser_sha256"] = sha256_file(ctx.out / "normaliser.json")
    write_json(ctx.out / "dataset.json", dataset)
    return {"shape": dataset["splits"]["train"]["shape"]}


def encode_split(
    codec: Model, source: Path, target: Path, space: str, starts: Sequence[tuple[int, ...]]
) -> list[int]:
    """Encode one split, once with patches that begin at each of ``starts``; the shape of a coded sample.

    Coordinates become the means over each patch.
    """
    target.mkdir(parents=True)
    u = np.load(source / "u.npy", mmap_mode="r")  # (N, T, C, X[, Y])
    n, axes = len(u), tuple(range(3, u.ndim))
    patch = codec_of(codec).patch
    shape = (n * len(starts), *u.shape[1:3], *(points // patch for points in u.shape[3:]))
    codes = np.lib.format.open_memmap(target / "u.npy", "w+", np.float32, shape)
    for row in range(0, n, BATCH):
        frames = np.array(u[row : row + BATCH], dtype=np.float32)  # (B, T, C, X[, Y])
        for number, start in enumerate(starts):
            shifted = np.roll(frames, [-points for points in start], axes)
            z = encode(codec, shifted.reshape(-1, *frames.shape[2:]))  # (B*T, C, X'[, Y'])
            first = number * n + row
            codes[first : first + len(frames)] = z.reshape(len(frames), *shape[1:])
    codes.flush()
    shutil.copyfile(source / "t.npy", target / "t.npy")
    np.save(target / "parameters.npy", np.tile(np.load(source / "parameters.npy"), (len(starts), 1)))
    for axis, points in zip(space.lower(), codes.shape[3:], strict=True):
        np.save(target / f"{axis}.npy", np.load(source / f"{axis}.npy").reshape(points, -1).mean(axis=1))
    return list(codes.shape[1:])
