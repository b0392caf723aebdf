"""The worker: what it does, that it stops when told and within a bound, and that nothing that goes wrong ends it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio
import trio.testing

from reference import Service, Topic, logs
from reference.worker import SCHEDULE, Finished, Queue, Sweep, run
from reference.worker.loops import pause_s
from reference.worker.schedule import AT_START

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.reference.conftest import Shop

QUICK = tuple(
    Queue(
        name=each.name, method=each.method, arguments=each.arguments, every_s=0.01, needs=each.needs, why=""
    )
    if isinstance(each, Queue)
    else each
    for each in SCHEDULE
)
"""The same schedule for tests that wait in real time."""


def test_every_topic_of_the_outbox_has_one_lane() -> None:
    """A topic in none would never be done; in two, it would not be a bulkhead."""
    lanes = [
        topic for each in SCHEDULE if isinstance(each, Queue) for topic in each.arguments.get("topics", ())
    ]

    assert sorted(lanes) == sorted(Topic)


def test_every_method_of_the_schedule_exists_and_takes_its_arguments() -> None:
    """A misspelt one would be found by the first worker in production."""
    for each in SCHEDULE:
        arguments = each.arguments if isinstance(each, Queue) else {}
        inspect.signature(getattr(Service, each.method)).bind(None, **arguments)
    for method in AT_START:
        inspect.signature(getattr(Service, method)).bind(None)


def test_what_the_service_does_by_the_clock_is_in_the_schedule() -> None:
    """Whatever can be called without saying about whom is somebody's periodic task; the exceptions say why they are none."""
    not_periodic = {
        "award_retry_statistics": "an answer to the staff",
        "message_statistics": "an answer to the staff",
        "retry_failed_subscription_notifications": "the lane `notices` does it without waiting for the clock",
    }
    callable_by_clock = {
        name
        for name, method in inspect.getmembers(Service, inspect.iscoroutinefunction)
        if not name.startswith("_") and not _asks_for_more(method) and not _is_an_answer(method)
    }
    scheduled = {each.method for each in SCHEDULE} | set(AT_START)

    assert callable_by_clock - scheduled - set(not_periodic) == set()
    assert scheduled <= callable_by_clock


def _asks_for_more(method: Callable[..., Any]) -> bool:
    parameters = list(inspect.signature(method).parameters.values())[1:]
    return any(each.default is inspect.Parameter.empty for each in parameters)


def _is_an_answer(method: Callable[..., Any]) -> bool:
    """A page of rows or a bundle of numbers for a person: such methods say so in their name."""
    return method.__name__.endswith(("_statistics", "_letters", "statistics", "counts", "lag"))


def test_names_are_unique_because_a_sweep_is_known_by_its_name() -> None:
    """Two of one name would share a row."""
    names = [each.name for each in SCHEDULE]

    assert len(names) == len(set(names))


def test_a_sweep_goes_by_an_interval_or_by_the_clock() -> None:
    """Neither, or both, is a mistake that is said at import."""
    with pytest.raises(ValueError, match="either every_s or cron"):
        Sweep(name="x", method="x", why="")
    with pytest.raises(ValueError, match="either every_s or cron"):
        Sweep(name="x", method="x", every_s=1, cron="* * * * *", why="")


# With the real service ------------------------------------------------------------------------------------------------


async def until(shop: Shop, true: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something that others bring about. When all that is left is put off, time passes; the bound is never reached."""
    idle = "SELECT 1 FROM outbox WHERE done_at IS NULL AND (next_at <= :now OR lease_until > :now)"
    with trio.fail_after(60):
        while not await true():
            await trio.sleep(0.005)
            if not await shop.rows(idle, now=shop.service.now()):
                shop.clock.at += 1


async def test_a_worker_does_what_is_there_to_do_and_stops_when_told(either_shop: Shop) -> None:
    """A notification that nobody has worked on becomes a grant, a notice, a key and a reset, and then the worker leaves."""
    shop = either_shop
    payment = await shop.order()
    await shop.service.yookassa_webhook_received(shop.pays(payment))
    stopping = trio.Event()
    ended: list[Finished] = []

    async def worker() -> None:
        ended.append(await run(shop.service, stopping=stopping, schedule=QUICK, tasks=2))

    async def all_done() -> bool:
        return not await shop.rows("SELECT 1 FROM outbox WHERE done_at IS NULL") and bool(shop.telegram.sent)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker)
        await until(shop, all_done)
        stopping.set()

    assert ended == [Finished(cut_off=())]
    assert await shop.status(payment) == "completed"
    assert len(shop.telegram.sent) == 1
    assert await shop.broken_claims() == {}


async def test_two_workers_at_once_give_everything_once(either_shop: Shop) -> None:
    """Twelve payments, each announced twice, and two workers with three tasks each."""
    shop = either_shop
    for number in range(12):
        payment = await shop.order(f"tap-{number}", user=100 + number)
        for _ in range(2):
            await shop.service.yookassa_webhook_received(shop.pays(payment))
    stopping = trio.Event()

    async def worker() -> None:
        await run(shop.service, stopping=stopping, schedule=QUICK, tasks=3)

    async def all_done() -> bool:
        open_rows = await shop.rows(
            "SELECT 1 FROM outbox WHERE done_at IS NULL UNION ALL SELECT 1 FROM inbox WHERE done_at IS NULL"
        )
        return not open_rows and len(shop.telegram.sent) >= 12

    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker)
        nursery.start_soon(worker)
        await until(shop, all_done)
        stopping.set()

    assert len(shop.telegram.sent) == 12
    assert await shop.broken_claims() == {}


async def test_what_is_in_hand_is_finished_before_the_worker_leaves(shop: Shop) -> None:
    """Told to stop in the middle of a call, it waits for the answer and reports it."""
    await shop.bought()
    calling, answer = trio.Event(), trio.Event()
    send = shop.telegram.send

    async def slowly(user_id: int, text: str, reference: str) -> None:
        calling.set()
        await answer.wait()
        await send(user_id, text, reference)

    shop.telegram.send = slowly  # type: ignore[method-assign]
    stopping = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: run(shop.service, stopping=stopping, schedule=QUICK, tasks=1))
        await calling.wait()
        stopping.set()
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert nursery.child_tasks
        answer.set()

    notice = await shop.one("SELECT done_at, attempts FROM outbox WHERE topic = 'notice'")
    assert (notice.done_at is not None, notice.attempts) == (True, 1)


async def test_what_takes_too_long_is_cut_off_and_found_by_the_next(shop: Shop) -> None:
    """The bound holds, the name of what was cut off is told, and after the lease somebody else does it."""
    await shop.bought()
    calling = trio.Event()
    send = shop.telegram.send

    async def never(_user_id: int, _text: str, _reference: str) -> None:
        calling.set()
        await trio.sleep_forever()

    shop.telegram.send = never  # type: ignore[method-assign]
    stopping = trio.Event()
    ended: list[Finished] = []

    async def worker() -> None:
        ended.append(await run(shop.service, stopping=stopping, schedule=QUICK, tasks=1, grace_s=0.05))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker)
        await calling.wait()
        stopping.set()
    assert "notices" in ended[0].cut_off

    shop.telegram.send = send  # type: ignore[method-assign]
    assert await shop.service.relay(topics=[Topic.NOTICE]) == 0, "the lease still holds"
    shop.clock.at += 61
    assert await shop.service.relay(topics=[Topic.NOTICE]) == 1
    assert len(shop.telegram.sent) == 1


async def test_work_for_which_there_is_no_client_is_left_out(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """A service without Stripe has a worker without sessions, and it says so once."""
    stopping = trio.Event()
    stopping.set()
    with caplog.at_level("INFO", "reference.worker"):
        await run(shop.service, stopping=stopping)

    assert "due deals is left out: this service has no checkout_sessions" in caplog.messages
    assert not [message for message in caplog.messages if message.startswith("messages is left out")]


# With a service of one method, in virtual time ------------------------------------------------------------------------


@dataclass
class Stub:
    """As much of a service as a queue needs."""

    ticks: list[float] = field(default_factory=list)
    subjects: list[dict[str, str]] = field(default_factory=list)
    fails: int = 0
    found: int = 0
    sms: None = None
    mailer: None = None

    async def work(self) -> int:
        self.ticks.append(trio.current_time())
        self.subjects.append(dict(logs.subject()))
        await trio.lowlevel.checkpoint()
        if self.fails:
            self.fails -= 1
            raise ConnectionError("the database is away")
        self.found -= 1
        return self.found >= 0


async def work_for(stub: Stub, seconds: float, *, parallel: bool = False, tasks: int = 4) -> list[float]:
    """Run a worker on one queue for so long; returns when it ticked, from its start."""
    start, stopping = trio.current_time(), trio.Event()
    queue = Queue(name="only", method="work", every_s=1.0, parallel=parallel, why="")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: run(cast(Service, stub), stopping=stopping, schedule=[queue], tasks=tasks))
        await trio.sleep(seconds)
        stopping.set()
    return [round(at - start, 3) for at in stub.ticks]


async def test_an_idle_queue_is_looked_at_at_its_interval(autojump_clock: trio.testing.MockClock) -> None:
    """Four tasks spread their looks over it."""
    assert await work_for(Stub(), 2.5) == [0.0, 1.0, 2.0]
    assert await work_for(Stub(), 1.1, parallel=True) == [0.0, 0.25, 0.5, 0.75, 1.0]


async def test_while_there_is_work_nobody_pauses(autojump_clock: trio.testing.MockClock) -> None:
    """Three rows are three ticks at once, and then it is idle again."""
    assert await work_for(Stub(found=3), 0.5) == [0.0, 0.0, 0.0, 0.0]


async def test_errors_make_the_pauses_grow_and_never_end_the_loop(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """One second, two, four; after a success it starts again from the interval."""
    assert await work_for(Stub(fails=3), 8.5) == [0.0, 1.0, 3.0, 7.0, 8.0]
    assert "only failed, 3 times in a row" in caplog.messages
    assert [pause_s(failures) for failures in (1, 2, 5, 6, 1000)] == [1.0, 2.0, 16.0, 30.0, 30.0]


async def test_a_worker_that_is_told_to_stop_does_not_wait_for_its_interval(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Neither for a pause nor for the grace."""
    await work_for(Stub(), 0.5)

    assert trio.current_time() < 1


async def test_everything_that_is_logged_in_a_tick_names_its_task(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Ids are in the context, so that code that logs need not know them."""
    stub = Stub()
    await work_for(stub, 0.5)

    assert stub.subjects == [{"task": "only"}]
