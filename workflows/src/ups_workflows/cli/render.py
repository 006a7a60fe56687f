"""Structured output: JSON and YAML of plain data, for other programs."""

from __future__ import annotations

import json
import sys
from typing import Any

from ups_core.api.yamltext import dump
from ups_workflows.cli.options import Output


def structured(data: Any, output: Output) -> None:
    """Write ``data`` to standard output as JSON or YAML."""
    if output == "json":
        json.dump(data, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(dump([data]))
