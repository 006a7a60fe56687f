"""A queue of names: each is looked at once, by one worker at a time, and again later if that fails."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)
K = TypeVar("K", bound=Hashable)

#: Pause after the first error, doubled after each of the next ones.
FIRST_SECONDS, LONGEST_SECONDS = 0.5, 60.0
#: After so many errors on end a name is left to the next event or resync.
TRIES = 10


class WorkQueue(Generic[K]):
    """Names that wait for a look.

    A name that is added while it waits is there once. One that is added while a worker looks at it is looked
    at again afterwards, and never by two at a time. ``handle`` may ask to be called again later.
    """

    def __init__(
        self,
        handle: Callable[[K], Awaitable[float | None]],
        failed: Callable[[K, Exception], None],
    ) -> None:
        """``failed`` hears of every error that ``handle`` raised."""
        self._handle, self._failed = handle, failed
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._queued: set[K] = set()
        self._running: set[K] = set()
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._errors: dict[K, int] = {}

    def __len__(self) -> int:
        return self._ready.qsize()

    def add(self, key: K, delay: float = 0.0) -> None:
        """Have ``key`` looked at, in ``delay`` seconds or earlier."""
        if delay > 0:
            self._later(key, delay)
        elif key in self._running:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.put_nowait(key)

    def _later(self, key: K, delay: float) -> None:
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + delay:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(delay, self._due, key)

    def _due(self, key: K) -> None:
        del self._timers[key]
        self.add(key)

    async def work(self, workers: int) -> None:
        """Look at what is added, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._ready.get()
            self._queued.discard(key)
            self._running.add(key)
            try:
                await self._look(key)
            finally:
                self._running.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)

    async def _look(self, key: K) -> None:
        try:
            later = await self._handle(key)
        except Exception as error:  # noqa: BLE001 - told, counted and tried again: one bad name stops no other
            self._failed(key, error)
            tried = self._errors[key] = self._errors.get(key, 0) + 1
            if tried < TRIES:
                pause = min(FIRST_SECONDS * 2 ** (tried - 1), LONGEST_SECONDS)
                self._later(key, pause * random.uniform(0.5, 1.0))
            else:
                del self._errors[key]
                log.error("%s: left to the next event or resync after %d errors", key, tried)
            return
        self._errors.pop(key, None)
        if later is None:
            return
        if later > 0:
            self._later(key, later)
        else:
            self._again.add(key)
