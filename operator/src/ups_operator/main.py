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
from ups_operator.api import ApiError
from ups_operator.service import Operator
from ups_workflows.engines.argo import UID

#: An API server that has just started, or Argo's CRDs that are being installed beside us, take their time.
STARTUP_TRIES, STARTUP_PAUSE_SECONDS = 24, 5

#: Pauses of kopf's watches while the API server is away: for an hour. Its default ends the process after a
#: minute and a half, and a process that is ended again and again is started ever later by the kubelet.
OUTAGE_BACKOFFS = (1, 1, 2, 3, 5, 8, 13, *[15] * 240)

WORKFLOWS = ("argoproj.io", "v1alpha1", "workflows")


class NoDifferences(kopf.DiffBaseStorage):
    """kopf compares an object with what it was when last handled, for kinds of handlers that we have none of.

    Its own storages copy the whole object for that, several times for each event.
    """

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        raise AssertionError("nothing is kept in annotations")


@kopf.on.startup(retries=STARTUP_TRIES)
async def startup(settings: kopf.OperatorSettings, memo: Any, **_: object) -> None:
    operator: Operator = memo.operator
    settings.posting.enabled = False  # log lines are no Events; ours are written by what they say
    settings.peering.standalone = True
    # Looking for namespaces and CRDs that come later would need the right to watch all of them.
    settings.scanning.disabled = True
    # The server selects: others' Workflows never reach us.
    settings.watching.label_selectors[WORKFLOWS] = UID
    settings.persistence.diffbase_storage = NoDifferences()
    settings.networking.error_backoffs = OUTAGE_BACKOFFS
    settings.queueing.idle_timeout = 1.0  # of kopf's task for each object, which has nothing to remember
    for name in ("kopf.objects", "kopf.activities"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        await operator.start()
    except ApiError as error:
        raise kopf.TemporaryError(f"not ready to start: {error}", delay=STARTUP_PAUSE_SECONDS) from error


@kopf.on.cleanup()
async def cleanup(memo: Any, **_: object) -> None:
    await memo.operator.stop()


@kopf.on.event(GROUP, VERSION, "trainingruns")
@kopf.on.event(GROUP, VERSION, "datasets")
async def resource(type: str | None, body: Mapping[str, Any], memo: Any, **_: object) -> None:
    memo.operator.resource_event(type, body)


@kopf.on.event(*WORKFLOWS)
async def workflow(type: str | None, body: Mapping[str, Any], memo: Any, **_: object) -> None:
    memo.operator.workflow_event(type, body)
