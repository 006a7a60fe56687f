"""What kopf tells us. Every handler does the same: it puts the name of a resource into the queue.

Only ``on.event`` handlers, which are told of everything and promise nothing. kopf's others would keep their
state in annotations and finalizers of the resources, and its daemons and timers hold a finalizer on every
object, so that no namespace could be deleted once the operator is gone.

An event's type is not looked at, but for a deletion: what is there when the operator starts comes from a
list, and has none.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import kopf

from ups_core.api.common import GROUP, VERSION
from ups_operator.service import Operator
from ups_workflows.engines.argo import UID

WORKFLOWS = ("argoproj.io", "v1alpha1", "workflows")


@kopf.on.startup()
async def startup(settings: kopf.OperatorSettings, memo: Any, **_: object) -> None:
    operator: Operator = memo.operator
    settings.posting.enabled = False  # log lines are no Events; ours are written by what they say
    settings.peering.standalone = True
    # Looking for namespaces and CRDs that come later would need the right to watch all of them.
    settings.scanning.disabled = True
    # The server selects: others' Workflows never reach us.
    settings.watching.label_selectors[WORKFLOWS] = UID
    settings.queueing.idle_timeout = 1.0  # of kopf's task for each object, which has nothing to remember
    for name in ("kopf.objects", "kopf.activities"):
        logging.getLogger(name).setLevel(logging.WARNING)
    await operator.start()


@kopf.on.cleanup()
async def cleanup(memo: Any, **_: object) -> None:
    await memo.operator.stop()


@kopf.on.event(GROUP, VERSION, "trainingruns")
@kopf.on.event(GROUP, VERSION, "datasets")
async def resource(type: str | None, body: Mapping[str, Any], memo: Any, **_: object) -> None:
    memo.operator.resource_event(type, body)


@kopf.on.event(*WORKFLOWS)
async def workflow(body: Mapping[str, Any], memo: Any, **_: object) -> None:
    memo.operator.workflow_event(body)
