from __future__ import annotations

import sys
from pathlib import Path

# The small datasets and known surrogates that the evaluation is tested with.
sys.path.insert(0, str(Path(__file__).parents[1] / "evaluate"))
