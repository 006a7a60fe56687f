"""Muon for the inner weight matrices and AdamW for the rest; or AdamW, or SOAP, for all.

Muon replaces the momentum of a weight matrix by the nearest semi-orthogonal matrix: all singular
values become (about) 1, so that rare directions of the gradient count as much as frequent ones. Five
Newton-Schulz iterations do it with products alone (Jordan et al., "Muon", 2024). It is made for inner
layers; the first and the last one, and all vectors, take AdamW (Loshchilov & Hutter, ICLR 2019).

Muon and AdamW are written out here. ``torch.optim.Muon`` refuses weights that are not two-dimensional, which
those of convolutions are not, and orthogonalises them one at a time; this one flattens a kernel
(C_out, C_in, K) to (C_out, C_in*K) and stacks equal shapes into one batched product. A weight called
``stack`` holds a matrix in each of its rows. And whatever
``torch.optim`` makes loads the compiler first, four seconds in each process that trains; SOAP, which is
made of it, is loaded where it is asked for (:mod:`~ups_core.train.soap`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from ups_core.train.soap import Soap

#: Coefficients of the quintic iteration, tuned for speed: singular values end within (0.7, 1.2).
QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalise(g: Tensor, iterations: int = 5) -> Tensor:
    """Matrices (M, rows, cols) to U V^T of their singular value decompositions, roughly."""
    a, b, c = QUINTIC
    wide = g.shape[1] <= g.shape[2]
    x = g if wide else g.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)  # spectral norm at most 1
    for _ in range(iterations):
        s = x @ x.mT  # (M, rows, rows)
        x = a * x + (b * s + c * s @ s) @ x
    return x if wide else x.mT


class Muon:
    """Nesterov momentum, orthogonalised. A step moves a matrix by lr * sqrt(max(1, rows / cols))."""

    def __init__(self, named: Mapping[str, nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        self.lr, self.momentum = lr, momentum
        alike: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
        for name, p in named.items():
            rows, columns = p.shape[1:] if is_stack(name) else (len(p), p[0].numel())
            alike[rows, columns].append(p)
        self.groups = list(alike.items())
        #: Momentum of each group of M matrices, (M, rows, cols).
        self.moments = [
            torch.zeros(
                sum(p.numel() for p in group) // (rows * columns), rows, columns, device=group[0].device
            )
            for (rows, columns), group in self.groups
        ]

    def step(self, rate: float) -> None:
        for ((rows, columns), params), m in zip(self.groups, self.moments, strict=True):
            g = torch.cat([_gradient(p).reshape(-1, rows, columns) for p in params])  # (M, rows, cols)
            m.lerp_(g, 1 - self.momentum)
            update = orthogonalise(g.lerp(m, self.momentum)) * max(1.0, rows / columns) ** 0.5
            counts = [p.numel() // (rows * columns) for p in params]
            for p, change in zip(params, update.split(counts), strict=True):
                p.add_(change.reshape(p.shape), alpha=-self.lr * rate)

    def state(self) -> dict[str, Tensor]:
        return {str(i): m for i, m in enumerate(self.moments)}

    def load_state(self, tensors: Mapping[str, Tensor], steps: int) -> None:
        for name, value in self.state().items():
            value.copy_(tensors[name])


class AdamW:
    """Adam with decoupled weight decay, on all its parameters as one vector of P numbers."""

    def __init__(
        self,
        params: list[nn.Parameter],
        lr: float,
        weight_decay: float,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        self.params, self.lr, self.weight_decay, self.betas, self.epsilon = (
            params,
            lr,
            weight_decay,
            betas,
            epsilon,
        )
        self.sizes = [p.numel() for p in params]
        #: First and second moments, each (P,).
        self.moments = [torch.zeros(sum(self.sizes), device=params[0].device) for _ in range(2)]
        self.steps = 0

    def step(self, rate: float) -> None:
        self.steps += 1
        lr, (first, second), (beta1, beta2) = self.lr * rate, self.moments, self.betas
        g = torch.cat([_gradient(p).flatten() for p in self.params])  # (P,)
        first.lerp_(g, 1 - beta1)
        second.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        scale = (second / (1 - beta2**self.steps)).sqrt_().add_(self.epsilon)
        update = first / scale / (1 - beta1**self.steps)  # (P,)
        for p, change in zip(self.params, update.split(self.sizes), strict=True):
            if self.weight_decay:
                p.mul_(1 - lr * self.weight_decay)
            p.add_(change.view_as(p), alpha=-lr)

    def state(self) -> dict[str, Tensor]:
        return {str(i): m for i, m in enumerate(self.moments)}

    def load_state(self, tensors: Mapping[str, Tensor], steps: int) -> None:
        for name, value in self.state().items():
            value.copy_(tensors[name])
        self.steps = steps


def _gradient(p: nn.Parameter) -> Tensor:
    assert p.grad is not None
    return p.grad


def is_stack(name: str) -> bool:
    """Whether the weight of this name is a matrix in each of its rows, (M, rows, cols)."""
    return name.rpartition(".")[2] == "stack"


def inner_matrices(model: nn.Module) -> set[str]:
    """Names of the weights that Muon takes: all but vectors and the layers ``lift`` and ``head``."""
    edges = {"lift", "head"}
    return {name for name, p in model.named_parameters() if p.ndim > 1 and not edges & set(name.split("."))}


class Optimizer:
    """All optimizers of one model, driven and saved as one."""

    def __init__(
        self,
        model: nn.Module,
        *,
        kind: Literal["muon", "soap", "adamw"],
        lr: float,
        muon_lr: float,
        weight_decay: float,
        clip: float,
    ) -> None:
        named = dict(model.named_parameters())
        self.params, self.clip, self.steps = list(named.values()), clip, 0
        #: Each with some of the weights, by the name that its moments have in a checkpoint.
        self.parts: dict[str, AdamW | Muon | Soap]
        if kind == "soap":
            self.parts = {"soap": Soap(named, lr, weight_decay)}
        elif kind == "adamw":
            self.parts = {"adamw": AdamW(self.params, lr, weight_decay)}
        else:
            names = inner_matrices(model)
            inner = {name: p for name, p in named.items() if name in names}
            rest = [p for name, p in named.items() if name not in inner]
            self.parts = {"adamw": AdamW(rest, lr, weight_decay), "muon": Muon(inner, muon_lr)}

    @torch.no_grad()
    def step(self, rate: float) -> float:
        """One step at ``rate`` times the peak learning rates; returns the norm of the gradient.

        Gradients longer than ``clip`` are scaled down to it. None is taken whose norm is not finite.
        """
        norm = nn.utils.clip_grad_norm_(self.params, self.clip, foreach=True)
        if torch.isfinite(norm):
            self.steps += 1
            for part in self.parts.values():
                part.step(rate)
        self.forget_gradient()
        return float(norm)

    def forget_gradient(self) -> None:
        for p in self.params:
            p.grad = None

    def state(self) -> dict[str, Tensor]:
        """All moments, and the count of steps that they are corrected by."""
        moments = {f"{name}.{k}": m for name, part in self.parts.items() for k, m in part.state().items()}
        return {**moments, "steps": torch.tensor(self.steps)}

    @torch.no_grad()
    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from what :meth:`state` gave."""
        self.steps = int(tensors["steps"])
        for name, part in self.parts.items():
            own = {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
            part.load_state(own, self.steps)
