"""The stages of training, each a file of its own: what it trains, and how it is judged.

A stage starts from the folders of :class:`~ups_core.stages.base.Given` and gives a
:class:`~ups_core.stages.base.Prepared`: a task for the one loop that trains them all, and the verdict on
what came of it. What goes on to the next stage is always a whole surrogate: the one that came in, and the
stage's own files where the verdict kept them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ups_core.stages import codec, diffusion, distill, operator, search, steady_prior
from ups_core.stages.base import Given, Prepared
from ups_core.train.gate import Verdict

#: Stage to what prepares it: ``prepare(given, config, seed)``; a verdict where there is nothing to train.
PREPARE: dict[str, Callable[[Given, Any, int], Prepared | Verdict]] = {
    "codec": codec.prepare,
    "operator": operator.prepare,
    "diffusion": diffusion.prepare,
    "distill": distill.prepare,
    "search": search.prepare,
    "steady-prior": steady_prior.prepare,
}
