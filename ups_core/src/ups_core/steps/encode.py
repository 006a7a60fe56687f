"""``encode``: turns the cached dataset into codes, once, so that the operator trains on those alone.

Reads the cached dataset (role ``data``) and the trained codec (``model``). Where that was dropped, the
object holds its verdict alone, and later stages train on the fields. Else it has the layout of the cache
itself: ``<split>/u.npy`` (N, T, Z, X'[, Y']), parameters and coordinates, ``dataset.json``, and a
``normaliser.json`` of the codes of the training split.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from ups_core.steps.context import StepContext
from ups_core.train import published
from ups_core.train.coding import encode
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
    dataset = json.loads((data / "dataset.json").read_text())
    splits = list(dataset["splits"])
    for done, split in enumerate(splits):
        encode_split(codec, data / split, ctx.out / split, dataset["space"])
        ctx.progress(done + 1, len(splits), f"encoded {split}")
    codes = np.load(ctx.out / "train" / "u.npy", mmap_mode="r")  # (N, T, Z, X'[, Y'])
    names = [f"z{i}" for i in range(codes.shape[2])]
    statistics = {
        name: {"mean": float(code.mean(dtype=np.float64)), "std": float(code.std(dtype=np.float64))}
        for name, code in zip(names, np.moveaxis(codes, 2, 0), strict=True)
    }
    normaliser = _json({"fields": statistics, "inputs": {}, "split": "train"})
    (ctx.out / "normaliser.json").write_bytes(normaliser)
    for name, split in dataset["splits"].items():
        split["shape"] = list(np.load(ctx.out / name / "u.npy", mmap_mode="r").shape[1:])
    dataset["fields"] = [{"name": name, "unit": "1", "label": name} for name in names]
    dataset["latent"] = True
    dataset["normaliser_sha256"] = hashlib.sha256(normaliser).hexdigest()
    (ctx.out / "dataset.json").write_bytes(_json(dataset))
    return {"shape": list(codes.shape[1:])}


def encode_split(codec: Model, source: Path, target: Path, space: str) -> None:
    """Encode one split, batch by batch; coordinates become the means over each patch."""
    target.mkdir(parents=True)
    u = np.load(source / "u.npy", mmap_mode="r")  # (N, T, C, X[, Y])
    n, t = u.shape[:2]
    codes: np.ndarray | None = None
    for start in range(0, n, BATCH):
        frames = np.array(u[start : start + BATCH], dtype=np.float32)  # (B, T, C, X[, Y])
        z = encode(codec, frames.reshape(-1, *frames.shape[2:]))  # (B*T, Z, X'[, Y'])
        if codes is None:
            shape = (n, t, *z.shape[1:])
            codes = np.lib.format.open_memmap(target / "u.npy", mode="w+", dtype=np.float32, shape=shape)
        codes[start : start + len(frames)] = z.reshape(len(frames), t, *z.shape[1:])
    assert codes is not None
    codes.flush()
    for name in ("parameters", "t"):
        shutil.copyfile(source / f"{name}.npy", target / f"{name}.npy")
    for axis, points in zip(space.lower(), codes.shape[3:], strict=True):
        np.save(target / f"{axis}.npy", np.load(source / f"{axis}.npy").reshape(points, -1).mean(axis=1))


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()
