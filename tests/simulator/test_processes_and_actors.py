"""Do processes start and die as they should, and does what comes in come in as often and when it should?"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import trio

from simulator import Crash, Cron, Operator, Poller, Process, Restart, Webhook, World
from simulator.errors import EscapedSimulation, SimulatorError


async def nothing(*_args: Any) -> None:
    """Ends at once."""


def test_a_factory_runs_at_every_start_and_hands_over_its_app(execute: Any) -> None:
    """Every incarnation has an app of its own, and programs are called with it before their own arguments."""
    calls: list[tuple[str, int]] = []

    async def start(process: Process) -> str:
        await trio.sleep(0.1)
        return f"app {process.incarnation}"

    async def look(world: World, app: str, number: int) -> None:
        await world.point("look")
        calls.append((app, number))

    async def scenario(world: World) -> None:
        process = world.process("p", start)
        assert process.run(Poller(partial(look, world), 7, looks=2, name="look")) is process
        world.inject(Crash("p"))
        await world.quiesce()
        assert process.app == f"app {process.incarnation}"

    assert execute(scenario).failure is None
    assert calls == [("app 1", 7), ("app 1", 7)]
    calls.clear()
    assert execute(scenario, choices={"crash p": 3}).failure is None
    assert calls == [("app 2", 7), ("app 2", 7)]


def test_background_tasks_die_with_their_process(execute: Any) -> None:
    """What start_soon holds is gone after a crash, and a dead process starts nothing more."""
    seen: list[str] = []

    async def later(world: World) -> None:
        await trio.sleep(10)
        seen.append(f"later, in {world.clock.now_s:.0f}")

    async def work(world: World, process: Process) -> None:
        process.start_soon(later, world)
        try:
            await world.point("work")
        finally:
            process.start_soon(later, world, name="in the clean-up")

    async def scenario(world: World) -> None:
        process = world.process("p")
        process.run(Operator(work, world, process))
        world.inject(Crash("p", down_s=None))
        await world.quiesce()
        process.start_soon(later, world)
        await world.quiesce()

    assert execute(scenario).failure is None
    assert seen == ["later, in 10", "later, in 10", "later, in 20"]
    seen.clear()
    outcome = execute(scenario, choices={"crash p": 2})
    assert outcome.failure is None
    assert seen == []


def test_an_unexpected_error_is_a_finding_with_the_users_lines(execute: Any) -> None:
    """Named after its lane, in one line, with the lines of the code under test and nobody else's."""

    async def inner(world: World) -> None:
        await world.point("look")
        raise LookupError("no payment\nin two lines")

    async def outer(world: World) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(inner, world)

    async def scenario(world: World) -> None:
        world.run(Operator(outer, world))
        await world.quiesce()

    failure = execute(scenario).failure
    assert (failure.name, failure.kind) == ("no_unexpected_error", "raised")
    assert failure.reason == "outer raised LookupError: no payment"
    assert failure.details[0] == "in two lines"
    assert [line.split(" in ")[-1] for line in failure.details[1:]] == ["inner"]
    assert all("test_processes_and_actors.py:" in line for line in failure.details[1:])


def test_several_errors_at_once_are_all_told(execute: Any) -> None:
    """A group's leaves, not its own empty message."""

    async def raises(number: int) -> None:
        raise LookupError(f"number {number}")

    async def outer() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raises, 1)
            nursery.start_soon(raises, 2)

    async def scenario(world: World) -> None:
        world.run(Operator(outer))
        await world.quiesce()

    told = str(execute(scenario).failure)
    assert "number 1" in told
    assert "number 2" in told


def test_tolerating_everything_does_not_hide_a_mistake_of_the_scenario(execute: Any) -> None:
    """Errors of the simulator's own are never tolerated."""

    async def misuse(world: World) -> None:
        world.database.insert("t", id=1)

    async def scenario(world: World) -> None:
        world.run(Webhook(misuse, world, tolerates=(Exception,)))
        await world.quiesce()

    with pytest.raises(SimulatorError, match="this scenario has no database"):
        execute(scenario)
    assert issubclass(EscapedSimulation, SimulatorError)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Webhook(nothing, deliveries=0), "nothing: a webhook has at least 1 delivery"),
        (lambda: Webhook(nothing, retries=-1), "nothing: a webhook"),
        (lambda: Webhook(nothing, after=timedelta(seconds=-1)), "nothing: after="),
        (lambda: Webhook(nothing, retry_every=timedelta(0), name="hook"), "hook: a webhook"),
        (lambda: Poller(nothing, every=timedelta(0)), "nothing: a poller"),
        (lambda: Poller(nothing, looks=0), "nothing: a poller"),
        (lambda: Cron(nothing), "nothing: a cron job has either"),
        (lambda: Cron(nothing, every=timedelta(1), expression="* * * * *"), "nothing: a cron job has either"),
        (lambda: Cron(nothing, every=timedelta(1), ticks=0), "nothing: a cron job ticks at least once"),
        (
            lambda: Cron(nothing, expression="61 * * * *"),
            "nothing: '61 \\* \\* \\* \\*' is not a cron expression",
        ),
        (lambda: Cron(nothing, expression="0 0 30 2 *"), "nothing: '0 0 30 2 \\*' is not"),
        (
            lambda: Cron(nothing, expression="* * * * *", after=timedelta(1)),
            "nothing: after=... is for every=",
        ),
        (lambda: Operator(nothing, name="a: b"), "'a: b' cannot"),
        (lambda: Operator(42), "int: an actor runs an async function; got 42"),
        (
            lambda: Operator(nothing, tolerates=["x"]),
            "nothing: tolerates=... takes a tuple of exception classes",
        ),
    ],
)
def test_bad_arguments_are_told_with_the_actors_name(make: Any, said: str) -> None:
    """Where the actor is made, not in the middle of a search."""
    with pytest.raises(ValueError, match=said):
        make()


def test_bad_processes_are_told(execute: Any) -> None:
    """A second process of the same name, a name that no schedule can hold, something that is no actor."""

    async def scenario(world: World) -> None:
        world.process("p")
        with pytest.raises(ValueError, match="there is a process 'p' already"):
            world.process("p")
        with pytest.raises(ValueError, match="cannot"):
            world.process("a: b")
        with pytest.raises(TypeError, match="takes actors"):
            world.process("q").run(nothing)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="there is no process 'z'; processes: p, q"):
            world.inject(Restart("z"))
        assert world.choose("kind", ["only"]) == "only"
        with pytest.raises(ValueError, match="two choices of this scenario are called 'kind'"):
            world.choose("kind", ["a", "b"])
        with pytest.raises(ValueError, match="nothing to choose from"):
            world.choose("none", [])
        await world.quiesce()

    assert execute(scenario).failure is None
