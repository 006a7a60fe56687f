"""Whether data of which nobody said it are the same for an observer who moves along.

Galilean invariance is worth much (:mod:`~ups_core.models.advance`), and data alone seldom show it: no two of
their trajectories differ in their speed alone. But a network that has learned to advance states can be asked
what becomes of one to which a uniform speed is added. Where the equation is u_t + s u u_x = ... and the rest
of it knows no velocity, the next state is carried along at s times that speed: s is 1 where the field is
the velocity that carries itself, 0 where it carries nothing. Where there is no such s, the answer is no
carried state at all. So s is a coefficient of regression, and what it leaves unexplained tells whether there
is one. If it is 1, as far as that tells, a second network learns from the same samples as a moving observer
sees them, and must be no worse on the validation split: an s of 0.95 shows there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ups_core.api.architectures import GConvConfig
from ups_core.api.stages import OperatorConfig
from ups_core.models.device import chosen_device
from ups_core.models.problem import Problem, boosted
from ups_core.models.rollout import rollout
from ups_core.train.data import Split
from ups_core.train.group import Group
from ups_core.train.normaliser import Normaliser
from ups_core.train.optim import Optimizer
from ups_core.train.schedule import rate
from ups_core.train.tasks import Transient

#: What seeing states move may do to the error: it falls where s is 1, stays where it is noise of the data,
#: and rises far where s is nearly 1.
NO_WORSE = 1.1
#: How the networks are trained: far enough to see where they carry a state, no further.
TRAINING = OperatorConfig(steps=400)
#: Most points of a batch: on a long line it has fewer samples, and costs no more. Most states that are asked.
POINTS, STATES = 4096, 256
#: The speed that is added, in standard deviations, if that is a cell a frame or more; the fastest that is
#: added, and the fastest that a network has to be able to follow, if it need not see more cells than so many.
ADDED, FASTEST, FOLLOWED, FARTHEST = 0.25, 1.0, 3.0, 256


@dataclass(frozen=True)
class Trial:
    """What networks say of the invariance.

    Attributes
    ----------
    speed: s, the share of an added speed at which answers are carried along.
    rest: what of the answers that leaves unexplained, relative to one uncarried.
    error: of a frame, the median over validation states, in standard deviations of the field.
    moving: the same of a network that is a moving observer; None where none was trained.
    """

    speed: float
    rest: float
    error: float
    moving: float | None

    @property
    def found(self) -> bool:
        """Whether the field is the velocity that carries itself, as far as networks know."""
        return self.moving is not None and self.moving <= NO_WORSE * self.error


def alike(speed: float, rest: float) -> bool:
    """Whether answers are those of a field that carries itself, as far as they tell s."""
    return abs(speed - 1) <= 0.1 and rest <= 0.3


def unsaid(problem: Problem) -> bool:
    """Whether the invariance can be, would help, and nobody said anything of it: of one field on a line."""
    if problem.declaration is None or "galilean" in problem.declaration:
        return False
    line = problem.space == "X" and problem.periodic and not problem.scattered
    return line and problem.conserved == (True,) and not problem.linear


def trial(problem: Problem, normaliser: Normaliser, train: Split, val: Split) -> Trial | None:
    """Train on ``train`` and ask on ``val``. None where one cell a frame is too fast to be added."""
    moving = boosted(problem, normaliser.fields.scale[0])
    cell = moving.boost  # the speed of one cell a frame, normalised
    assert cell is not None
    if cell > FASTEST:
        return None
    cells = max(1, round(ADDED / cell))
    u, after, p = _states(problem, normaliser, val)
    architecture = GConvConfig(dilations=dilations(min(FOLLOWED / cell, problem.shape[0] / 2)))
    network = _trained(architecture, problem, normaliser, train, val)
    still = rollout(network, u, p, 1)[:, 0]  # (B, 1, X)
    answers, carried = [], []
    for moved in (cells, -cells):
        answers.append(rollout(network, u + moved * cell, p, 1)[:, 0] - moved * cell - still)
        carried.append(still.roll(moved, -1) - still)
    answer, along = torch.stack(answers), torch.stack(carried)  # (2, B, 1, X)
    speed = (answer * along).sum() / along.square().sum()
    rest = (answer - speed * along).norm() / along.norm()
    said = torch.stack([speed, rest, _typical(still - after)]).to(chosen_device())
    Group.joined().follow_first([said])  # processes that train together must not differ
    if not alike(*said.tolist()[:2]):
        return Trial(*said.tolist(), moving=None)
    network = _trained(architecture, moving, normaliser, train, val)
    seen = _typical(rollout(network, u, p, 1)[:, 0] - after).to(chosen_device())
    Group.joined().follow_first([seen])
    return Trial(*said.tolist(), moving=float(seen))


def _typical(error: Tensor) -> Tensor:
    """The median over states (B, 1, X) of the root mean square of each: a few have most of the error."""
    return error.square().mean((1, 2)).sqrt().median()


def _states(problem: Problem, normaliser: Normaliser, val: Split) -> tuple[Tensor, Tensor, Tensor]:
    """Some states of the split, evenly chosen, and those a frame later, (B, 1, X); parameters (B, P)."""
    frames = val.u.shape[1] - 1
    chosen = torch.arange(0, len(val) * frames, -(-len(val) * frames // STATES))  # (B,)
    sample, frame = chosen // frames, chosen % frames
    u, after = (normaliser.fields.apply(val.u[sample, frame + later]) for later in (0, 1))
    return u, after, normaliser.vary(problem, val.parameters)[sample]


def _trained(
    architecture: GConvConfig, problem: Problem, normaliser: Normaliser, train: Split, val: Split
) -> nn.Module:
    """With random numbers of its own: what is trained afterwards has those that it would have had."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = architecture.build(problem).to(chosen_device())
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


def dilations(cells: float) -> list[int]:
    """Of a network that sees so many cells to each side, or :data:`FARTHEST`.

    >>> dilations(20), dilations(40), dilations(1000)
    ([1, 2, 4, 8], [1, 2, 4, 8, 16], [1, 2, 4, 8, 16, 32, 64])
    """
    found = [1, 2, 4, 8]
    while 2 * (1 + sum(found)) < min(cells, FARTHEST):  # two cells for a dilation of one
        found.append(2 * found[-1])
    return found
