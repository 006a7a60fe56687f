"""Is a latent state worth it here? Codec and operator on codes against the operator on the fields themselves.

Both sides get the same CPU seconds in all; the latent side spends a third of them on its codec.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.processes import train
from bench.rows import Line, Row

FILE = "examples/quickstart.yaml"
SECONDS = 150


def measure(scratch: Path) -> Iterator[Line]:
    operator = "{{name: operator, config: {{architecture: default, cpuBudgetSeconds: {}}}}}"
    # Whatever it loses: here that is what is measured.
    codec = f"{{name: codec, config: {{cpuBudgetSeconds: {SECONDS // 3}, target: 10}}}}"
    full = train(FILE, scratch / "store", f"spec.stages=[{operator.format(SECONDS)}]")
    stages = f"[{codec}, {operator.format(SECONDS - SECONDS // 3)}]"
    latent = train(FILE, scratch / "latent", f"spec.stages={stages}")
    coded = latent.result("train-codec")["metrics"]["train.val.reconstruction.nrmse"]
    detail = {"peer": "full resolution", "reconstruction.nrmse": coded, "cpu_seconds": SECONDS}
    errors = (run.metrics["rollout.nrmse"] for run in (latent, full))
    yield Line("codec.rollout.nrmse", next(errors), "nRMSE", next(errors), detail=detail)
    rates = (run.frames_per_cpu_second() for run in (latent, full))
    yield Line(
        "codec.inference", next(rates), "frames/CPU-s", next(rates), detail={"peer": "full resolution"}
    )


ROW = Row(
    "codec", f"Latent path against full resolution, {SECONDS} CPU seconds each in all", measure, (FILE,)
)
