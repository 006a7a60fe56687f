"""The converter against the least that any converter must do: read the bytes with h5py and write them.

Both work on the same raw file, in turn, in one process. Nothing is flushed to the disk by force, by neither.
Memory is measured in a fresh process a file size, which `python -m bench.convert RAW OUT` is.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import h5py
import numpy as np

from bench.processes import python
from bench.rows import Bound, Line, Row
from ups_core.data.convert import ConvertOptions, convert_file
from ups_core.data.families import family

SAMPLE = (201, 1024)  # frames and points of a PDEBench trajectory, float32
BLOCK = 64 * 2**20
REPEATS = 5


def measure(scratch: Path) -> Iterator[Line]:
    large, small = write_raw(scratch / "large.hdf5", 2**30), write_raw(scratch / "small.hdf5", 2**27)
    ours, plain, out = [], [], scratch / "out"
    for _ in range(REPEATS):
        plain.append(seconds(lambda: copy(large, scratch / "copy.bin")))
        (scratch / "copy.bin").unlink()
        ours.append(seconds(lambda: convert(large, out)))
        (out / "large.h5").unlink()
    rate, peer = (2**30 / median(times) / 1e6 for times in (ours, plain))
    detail = {"peer": "h5py read and raw write of the same bytes", "repeats": REPEATS}
    detail |= {"slowest": 2**30 / max(ours) / 1e6, "peer_slowest": 2**30 / max(plain) / 1e6}
    yield Line("convert.throughput", rate, "MB/s", peer, Bound(0.5, "ratio", ">="), detail)
    peak = {path: float(python("-m", "bench.convert", str(path), str(out)).out) for path in (small, large)}
    for path in scratch.rglob("*.h*5"):
        path.unlink()
    detail = {"size": "1 GiB", "peer": "the same of a file of 128 MiB"}
    yield Line("convert.peak_memory", peak[large], "MB", peak[small], Bound(1.1, "ratio"), detail)


def write_raw(path: Path, size: int) -> Path:
    """A raw file of the PDEBench layout with ``size`` bytes of noise, stored plainly."""
    samples = size // (4 * SAMPLE[0] * SAMPLE[1])
    generator = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs["Nu"] = 0.01
        file["x-coordinate"] = np.arange(SAMPLE[1]) / SAMPLE[1]
        file["t-coordinate"] = np.linspace(0, 2, SAMPLE[0])
        tensor = file.create_dataset("tensor", (samples, *SAMPLE), np.float32)
        for i in range(samples):
            tensor[i] = generator.standard_normal(SAMPLE, np.float32)
    return path


def copy(source: Path, target: Path) -> None:
    with h5py.File(source) as file, target.open("wb") as out:
        tensor = file["tensor"]
        assert isinstance(tensor, h5py.Dataset)
        rows = BLOCK // (4 * SAMPLE[0] * SAMPLE[1])
        block = np.empty((rows, *SAMPLE), np.float32)
        for start in range(0, len(tensor), rows):
            count = min(rows, len(tensor) - start)
            tensor.read_direct(block, np.s_[start : start + count], np.s_[:count])
            out.write(block[:count].data)


def convert(source: Path, out: Path) -> None:
    convert_file(source, source.name, family("burgers1d"), ConvertOptions(), out, lambda done, total: None)


def seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peak_megabytes() -> float:
    """Most resident memory that this process ever had. getrusage would count the parent's before the exec."""
    status = Path(f"/proc/{os.getpid()}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


ROW = Row("convert", "The converter on 1 GiB of plain HDF5", measure)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
    print(peak_megabytes())
