"""Exported programs predict what the surrogate predicts, at any batch size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ups_core import export
from ups_core.errors import InvalidSpec
from ups_core.models.problem import Problem
from ups_core.steps import encode, train
from ups_core.surrogate import Surrogate

SMALL = {
    "conv": {"name": "conv", "width": 4, "dilations": [1, 2]},
    "gconv": {"name": "gconv", "width": 4, "dilations": [1], "characteristics": True},
    "unet": {"name": "unet", "width": 16, "levels": 2},
    "fno": {"name": "fno", "width": 4, "modes": 3, "layers": 1},
    "homogenised": {"name": "homogenised", "width": 4, "layers": 1},
}
TIGHT = 1e-5


@pytest.fixture
def trained(context, line_cache: Path, square_cache: Path):
    """``trained(architecture, steady=..., varying=...)``; ``coded``: by way of a codec."""

    def make(
        architecture: str,
        *,
        steady: bool,
        varying: bool,
        leads: tuple[int, ...] = (1,),
        coded: bool = False,
    ) -> Surrogate:
        cache = square_cache if steady else line_cache
        for split in ("train", "val") if varying else ():
            samples = len(np.load(cache / split / "parameters.npy"))
            np.save(cache / split / "parameters.npy", np.geomspace(0.01, 1, samples)[:, None])
        limits, handed = {"batchSize": 8, "steps": 2, "validations": 1}, {}
        if coded:
            config = {"downsample": 2, "width": 4, "target": 10.0, **limits}
            codec = context(config, stage="codec", data=cache)
            train.run(codec)
            codes = context({}, step="encode", data=cache, model=codec.out)
            encode.run(codes)
            handed = {"model": codec.out, "latents": codes.out}
        config = {"architecture": SMALL[architecture], **limits, "leads": list(leads)}
        ctx = context(config, key="5" * 64, data=cache, **handed)
        train.run(ctx)
        return Surrogate.load(ctx.out)

    return make


def given(problem: Problem, samples: int) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """Arguments of the exported program, and the parameters of the surrogate."""
    rng = np.random.default_rng(samples)
    u = rng.normal(size=(samples, 1, *problem.shape)).astype(np.float32)
    if not problem.varying:
        return [u], {}
    values = rng.uniform(0.02, 0.9, samples)
    return [u, values[:, None].astype(np.float32)], {problem.varying[0]: values}


def expected(surrogate: Surrogate, u: np.ndarray, parameters: dict[str, np.ndarray]) -> np.ndarray:
    if surrogate.problem.steady:
        return surrogate.solve(u, parameters)
    return surrogate.rollout(u, 1, parameters)[:, 0]


@pytest.mark.parametrize("varying", [False, True], ids=["fixed", "varying"])
@pytest.mark.parametrize("steady", [False, True], ids=["transient", "steady"])
@pytest.mark.parametrize("architecture", ["conv", "unet", "fno"])
def test_parity(trained, tmp_path: Path, architecture: str, steady: bool, varying: bool) -> None:
    import onnxruntime

    surrogate = trained(architecture, steady=steady, varying=varying)
    export.export(surrogate, tmp_path / "m.pt2", "torch-export")
    export.export(surrogate, tmp_path / "m.onnx", "onnx")
    program = torch.export.load(tmp_path / "m.pt2").module()
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    assert names == ["a" if steady else "u", "parameters"][: 1 + varying]
    assert [one.name for one in session.get_outputs()] == ["solution" if steady else "next"]
    for samples in (1, 3):
        arguments, parameters = given(surrogate.problem, samples)
        truth = expected(surrogate, arguments[0], parameters)
        traced = program(*map(torch.from_numpy, arguments)).numpy()
        (ran,) = session.run(None, dict(zip(names, arguments, strict=True)))
        np.testing.assert_allclose(traced, truth, atol=TIGHT, rtol=TIGHT)
        np.testing.assert_allclose(ran, truth, atol=TIGHT, rtol=TIGHT)
    facts = session.get_modelmeta().custom_metadata_map["model.json"]
    assert json.loads(facts) == surrogate.operator.facts


def test_a_program_goes_frame_by_frame_where_longer_steps_were_learned_too(trained, tmp_path: Path) -> None:
    def with_leads(*args, **kwargs) -> Surrogate:
        return trained(*args, **kwargs, leads=(1, 2))

    test_parity(with_leads, tmp_path, "conv", steady=False, varying=True)


def test_parity_on_codes(trained, tmp_path: Path) -> None:
    def on_codes(*args, **kwargs) -> Surrogate:
        return trained(*args, **kwargs, coded=True)

    test_parity(on_codes, tmp_path, "conv", steady=False, varying=True)


def test_parity_of_what_follows_characteristics(trained, tmp_path: Path) -> None:
    test_parity(trained, tmp_path, "gconv", steady=False, varying=False)


def test_a_solver_inside_has_no_onnx(trained, tmp_path: Path) -> None:
    surrogate = trained("homogenised", steady=True, varying=False)
    with pytest.raises(InvalidSpec, match=r"no operators for this architecture(.|\n)*found: +homogenised"):
        export.export(surrogate, tmp_path / "m.onnx", "onnx")
    assert list(tmp_path.glob("m.onnx*")) == []
    export.export(surrogate, tmp_path / "m.pt2", "torch-export")
    arguments, parameters = given(surrogate.problem, 3)
    arguments[0] = np.abs(arguments[0])
    traced = torch.export.load(tmp_path / "m.pt2").module()(*map(torch.from_numpy, arguments)).numpy()
    np.testing.assert_allclose(traced, expected(surrogate, arguments[0], parameters), atol=TIGHT, rtol=TIGHT)


def test_missing_packages_are_named(trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    surrogate = trained("conv", steady=False, varying=False)
    monkeypatch.setattr(export, "ONNX", ("onnx", "a_package_nobody_has"))
    with pytest.raises(InvalidSpec, match=r"fix: +pip install a_package_nobody_has"):
        export.export(surrogate, tmp_path / "m.onnx", "onnx")
