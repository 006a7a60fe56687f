from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ups_core.train.optim import AdamW, Muon, Optimizer, inner_matrices, orthogonalise


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16)])
def test_orthogonalise_is_near_the_polar_factor(shape):
    g = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    u, s, vh = torch.linalg.svd(g, full_matrices=False)
    o = orthogonalise(g, 5)
    values = torch.linalg.svdvals(o)
    assert (
        values.min() > 0.3
    )  # squares may have singular values near 0, which five iterations lift only so far
    assert values.max() < 1.3
    # The same singular vectors: U^T O V is diagonal.
    inner = u.mT @ o @ vh.mT
    off = inner - torch.diag_embed(inner.diagonal(dim1=1, dim2=2))
    assert off.abs().max() < 1e-4
    del s


def test_adamw_is_the_reference():
    torch.manual_seed(0)
    ours, theirs = (nn.Linear(5, 3) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    mine = AdamW(list(ours.parameters()), lr=0.1, weight_decay=0.2)
    reference = torch.optim.AdamW(theirs.parameters(), lr=0.1, weight_decay=0.2)
    for step in range(4):
        x = torch.randn(7, 5)
        for model in (ours, theirs):
            model.zero_grad()
            model(x).square().sum().backward()
        with torch.no_grad():
            mine.step(1.0)
        reference.step()
        torch.testing.assert_close(ours.weight, theirs.weight, msg=f"step {step}")
        torch.testing.assert_close(ours.bias, theirs.bias)


def test_muon_moves_kernels_as_matrices():
    kernel = nn.Parameter(torch.zeros(4, 3, 5))
    muon = Muon({"kernel": kernel}, lr=0.1)
    kernel.grad = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        muon.step(0.5)
    moved = torch.linalg.svdvals(kernel.detach().reshape(4, 15))
    assert ((moved > 0.3 * 0.05) & (moved < 1.3 * 0.05)).all()


def test_muon_moves_each_matrix_of_a_stack():
    stack = nn.Parameter(torch.zeros(5, 6, 3))
    muon = Muon({"blocks.0.stack": stack}, lr=0.1)
    stack.grad = torch.randn(5, 6, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        muon.step(0.5)
    moved = torch.linalg.svdvals(stack.detach()) / 2**0.5  # twice as many rows as columns
    assert ((moved > 0.3 * 0.05) & (moved < 1.3 * 0.05)).all()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lift, self.mid, self.head = nn.Linear(3, 6), nn.Linear(6, 6), nn.Linear(6, 1)

    def forward(self, x):
        return self.head(torch.tanh(self.mid(torch.tanh(self.lift(x)))))


def optimizer(model, kind="muon"):
    return Optimizer(model, kind=kind, lr=1e-2, muon_lr=1e-2, weight_decay=0.0, clip=1.0)


def test_muon_takes_inner_matrices_only():
    assert inner_matrices(Net()) == {"mid.weight"}


@pytest.mark.parametrize(
    ("kind", "after"), [("muon", 3), ("adamw", 3), ("soap", 0), ("soap", 1), ("soap", 12)]
)
def test_state_continues_to_the_bit(kind, after):
    torch.manual_seed(0)
    model, other, x = Net(), Net(), torch.randn(9, 3)
    one = optimizer(model, kind)

    def step(net, opt):
        net(x).square().mean().backward()
        opt.step(1.0)

    for _ in range(after):
        step(model, one)
    other.load_state_dict(model.state_dict())
    two = optimizer(other, kind)
    two.load_state({name: value.clone() for name, value in one.state().items()})
    for _ in range(12):  # over a change of SOAP's bases
        step(model, one)
        step(other, two)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("kind", ["muon", "soap", "adamw"])
def test_no_step_is_taken_on_a_bad_gradient(kind):
    model = Net()
    before = model.mid.weight.detach().clone()
    one = optimizer(model, kind)
    (model(torch.ones(1, 3)) * float("nan")).sum().backward()
    assert not math.isfinite(one.step(1.0))
    assert torch.equal(model.mid.weight, before)
    assert one.steps == int(one.state()["steps"]) == 0


def test_soap_turns_only_after_its_first_step_and_learns():
    torch.manual_seed(0)
    model, x = Net(), torch.randn(9, 3)
    one, before, losses = optimizer(model, "soap"), model.mid.weight.detach().clone(), []
    for step in range(120):
        loss = (model(x)[:, 0] - x.sum(1)).square().mean()
        loss.backward()
        one.step(1.0)
        losses.append(loss.item())
        assert torch.equal(model.mid.weight, before) == (step == 0)
    assert losses[-1] < losses[0] / 2
