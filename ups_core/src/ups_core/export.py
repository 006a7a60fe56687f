"""A surrogate in other formats: what ``ups export`` runs in a process of its own."""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from ups_core.errors import InvalidSpec, UpsError
from ups_core.models.advance import Solve
from ups_core.models.averages import Averaged
from ups_core.output import check_file, check_folder, whole_file, writing
from ups_core.store import open_uri
from ups_core.surrogate import Surrogate
from ups_core.train.augment import group
from ups_core.train.coding import codec_of
from ups_core.train.normaliser import Normaliser
from ups_core.train.tasks import averaged

Format = Literal["safetensors", "torch-export", "onnx"]

#: The packages that make ONNX files, of the extra ``onnx``.
ONNX = ("onnx", "onnxscript")
#: Architectures that have no form in ONNX: it knows no factorisation of matrices.
NOT_IN_ONNX = ("homogenised", "multiplier")
#: The model card in the object of ``analyze``, and beside what is exported.
CARD = "MODEL_CARD.md"


class Program(nn.Module):
    """One application of a surrogate in physical units, as a plain module.

    Transient: the state (B, C, X[, Y]) to the next. Steady: input to solution, averaged over symmetries
    where the surrogate is. Where physical parameters varied in training, the second argument gives them,
    (B, P), in the order of ``problem.varying`` and in their own units. It refuses nothing.
    """

    def __init__(self, surrogate: Surrogate) -> None:
        super().__init__()
        model = surrogate.operator
        self.network, self.normaliser, self.problem = model.network, model.normaliser, model.problem
        self.codec = codec_of(surrogate.codec) if surrogate.codec else None
        self.outer = surrogate.codec.normaliser if surrogate.codec else None
        self.elements = group(model.problem) if model.facts.get("testTimeAugmentation") else [()]

    def forward(self, u: Tensor, parameters: Tensor | None = None) -> Tensor:
        p, scale = self._scaled(u, parameters, self.normaliser), self.normaliser.fields  # (B, P)
        if self.problem.steady:
            assert isinstance(self.network, Solve)
            a = self.normaliser.inputs.apply(u)
            return scale.invert(averaged(self.network, a, p, self.problem, self.elements))  # (B, C', X[, Y])
        if self.codec is None or self.outer is None:
            return scale.invert(self.network(scale.apply(u), p))  # (B, C, X[, Y])
        z = scale.invert(self.network(scale.apply(self.codec.encode(u)), p))  # (B, C, X'[, Y'])
        told = self._scaled(u, parameters, self.outer)  # (B, P)
        return self.outer.fields.invert(self.codec.decode(self.outer.fields.apply(z), told))  # (B, C, X[, Y])

    def _scaled(self, u: Tensor, parameters: Tensor | None, normaliser: Normaliser) -> Tensor:
        if parameters is None:
            return u.new_zeros(u.shape[0], 0)
        logarithmic = torch.tensor(normaliser.logarithmic)  # (P,)
        values = torch.where(logarithmic, parameters.abs().log(), parameters)  # (B, P)
        return normaliser.parameters.apply(values)


def program(surrogate: Surrogate) -> torch.export.ExportedProgram:
    """:class:`Program`, traced with a free batch size."""
    module, problem = Program(surrogate).cpu().eval().requires_grad_(False), surrogate.problem
    example = [torch.ones(2, len(problem.inputs), *problem.shape)]
    if problem.varying:
        example.append(torch.ones(2, len(problem.varying)))
    module(*example)  # what networks remember of their grid must be numbers, not the tracer's placeholders
    batch = torch.export.Dim("batch", min=1)
    dynamic = tuple({0: batch} for _ in example)
    return torch.export.export(module, tuple(example), dynamic_shapes=dynamic, strict=False)


def export(surrogate: Surrogate, to: Path, format_: Format = "torch-export") -> None:
    """Write a program that maps states to states, or inputs to solutions, with a free batch size.

    ``torch-export``: a file for ``torch.export.load`` (.pt2). ``onnx``: inputs ``u`` (steady: ``a``) and,
    where some varied, ``parameters``; output ``next`` (steady: ``solution``). Both carry ``model.json``.
    InvalidSpec where packages are missing or ONNX cannot express the architecture.
    """
    facts = json.dumps(surrogate.operator.facts, sort_keys=True)
    _check_program(surrogate, format_)
    if format_ == "onnx":
        _check_onnx(surrogate)
    traced, content = program(surrogate), io.BytesIO()
    if format_ == "onnx":
        model = _onnx(traced, surrogate)
        model.model.metadata_props["model.json"] = facts
        model.save(content)
    else:
        torch.export.save(traced, content, extra_files={"model.json": facts})
    with whole_file(to, "--to") as part:
        part.write_bytes(content.getbuffer())


def _onnx(traced: torch.export.ExportedProgram, surrogate: Surrogate) -> Any:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it names every package that it could also use
    steady, varying = surrogate.problem.steady, surrogate.problem.varying
    return torch.onnx.export(
        traced,
        dynamo=True,
        verbose=False,
        input_names=["a" if steady else "u", *(["parameters"] if varying else [])],
        output_names=["solution" if steady else "next"],
    )


def _check_program(surrogate: Surrogate, format_: Format) -> None:
    """InvalidSpec where one application of the surrogate is not all there is to it."""
    if surrogate.problem.scattered:
        who, found = (
            "on scattered points",
            f"{surrogate.problem.family}, kind {'mesh' if surrogate.problem.mesh else 'particles'}",
        )
    elif isinstance(surrogate.operator.network, Averaged):
        who, found = "that carries averages from frame to frame", "architecture.averages: true"
    else:
        return
    raise InvalidSpec(
        f"a surrogate {who} has no form as a program yet",
        where=f"--format {format_}",
        found=found,
        expected="--format safetensors, for Surrogate.load",
        fix="--format safetensors",
    )


def _check_onnx(surrogate: Surrogate) -> None:
    missing = [name for name in ONNX if importlib.util.find_spec(name) is None]
    if missing:
        raise InvalidSpec(
            "the format onnx needs packages that are not installed",
            where="--format onnx",
            found=f"no {', no '.join(missing)}",
            expected=", ".join(ONNX),
            fix=f"pip install {' '.join(missing)}",
        )
    architecture = surrogate.operator.facts["config"]["name"]
    if architecture in NOT_IN_ONNX:
        raise InvalidSpec(
            "ONNX has no operators for this architecture",
            where="--format onnx",
            found=architecture,
            expected=f"any but {', '.join(NOT_IN_ONNX)}",
            fix="--format torch-export, or train with another architecture",
        )


def write(model: str, to: Path, format_: Format, analysis: str | None = None) -> list[Path]:
    """Export the published model at ``model`` (``STORE/objects/train/<key>``); returns what was written.

    ``analysis`` is the address of the object of ``analyze``, whose model card is written beside.
    """
    if format_ == "safetensors":
        check_folder(to, "--to")
        card = to / CARD
        published = open_uri(model)
        with tempfile.TemporaryDirectory() as work, writing(to, "--to"):
            folder = published.folder(Path(work))
            to.mkdir(parents=True, exist_ok=True)
            for name in published.manifest.files:
                (to / name).write_bytes((folder / name).read_bytes())
    else:
        check_file(to, "--to")
        card = to.with_name(f"{to.name}.{CARD}")
        export(Surrogate.load(model), to, format_)
    if analysis is None:
        return [to]
    with whole_file(card, "--to") as part:
        part.write_bytes(open_uri(analysis).read(CARD))
    return [to, card]


def main() -> None:
    parser = argparse.ArgumentParser(prog="ups export")
    parser.add_argument("model")
    parser.add_argument("to", type=Path)
    parser.add_argument("--format", choices=get_args(Format), required=True)
    parser.add_argument("--analysis")
    args = parser.parse_args()
    try:
        written = write(args.model, args.to, args.format, args.analysis)
    except UpsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    for path in written:
        print(f"wrote {path}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
