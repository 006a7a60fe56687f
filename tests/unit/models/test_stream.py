from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ups_core.api.architectures import ARCHITECTURES
from ups_core.data.families import FAMILIES
from ups_core.models.stream import PERIODS, Stream
from ups_core.models.symmetry import apply, group


@pytest.mark.parametrize("shape", [(16, 16), (16, 12), (15, 9)])
def test_one_wave_is_divided_by_its_wavenumber(torus, shape):
    """-Δψ = ω for ω = cos(k·x) has ψ = ω / |k|²; the box is 1 by 2."""
    problem = torus(shape=shape, spacing=(1 / shape[0], 2 / shape[1]))
    x, y = (torch.arange(n) / n for n in shape)  # in periods
    w = torch.cos(2 * torch.pi * (3 * x[:, None] - 2 * y) + 0.7)[None, None]
    square = (2 * torch.pi) ** 2 * (3**2 + (2 / 2) ** 2)
    unit = (2 * torch.pi * PERIODS / 2) ** 2
    torch.testing.assert_close(Stream(problem)(w + 5.0), w * unit / square, atol=2e-5, rtol=0)


def test_its_laplacian_is_the_vorticity(torus):
    problem = torus(shape=(32, 32), spacing=(1 / 32, 1 / 32))
    w = torch.randn(2, 1, 32, 32, dtype=torch.float64)
    k = torch.fft.fftfreq(32, 1 / 32, dtype=torch.float64)
    square = (k[:, None].square() + k.square()) * (2 * torch.pi) ** 2
    back = torch.fft.ifft2(torch.fft.fft2(Stream(problem).double()(w)) * square).real
    unit = (2 * torch.pi * PERIODS) ** 2
    torch.testing.assert_close(back / unit, w - w.mean((2, 3), keepdim=True), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["conv", "gconv", "unet", "fno"])
def test_networks_see_the_flow_where_the_family_has_one(torus, name):
    flow = torus(fields=("w",), inputs=("w",), conserved=(True,), shape=(16, 16), vorticity="w", varying=())
    u = torch.randn(1, 1, 16, 16)
    for stream, problem in ((True, flow), (False, flow), (False, replace(flow, vorticity=None))):
        model = ARCHITECTURES[name].model_validate({"stream": stream}).build(problem)
        assert (model.stream is not None) is stream
        assert model(u, torch.zeros(1, 0)).shape == u.shape


def test_images_of_a_flow_are_images_of_its_vorticity(torus):
    problem = torus(
        fields=("w",),
        inputs=("w",),
        conserved=(True,),
        shape=(12, 12),
        symmetries=FAMILIES["navier_stokes2d"].symmetries,
    )
    w, stream = torch.randn(1, 1, 12, 12), Stream(problem)
    for element in group(problem):
        torch.testing.assert_close(stream(apply(element, w, problem)), apply(element, stream(w), problem))
