"""Does whoever never ends, or waits for ever, get a name?"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import trio

from simulator import Bounds, Crash, Operator, SimulatorError, World
from simulator.runtime import conductor


async def nothing() -> None:
    """Ends at once."""


def alone(program: Any, *, at_point: bool = False) -> Any:
    async def scenario(world: World) -> None:
        world.run(Operator(program, *([world] if at_point else [])))
        await world.quiesce()

    return scenario


def test_a_loop_over_points_meets_the_step_limit(execute: Any) -> None:
    """The failure names the lane, the point and how often it was made."""

    async def spins(world: World) -> None:
        while True:
            await world.point("look again")

    outcome = execute(alone(spins, at_point=True), bounds=Bounds(steps_max=50))
    assert outcome.failure.name == "ends_within_the_step_limit"
    assert outcome.failure.kind == "endless"
    assert outcome.failure.details[0].endswith("spins: look again")
    assert len(outcome.trace.steps) == 51


@pytest.mark.parametrize("how", ["sleeps", "yields"])
def test_a_loop_without_points_is_stopped_and_named(how: str, execute: Any) -> None:
    """A poll that only sleeps, a busy wait: no step, and still an end."""

    async def loops() -> None:
        while True:
            await (trio.sleep(1) if how == "sleeps" else trio.lowlevel.checkpoint())

    outcome = execute(alone(loops), bounds=Bounds(steps_max=3_000))
    assert outcome.failure.name == "ends_within_the_step_limit"
    assert outcome.failure.kind == "endless"
    assert "loops" in str(outcome.failure)
    assert "test_stuck.py" in str(outcome.failure)


@pytest.mark.parametrize("how", ["sleeps", "yields"])
def test_a_scenarios_body_that_never_ends_is_an_error(how: str, execute: Any) -> None:
    """It is no finding about the code under test."""

    async def scenario(world: World) -> None:
        while True:
            await (trio.sleep(1) if how == "sleeps" else trio.lowlevel.checkpoint())

    with pytest.raises(SimulatorError, match="the scenario's own body"):
        execute(scenario)


def test_a_scenarios_body_that_waits_for_ever_is_an_error(
    execute: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside of quiesce it may wait for something real; when nothing comes within the bound, it is told."""
    monkeypatch.setattr(conductor, "_REAL_WAIT_MAX_S", 0.01)

    async def scenario(world: World) -> None:
        world.run(Operator(nothing))
        await world.quiesce()
        await trio.Event().wait()

    with pytest.raises(SimulatorError, match=r"body has waited for .* outside of world.quiesce"):
        execute(scenario)


def test_a_scenarios_body_may_use_a_thread(execute: Any) -> None:
    """Outside of quiesce nothing is fenced, and the real answer is waited for."""
    answers: list[int] = []

    async def scenario(world: World) -> None:
        answers.append(await trio.to_thread.run_sync(lambda: 7))
        world.run(Operator(nothing))
        await world.quiesce()
        answers.append(await trio.to_thread.run_sync(lambda: 8))

    assert execute(scenario).failure is None
    assert answers == [7, 8]


def test_who_waits_for_ever_is_told_with_what_and_where(execute: Any) -> None:
    """A deadlock's report names the lane, its process, the call and the line; tasks that ended are not in it."""

    async def child() -> None:
        await trio.lowlevel.checkpoint()

    async def waits() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
        await trio.Event().wait()

    outcome = execute(alone(waits))
    assert outcome.failure.name == "nobody_waits_for_ever"
    assert outcome.failure.kind == "deadlock"
    (line,) = outcome.failure.details
    assert line.startswith("waits (main) waits for Event.wait() at tests/simulator/test_stuck.py:")
    assert "await trio.Event().wait()" in line


def test_a_cycle_of_locks_is_a_deadlock_in_the_schedule_that_has_it(execute: Any) -> None:
    """Taken in opposite order, two locks hold each other up, and both owners are told; in another schedule they do not."""

    async def take(world: World, first: trio.Lock, second: trio.Lock) -> None:
        async with first:
            await world.point("between")
            async with second:
                pass

    async def scenario(world: World) -> None:
        one, two = trio.Lock(), trio.Lock()
        world.run(Operator(take, world, one, two, name="a"), Operator(take, world, two, one, name="b"))
        await world.quiesce()

    assert execute(scenario).failure is None
    outcome = execute(scenario, ("a", 1), ("b", 9), ("a", 9))
    assert outcome.failure.name == "nobody_waits_for_ever"
    a, b = outcome.failure.details
    assert a.startswith("a (main) waits for ")
    assert b.startswith("b (main) waits for ")
    assert "Lock" in a
    assert "async with second" in a


def test_a_shielded_wait_for_ever_is_unwound(execute: Any) -> None:
    """It is reported like any deadlock, and the execution ends although nothing can cancel it."""

    async def stubborn() -> None:
        with trio.CancelScope(shield=True):
            try:
                await trio.Event().wait()
            finally:
                await trio.sleep(1)

    assert execute(alone(stubborn)).failure.name == "nobody_waits_for_ever"


def test_what_a_killed_process_leaves_hanging_holds_nobody_up(execute: Any) -> None:
    """Clean-up of a dead process that waits for ever, shielded, is no deadlock of the living."""

    async def stubborn(world: World) -> None:
        try:
            await world.point("die here")
        finally:
            with trio.CancelScope(shield=True):
                await trio.Event().wait()

    async def scenario(world: World) -> None:
        world.process("p").run(Operator(stubborn, world))
        world.inject(Crash("p"))
        await world.quiesce()

    outcome = execute(scenario, choices={"crash p": 2})
    assert outcome.failure is None
    assert outcome.faults == 1


@pytest.mark.parametrize("shielded", [True, False])
def test_clean_up_that_goes_on_for_ever_ends_all_the_same(shielded: bool, execute: Any) -> None:
    """A killed process that loops in its clean-up is thrown out of it."""

    async def loops(world: World) -> None:
        try:
            await world.point("die here")
        finally:
            with trio.CancelScope(shield=True):
                while True:
                    await (trio.lowlevel.checkpoint() if shielded else trio.sleep(1))

    async def scenario(world: World) -> None:
        world.process("p").run(Operator(loops, world))
        world.inject(Crash("p"))
        await world.quiesce()

    assert execute(scenario, choices={"crash p": 2}).failure is None


def test_a_loop_that_trio_itself_cannot_cancel_is_stopped_and_named(execute: Any) -> None:
    """A nursery's exit is no cancellation point while its children end at once."""

    async def breeds() -> None:
        while True:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(nothing)

    outcome = execute(alone(breeds), bounds=Bounds(steps_max=20_000))
    assert outcome.failure.kind == "endless"
    assert "breeds" in str(outcome.failure)


def test_code_that_cannot_be_stopped_is_told_by_name(execute: Any) -> None:
    """What catches even BaseException, for ever, ends the exploration with its name."""

    async def immortal(world: World) -> None:
        while True:
            with contextlib.suppress(BaseException):
                await world.point("again")

    with pytest.raises(SimulatorError, match="immortal was killed, catches every error and goes on for ever"):
        execute(alone(immortal, at_point=True), bounds=Bounds(steps_max=20))
