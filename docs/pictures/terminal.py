"""A terminal's text as a picture: ``kubectl get tr | python docs/pictures/terminal.py TITLE > FILE.svg``."""

from __future__ import annotations

import io
import re
import sys

from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME


def picture(text: str, title: str) -> str:
    """An SVG that loads nothing from elsewhere, so that any page may show it."""
    width = max(len(line) for line in text.splitlines()) + 2
    console = Console(record=True, width=width, file=io.StringIO(), highlight=False)
    console.print(text, markup=False, soft_wrap=True)
    svg = console.export_svg(title=title, theme=DEFAULT_TERMINAL_THEME, unique_id="terminal")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code", "ui-monospace")


if __name__ == "__main__":
    sys.stdout.write(picture(sys.stdin.read().rstrip(), sys.argv[1]))
