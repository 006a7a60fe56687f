"""A surrogate in other formats: what ``ups export`` runs in a process of its own."""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from ups_core.errors import UpsError
from ups_core.models.codec import Codec
from ups_core.output import check_file, check_folder, whole_file, writing
from ups_core.store import open_uri
from ups_core.surrogate import Surrogate


class Program(nn.Module):
    """One application of a surrogate in physical units, as a plain module.

    Transient: the state (B, C, X[, Y]) to the next. Steady: input to solution, without averaging over
    symmetries. Where physical parameters varied in training, the second argument gives them, (B, P),
    in the order of ``problem.varying`` and in their own units.
    """

    def __init__(self, surrogate: Surrogate) -> None:
        super().__init__()
        model = surrogate.operator
        self.network, self.normaliser = model.network, model.normaliser
        self.varying = len(model.problem.varying)
        self.steady = model.problem.steady
        self.codec = surrogate.codec.network if surrogate.codec else None
        self.outer = surrogate.codec.normaliser if surrogate.codec else None

    def forward(self, u: Tensor, parameters: Tensor | None = None) -> Tensor:
        p = self._scaled(u, parameters)  # (B, P)
        if self.codec is None or self.outer is None:
            given = self.normaliser.inputs if self.steady else self.normaliser.fields
            return self.normaliser.fields.invert(self.network(given.apply(u), p))  # (B, C, X[, Y])
        assert isinstance(self.codec, Codec)
        z = self.normaliser.fields.apply(self.codec.encode(self.outer.fields.apply(u)))  # (B, Z, X'[, Y'])
        z = self.normaliser.fields.invert(self.network(z, p))  # (B, Z, X'[, Y'])
        return self.outer.fields.invert(self.codec.decode(z))  # (B, C, X[, Y])

    def _scaled(self, u: Tensor, parameters: Tensor | None) -> Tensor:
        if parameters is None:
            return u.new_zeros(u.shape[0], 0)
        logarithmic = torch.tensor(self.normaliser.logarithmic)  # (P,)
        values = torch.where(logarithmic, parameters.abs().log(), parameters)  # (B, P)
        return self.normaliser.parameters.apply(values)


def export(surrogate: Surrogate, to: Path) -> None:
    """Write a program of ``torch.export`` (.pt2) with a free batch size."""
    program = Program(surrogate).cpu().eval().requires_grad_(False)
    problem = surrogate.problem
    channels = len(problem.inputs if problem.steady else problem.fields)
    example = [torch.ones(2, channels, *problem.shape)]
    batch = torch.export.Dim("batch", min=1)
    if program.varying:
        example.append(torch.ones(2, program.varying))
    exported = torch.export.export(
        program, tuple(example), dynamic_shapes=tuple({0: batch} for _ in example), strict=False
    )
    program_bytes = io.BytesIO()
    torch.export.save(exported, program_bytes)
    with whole_file(to, "--to") as part:
        part.write_bytes(program_bytes.getbuffer())


def main() -> None:
    parser = argparse.ArgumentParser(prog="ups export")
    parser.add_argument("model")
    parser.add_argument("to", type=Path)
    parser.add_argument("--format", choices=["safetensors", "torch-export"], required=True)
    args = parser.parse_args()
    try:
        write(args.model, args.to, args.format)
    except UpsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    print(f"wrote {args.to}", file=sys.stderr)  # noqa: T201


def write(model: str, to: Path, format_: Literal["safetensors", "torch-export"]) -> None:
    """Export the published model at ``model`` (``STORE/objects/train/<key>``)."""
    if format_ == "torch-export":
        check_file(to, "--to")
        export(Surrogate.load(model), to)
        return
    check_folder(to, "--to")
    published = open_uri(model)
    with tempfile.TemporaryDirectory() as work, writing(to, "--to"):
        folder = published.folder(Path(work))
        to.mkdir(parents=True, exist_ok=True)
        for name in published.manifest.files:
            (to / name).write_bytes((folder / name).read_bytes())


if __name__ == "__main__":
    main()
