"""The benchmark is no installed package: it is imported from the repository's root."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3]))
