"""Whether data of which nobody said it are the same for an observer who moves along.

Galilean invariance is worth much (:mod:`~ups_core.models.advance`), and data alone seldom show it: no two of
their trajectories differ in their speed alone. But a network that has learned to advance states can be asked
what becomes of one to which a uniform speed is added. Where the equation is u_t + s u u_x = ... and the rest
of it knows no velocity, the next state is carried along at s times that speed: s is 1 where the field is
the velocity that carries itself, 0 where it carries nothing. Where there is no such s, the answer is no
carried state at all. So s is a coefficient of regression, and what it leaves unexplained tells whether there
is one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ups_core.api.architectures import GConvConfig
from ups_core.api.stages import OperatorConfig
from ups_core.models.device import chosen_device
from ups_core.models.problem import Problem
from ups_core.models.rollout import rollout
from ups_core.train.data import Split
from ups_core.train.group import Group
from ups_core.train.normaliser import Normaliser
from ups_core.train.optim import Optimizer
from ups_core.train.schedule import rate
from ups_core.train.tasks import Transient

#: How the network is trained that is asked: far enough to see where it carries a state, no further.
ASKED, TRAINING = GConvConfig(dilations=[1, 2, 4, 8]), OperatorConfig(steps=400)
#: Most points of a batch: on a long line it has fewer samples, and costs no more.
POINTS = 4096
#: The speed that is added, in standard deviations, if that is a cell or more; never more than ``FASTEST``.
ADDED, FASTEST = 0.25, 1.0


@dataclass(frozen=True)
class Trial:
    """What a network answers of states to which a speed was added.

    Attributes
    ----------
    speed: s, the share of the added speed at which its answers are carried along.
    rest: what of its answers that leaves unexplained, relative to one uncarried.
    """

    speed: float
    rest: float

    @property
    def found(self) -> bool:
        """Whether the field is the velocity that carries itself, as far as a network knows.

        Among equations of known s (Burgers' and half of it, Korteweg-de Vries', Kuramoto and Sivashinsky's,
        advection, heat, traffic, a cubic flux) those of s = 1 had speeds from 0.94 to 1.01 and rests to 0.2,
        all others speeds up to 0.5, after 300 to 600 steps, with a twentieth of noise or none.
        """
        return abs(self.speed - 1) <= 0.1 and self.rest <= 0.3


def unsaid(problem: Problem) -> bool:
    """Whether the invariance can be, would help, and nobody said anything of it: of one field on a line."""
    if problem.declaration is None or "galilean" in problem.declaration:
        return False
    line = problem.space == "X" and problem.periodic and not problem.mesh
    return line and problem.conserved == (True,) and not problem.linear


def trial(problem: Problem, cell: float, normaliser: Normaliser, train: Split, val: Split) -> Trial | None:
    """Train on ``train`` and ask on ``val``; ``cell`` is the speed of one cell a frame, normalised.

    None where that is too fast to be tried.
    """
    if cell > FASTEST:
        return None
    cells = max(1, round(ADDED / cell))
    network = _trained(problem, normaliser, train, val)
    states = normaliser.fields.apply(val.u[:, :-1])  # (N, T-1, 1, X)
    u = states.flatten(0, 1)  # (B, 1, X)
    p = normaliser.vary(problem, val.parameters).repeat_interleave(states.shape[1], dim=0)  # (B, P)
    still = rollout(network, u, p, 1)[:, 0]  # (B, 1, X)
    answers, carried = [], []
    for moved in (cells, -cells):
        answers.append(rollout(network, u + moved * cell, p, 1)[:, 0] - moved * cell - still)
        carried.append(still.roll(moved, -1) - still)
    answer, along = torch.stack(answers), torch.stack(carried)  # (2, B, 1, X)
    speed = (answer * along).sum() / along.square().sum()
    result = torch.stack([speed, (answer - speed * along).norm() / along.norm()]).to(chosen_device())
    Group.joined().follow_first([result])  # processes that train together must not differ
    return Trial(*result.tolist())


def _trained(problem: Problem, normaliser: Normaliser, train: Split, val: Split) -> nn.Module:
    """With random numbers of its own: what is trained afterwards has those that it would have had."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ASKED.build(problem).to(train.u.device)
    task = Transient(network, problem, normaliser, train, val, TRAINING)
    optimizer = Optimizer(
        network,
        kind=TRAINING.optimizer,
        lr=TRAINING.lr,
        muon_lr=TRAINING.muon_lr,
        weight_decay=TRAINING.weight_decay,
        clip=TRAINING.clip,
    )
    generator, steps = torch.Generator().manual_seed(0), TRAINING.steps
    assert steps is not None
    batch = max(1, min(TRAINING.batch_size, POINTS // problem.shape[0]))
    for step in range(steps):
        indices: Tensor = torch.randint(len(task), (batch,), generator=generator)  # (B,)
        task.losses(indices, generator, 0.0).mean().backward()
        optimizer.step(rate((step + 0.5) / steps, TRAINING.warmup))
    return network
