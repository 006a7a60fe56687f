"""YAML that every parser reads alike.

In YAML 1.1, which ``kubectl`` speaks, a bare y is true and a bare n false; to PyYAML both are letters. A
coordinate axis is called y, so it is written in quotes, and wanted in quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml

#: Plain scalars that are a boolean to some parsers.
AMBIGUOUS = re.compile("^[yYnN]$")


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", AMBIGUOUS, list("yYnN"))


def dump(documents: Iterable[Any], width: int = 80) -> str:
    """Plain values as the documents of one text, keys in their order."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=width)
