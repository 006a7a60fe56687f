"""How a network is executed: chosen by what was measured, and nothing is left behind by the measuring."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ups_core.train.execution import Seconds, eager, fastest, measure, precision, use

EAGER = Seconds(0.1, 0.010)


@pytest.mark.parametrize(
    ("others", "steps", "expected"),
    [
        ({}, 1000, "eager"),
        ({"bf16": Seconds(0.1, 0.0085)}, 1000, "eager"),  # a fifth is asked for
        ({"bf16": Seconds(0.1, 0.005)}, 1000, "bf16"),
        ({"compile": Seconds(30.0, 0.004)}, 1000, "eager"),  # ends before it has paid for its compilation
        ({"compile": Seconds(30.0, 0.004)}, 100_000, "compile"),
        ({"bf16": Seconds(0.1, 0.006), "bf16+compile": Seconds(40.0, 0.004)}, 5_000, "bf16"),
        ({"bf16": Seconds(0.1, 0.006), "bf16+compile": Seconds(40.0, 0.004)}, 50_000, "bf16+compile"),
    ],
)
def test_fastest(others, steps, expected):
    assert fastest({"eager": EAGER, **others}, steps) == expected


def test_measuring_times_each_way_and_passes_over_what_cannot_run(monkeypatch):
    model, seen = nn.Linear(4, 4), []
    monkeypatch.setattr(model, "compile", lambda: None)  # loads the compiler

    def once(way):
        if "compile" in way:
            raise RuntimeError("no compiler")
        with precision(torch.device("cpu"), way):
            seen.append((way, model(torch.ones(1, 4)).dtype))

    measured = measure(model, torch.device("cpu"), once)
    assert set(measured) == {"eager", "bf16"}
    assert all(seconds.step > 0 for seconds in measured.values())
    assert set(seen) == {("eager", torch.float32), ("bf16", torch.bfloat16)}


def test_what_fails_as_written_is_an_error():
    def once(way):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        measure(nn.Linear(1, 1), torch.device("cpu"), once)


def test_validation_runs_as_written(monkeypatch):
    model = nn.Linear(2, 2)
    monkeypatch.setattr(model, "compile", lambda: setattr(model, "_compiled_call_impl", lambda x: "compiled"))
    use(model, "compile")
    with eager(model):
        assert model(torch.ones(1, 2)).shape == (1, 2)
    assert model(torch.ones(1, 2)) == "compiled"
    use(model, None)
    assert model(torch.ones(1, 2)).shape == (1, 2)
