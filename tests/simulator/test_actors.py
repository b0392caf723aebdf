"""Does what comes in from outside come in as often and when it should?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import trio

from simulator import Crash, Cron, Operator, Poller, Process, Webhook, World


class UnavailableError(Exception):
    """An error that a program may raise."""


def ticking(actor: Any, *, faults: Any = (), begin_at: datetime | None = None) -> tuple[Any, list[float]]:
    """A scenario with one actor in the process ``p``; its program, ``tick``, notes when it ran."""
    moments: list[float] = []

    async def scenario(world: World) -> None:
        moments.clear()
        if begin_at is not None:
            world.begin_at(begin_at)

        async def tick() -> None:
            await world.point("tick")
            moments.append(world.clock.now_s)

        world.process("p").run(actor(tick))
        world.inject(*faults)
        await world.quiesce()

    return scenario, moments


def test_a_crash_during_the_first_start_loses_no_delivery(execute: Any) -> None:
    """Providers and people come once the process is up, also where its first start died half-way."""
    seen: list[str] = []

    async def start(process: Process) -> None:
        await process._world.point("boot")

    async def note(_app: None, name: str) -> None:
        seen.append(name)

    async def scenario(world: World) -> None:
        seen.clear()
        world.process("p", start).run(Webhook(note, "hook", deliveries=2), Operator(note, "person"))
        world.inject(Crash("p"))
        await world.quiesce()

    for moment in range(3):  # 1: before it starts; 2: in the middle
        outcome = execute(scenario, choices={"crash p": moment})
        assert outcome.failure is None
        assert outcome.faults == (moment > 0)
        assert sorted(seen) == ["hook", "hook", "person"]


def test_duplicates_of_a_delivery_overlap(execute: Any) -> None:
    """Each copy is a lane of its own, and any of them may be first."""
    order: list[int] = []

    async def deliver(world: World) -> None:
        await world.point("handle")
        order.append(len(order))

    async def scenario(world: World) -> None:
        world.run(Webhook(deliver, world, deliveries=3))
        await world.quiesce()

    outcome = execute(scenario, ("deliver#3", 1), ("deliver#1", 1), ("deliver#2", 2), ("deliver#3", 1))
    handled = [lane for lane, point, _ in outcome.trace.steps if point == "handle"]
    assert handled == ["deliver#2", "deliver#3", "deliver#1"]


@pytest.mark.parametrize(("failures", "retries", "tries"), [(0, 3, 1), (2, 3, 3), (9, 3, 4), (9, 0, 1)])
def test_a_delivery_that_was_not_answered_is_sent_again(
    failures: int, retries: int, tries: int, execute: Any
) -> None:
    """After a tolerated error, at the retry interval, until it is answered or the retries are used up."""
    moments: list[float] = []

    async def deliver(world: World) -> None:
        moments.append(world.clock.now_s)
        if len(moments) <= failures:
            raise UnavailableError

    async def scenario(world: World) -> None:
        hook = Webhook(
            deliver,
            world,
            deliveries=1,
            retries=retries,
            retry_every=timedelta(minutes=1),
            tolerates=(UnavailableError,),
        )
        world.run(hook)
        await world.quiesce()

    assert execute(scenario).failure is None
    assert moments == [60.0 * number for number in range(tries)]


def test_a_delivery_whose_process_died_is_sent_again(execute: Any) -> None:
    """The crash takes the place of the answer; a process that is down costs a try as well."""
    hook = partial(Webhook, deliveries=1, retries=2, retry_every=timedelta(seconds=10))
    scenario, moments = ticking(hook, faults=[Crash("p", down_s=15)])
    assert execute(scenario, choices={"crash p": 2}).failure is None
    assert moments == [20.0]
    scenario, moments = ticking(hook, faults=[Crash("p", down_s=None)])
    assert execute(scenario, choices={"crash p": 2}).failure is None
    assert moments == []


def test_a_delivery_that_was_not_sent_yet_does_not_die_with_the_process(execute: Any) -> None:
    """It comes at its time, to whoever is up then, and costs no retry."""
    hook = partial(Webhook, deliveries=1, retries=0, after=timedelta(seconds=30))
    scenario, moments = ticking(hook, faults=[Crash("p", down_s=5)])
    assert execute(scenario, choices={"crash p": 1}).failure is None
    assert moments == [30.0]


def test_a_person_who_has_not_come_yet_finds_the_process_up(execute: Any) -> None:
    """An operator's action survives a crash before it; one that was begun is not begun again."""
    scenario, moments = ticking(Operator, faults=[Crash("p", down_s=5)])
    assert execute(scenario, choices={"crash p": 1}).failure is None
    assert moments == [5.0]
    assert execute(scenario, choices={"crash p": 2}).failure is None
    assert moments == []


def test_a_poller_looks_until_it_is_told_something_true(execute: Any) -> None:
    """At its interval, as often as it may, and no more once it has what it wants."""
    answers: list[Any] = []
    moments: list[float] = []

    async def look(world: World) -> Any:
        moments.append(world.clock.now_s)
        return answers[len(moments) - 1]

    async def scenario(world: World) -> None:
        world.run(Poller(look, world, every=timedelta(seconds=5), looks=4, after=timedelta(seconds=1)))
        await world.quiesce()

    answers[:] = [None, 0, "yes", "again"]
    assert execute(scenario).failure is None
    assert moments == [1, 6, 11]
    answers[:], moments[:] = [None] * 4, []
    assert execute(scenario).failure is None
    assert moments == [1, 6, 11, 16]


@pytest.mark.parametrize(
    ("actor", "due"),
    [
        (partial(Cron, every=timedelta(minutes=5)), [0]),
        (partial(Cron, every=timedelta(minutes=5), ticks=3), [0, 300, 600]),
        (partial(Cron, every=timedelta(minutes=5), ticks=2, after=timedelta(seconds=7)), [7, 307]),
        (partial(Cron, expression="*/5 * * * *", ticks=2), [157, 457]),
        (partial(Cron, expression="0 3 * * *", ticks=2), [23_557, 109_957]),
        (partial(Cron, every=timedelta(seconds=10), ticks=3, overlap=True), [0, 10, 20]),
    ],
)
def test_a_cron_job_ticks_when_it_is_due(actor: Any, due: list[float], execute: Any) -> None:
    """By its interval or by its expression, in UTC."""
    scenario, moments = ticking(actor, begin_at=datetime(2026, 1, 8, 20, 27, 23, tzinfo=UTC))
    assert execute(scenario).failure is None
    assert moments == due


@pytest.mark.parametrize(("overlap", "ran"), [(True, [0, 10, 20, 30]), (False, [0, 30])])
def test_a_tick_that_takes_long_overlaps_or_drops_the_next(
    overlap: bool, ran: list[float], execute: Any
) -> None:
    """With overlap they run at once, as node-cron does; without, what came due meanwhile is dropped."""
    moments: list[float] = []

    async def slow(world: World) -> None:
        moments.append(world.clock.now_s)
        await trio.sleep(25)

    async def scenario(world: World) -> None:
        world.run(Cron(slow, world, every=timedelta(seconds=10), ticks=4, overlap=overlap))
        await world.quiesce()

    assert execute(scenario).failure is None
    assert moments == ran


@pytest.mark.parametrize("overlap", [True, False])
def test_a_cron_job_goes_on_after_a_restart(overlap: bool, execute: Any) -> None:
    """At the moments that are still to come, to the microsecond, although 0.45 s have no exact form."""
    cron = partial(Cron, every=timedelta(seconds=10, milliseconds=100), ticks=4, overlap=overlap)
    scenario, moments = ticking(cron, faults=[Crash("p")])
    outcome = execute(scenario, choices={"crash p": 2})
    assert outcome.failure is None
    assert moments == pytest.approx([10.1, 20.2, 30.3])


def test_a_tick_that_waits_for_its_turn_is_not_dropped(execute: Any) -> None:
    """Held up at its very start by a timer that fires early, it is late, not lost."""
    moments: list[float] = []

    async def tick(world: World) -> None:
        moments.append(world.clock.now_s)

    async def sleeper() -> None:
        await trio.sleep(12)

    async def scenario(world: World) -> None:
        world.process("p").run(Cron(tick, world, every=timedelta(minutes=1), after=timedelta(seconds=10)))
        world.process("q").run(Operator(sleeper))
        await world.quiesce()

    outcome = execute(scenario, ("tick", 1), ("sleeper", 1), ("clock", 1))
    assert outcome.failure is None
    assert moments == [12.0]


def test_actors_of_a_later_phase_start_at_the_next_quiesce(execute: Any) -> None:
    """In a new process or in one that is up already, counted from then on."""
    moments: list[tuple[str, float]] = []

    async def note(world: World, name: str) -> None:
        moments.append((name, world.clock.now_s))

    async def scenario(world: World) -> None:
        world.run(Operator(note, world, "first"))
        await world.quiesce()
        await trio.sleep(100)
        world.run(
            Operator(note, world, "second"), Cron(note, world, "cron", every=timedelta(seconds=10), ticks=2)
        )
        world.process("late").run(Cron(note, world, "late", every=timedelta(seconds=10), ticks=2))
        await world.quiesce()

    assert execute(scenario).failure is None
    assert sorted(moments) == [
        ("cron", 100),
        ("cron", 110),
        ("first", 0),
        ("late", 100),
        ("late", 110),
        ("second", 100),
    ]
