"""The Fourier multiplier: linear, commuting with shifts, and every such map."""

from __future__ import annotations

import pytest
import torch

from ups_core.api.architectures import MultiplierConfig
from ups_core.errors import InvalidSpec
from ups_core.models.rollout import rollout

CONFIG = MultiplierConfig()
NONE = torch.zeros(2, 0).double()


def test_a_shift_by_a_fraction_of_a_cell_is_found(line):
    """The minimum of a convex loss is the phase of each mode, known in closed form."""
    problem = line(linear=True, shape=(12,))
    model = CONFIG.build(problem).double()
    torch.manual_seed(0)
    k = torch.arange(7)
    z = torch.randn(50, 1, 7, dtype=torch.complex128)
    z[..., [0, -1]] = 0  # an even grid cannot tell where its highest mode moves
    u, moved = torch.fft.irfft(z, n=12), torch.fft.irfft(z * torch.exp(-2j * torch.pi * k * 0.37 / 12), n=12)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = (model(u, torch.zeros(50, 0)) - moved).square().mean()
        value.backward()
        return value

    optimizer.step(loss)
    torch.testing.assert_close(model(u, torch.zeros(50, 0)), moved, atol=1e-4, rtol=0)


@pytest.mark.parametrize("fields", [1, 2])
def test_linear_and_equivariant_whatever_the_weights(torus, fields):
    names = tuple("uv"[:fields])
    problem = torus(linear=True, fields=names, inputs=names, conserved=(True, False)[:fields])
    model = CONFIG.build(problem).double()
    torch.nn.init.normal_(model.head)
    u, v = torch.randn(2, 2, fields, *problem.shape, dtype=torch.float64)
    torch.testing.assert_close(model(2 * u - 3 * v, NONE), 2 * model(u, NONE) - 3 * model(v, NONE))
    torch.testing.assert_close(model(u.roll((3, 1), (2, 3)), NONE), model(u, NONE).roll((3, 1), (2, 3)))
    means = model(u, NONE).mean((2, 3)), u.mean((2, 3))
    torch.testing.assert_close(means[0][:, 0], means[1][:, 0])  # conserved
    assert fields == 1 or not torch.allclose(means[0][:, 1], means[1][:, 1])


def test_parameters_that_vary_change_the_numbers(line):
    model = CONFIG.build(line(linear=True, varying=("nu",)))
    u, p = torch.randn(2, 1, 16), torch.tensor([[-1.0], [1.0]])
    both = model(u, p)
    for one in range(2):  # each sample by its own parameter
        torch.testing.assert_close(both[one : one + 1], model(u[one : one + 1], p[one : one + 1]))
    assert not torch.allclose(model(u, p.flip(0)), both)


def test_a_rollout_stays_in_the_range_of_its_initial_state(line):
    for bounded in (True, False):
        model = MultiplierConfig(bounded=bounded).build(line(linear=True, bounded=(True,)))
        torch.nn.init.constant_(model.head, 0.5)
        u = torch.randn(2, 1, 16)
        after = rollout(model, u, torch.zeros(2, 0), 30)
        assert bool(after.abs().max() < 2 * u.abs().max()) is bounded


def test_other_equations_are_refused(line):
    with pytest.raises(InvalidSpec, match=r"linear equations(.|\n)*found: +multiplier, for the family line"):
        CONFIG.build(line())
