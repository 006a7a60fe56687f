"""The work queue: once, one at a time, again, later."""

from __future__ import annotations

import asyncio
from collections import Counter

from ups_operator import queue
from ups_operator.queue import WorkQueue


class Handler:
    """Counts looks, and holds them up until it is let go."""

    def __init__(self) -> None:
        self.looks: Counter[str] = Counter()
        self.errors: list[str] = []
        self.now, self.most = Counter[str](), 0
        self.go = asyncio.Event()
        self.fails, self.again = 0, {}

    async def __call__(self, key: str) -> float | None:
        self.looks[key] += 1
        self.now[key] += 1
        self.most = max(self.most, self.now[key])
        await self.go.wait()
        self.now[key] -= 1
        if self.fails:
            self.fails -= 1
            raise OSError
        return self.again.pop(key, None)

    def failed(self, key: str, error: Exception) -> None:
        self.errors.append(key)


def run(scenario) -> Handler:
    async def main() -> Handler:
        handler = Handler()
        work = WorkQueue(handler, handler.failed)
        task = asyncio.create_task(work.work(4))
        await scenario(work, handler)
        task.cancel()
        return handler

    return asyncio.run(main())


async def until(done) -> None:
    async with asyncio.timeout(20):
        while not done():
            await asyncio.sleep(0.002)


def test_a_name_that_is_added_often_is_looked_at_once():
    async def scenario(work, handler):
        handler.go.set()
        for _ in range(5):
            work.add("a")
        assert len(work) == 1
        await until(lambda: handler.looks["a"])
        await asyncio.sleep(0.02)

    assert run(scenario).looks == {"a": 1}


def test_what_changes_during_a_look_is_looked_at_again_and_never_by_two():
    async def scenario(work, handler):
        work.add("a")
        await until(lambda: handler.looks["a"])
        work.add("a")
        work.add("a")
        await asyncio.sleep(0.02)
        assert handler.looks["a"] == 1
        handler.go.set()
        await until(lambda: handler.looks["a"] == 2)

    assert run(scenario).most == 1


def test_names_are_looked_at_side_by_side():
    async def scenario(work, handler):
        for name in "abc":
            work.add(name)
        await until(lambda: len(handler.looks) == 3)
        handler.go.set()

    run(scenario)


def test_a_handler_may_ask_to_be_called_again():
    async def scenario(work, handler):
        handler.go.set()
        handler.again = {"now": 0, "soon": 0.01}
        work.add("now")
        work.add("soon")
        await until(lambda: handler.looks == {"now": 2, "soon": 2})

    run(scenario)


def test_of_two_delays_the_shorter_holds():
    async def scenario(work, handler):
        handler.go.set()
        work.add("a", 3600)
        work.add("a", 0.01)
        work.add("a", 3600)
        await until(lambda: handler.looks["a"] == 1)

    run(scenario)


def test_an_error_is_told_and_tried_again_with_an_end(monkeypatch):
    monkeypatch.setattr(queue, "FIRST_SECONDS", 0.001)
    monkeypatch.setattr(queue, "LONGEST_SECONDS", 0.002)

    async def scenario(work, handler):
        handler.go.set()
        handler.fails = 2
        work.add("mends")
        await until(lambda: handler.looks["mends"] == 3)
        handler.fails = 1000
        work.add("never")
        await until(lambda: handler.looks["never"] == queue.TRIES)
        await asyncio.sleep(0.05)
        assert handler.looks["never"] == queue.TRIES
        handler.fails = 0
        work.add("never")  # the next event or resync
        await until(lambda: handler.looks["never"] == queue.TRIES + 1)

    assert run(scenario).errors == ["mends"] * 2 + ["never"] * queue.TRIES
