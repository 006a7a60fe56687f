from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ups_core.api.architectures import ConvConfig

CONFIG = ConvConfig.model_validate({"width": 4, "dilations": [1, 2]})


def network(problem, config=CONFIG, seed=0):
    torch.manual_seed(seed)
    return config.build(problem).double()


def state(problem, batch=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, len(problem.fields), *problem.shape)
    return torch.randn(shape, generator=generator, dtype=torch.float64), torch.zeros(batch, 0).double()


def test_four_blocks_have_the_published_size(line):
    config = ConvConfig(dilations=[1, 2, 4, 4])
    assert sum(p.numel() for p in config.build(line()).parameters()) == 20_833


@pytest.mark.parametrize(
    ("shape", "boost", "leads", "expected"),
    [
        ((16,), None, (1,), [1, 2, 4]),
        ((128,), None, (1,), [1, 2, 4, 8]),  # 32 points to each side, a quarter
        ((128,), 1 / 4, (1,), [1, 2, 4]),  # four points a standard deviation: six
        ((1024,), 1 / 32, (1,), [1, 2, 4, 8, 16]),
        ((128,), 1 / 4, (1, 2, 4), [1, 2, 4, 8]),
        ((100_000,), None, (1,), [1, 2, 4, 8, 16, 32, 64]),
        ((512, 16), None, (1,), [1, 2, 4]),  # along the short axis a long halo would be nearly all there is
    ],
)
def test_the_default_sees_as_far_as_information_travels(line, torus, shape, boost, leads, expected):
    problem = (line if len(shape) == 1 else torus)(shape=shape, boost=boost, leads=leads)
    config = ConvConfig().fitted(problem)
    assert config.dilations == expected
    if boost:
        assert ConvConfig(galilean=False).fitted(problem).dilations == ConvConfig().blocks(line(shape=shape))
    assert config.fitted(line()) is config
    assert ConvConfig(dilations=[3]).fitted(problem).dilations == [3]


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="kernel must be odd"):
        ConvConfig.model_validate({"kernel": 4})


def test_starts_near_the_identity(line):
    u, p = state(line())
    assert (network(line())(u, p) - u).abs().max() < 0.2


def test_mean_is_kept_on_line_and_plane(line, torus):
    for problem in (line(), torus()):
        u, p = state(problem)
        after = network(problem)(u, p)
        space = tuple(range(2, u.ndim))
        assert after.shape == u.shape
        assert (after - u).abs().max() > 1e-3
        torch.testing.assert_close(after.mean(space), u.mean(space), rtol=0, atol=1e-6)


def test_without_conservation_the_mean_moves(line):
    problem = line()
    u, p = state(problem)
    after = network(problem, CONFIG.model_copy(update={"conserve": "none"}))(u, p)
    assert (after.mean(2) - u.mean(2)).abs().max() > 1e-4


def test_only_the_conserved_field_is_in_flux_form(torus):
    problem = torus(conserved=(False, True))
    u, p = state(problem)
    drift = (network(problem)(u, p) - u).mean((2, 3)).abs().amax(0)
    assert drift[1] < 1e-12 < 1e-5 < drift[0]


@settings(max_examples=10, deadline=None)
@given(shift=st.integers(-40, 40), points=st.integers(3, 20))
def test_commutes_with_shifts_on_any_periodic_grid(shift, points):
    from ups_core.models.problem import Problem

    problem = Problem(
        "p", False, "X", ("u",), ("1",), ("u",), (points,), (0.1,), ("periodic",), (False,), (True,)
    )
    u, p = state(problem)
    model = network(problem)
    torch.testing.assert_close(model(u.roll(shift, 2), p), model(u, p).roll(shift, 2))


@pytest.mark.parametrize("kind", ["dirichlet", "neumann"])
def test_walls_are_padded_not_wrapped(line, kind):
    problem = line(boundary=(kind,))
    model = network(problem, CONFIG.model_copy(update={"dilations": [1]}))
    u, p = state(problem)
    far = u.clone()
    far[..., -1] += 1.0
    assert torch.equal(model(far, p)[..., 0], model(u, p)[..., 0])


def test_varying_parameters_reach_the_network(line):
    problem = line(varying=("nu",))
    u, _ = state(problem)
    model = network(problem)
    low, high = (model(u, torch.full((3, 1), value).double()) for value in (-1.0, 1.0))
    assert (low - high).abs().max() > 1e-3
