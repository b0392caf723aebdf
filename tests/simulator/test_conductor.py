"""Is a choice asked exactly where the design says so, and is everything bounded that could go on for ever?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import trio

from simulator import Bounds, Claims, Operator, SimulatorError, World
from simulator.database import NoDatabase
from simulator.execution import Simulation
from simulator.runtime import conductor, unwinding
from simulator.schedulers.base import Lane, Options


class Noting:
    """Always goes on as before, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.started: list[str] = []

    def start(self, lanes: Sequence[Lane]) -> None:
        self.started = [lane.label for lane in lanes]

    def choose(self, options: Options) -> int:
        self.asked.append([f"{lane.label}: {lane.point}" for lane in options.lanes])
        return 0


async def nothing() -> None:
    """Ends at once."""


def test_announced_points_are_choices_among_all_processes(execute: Any) -> None:
    """Two lanes of two processes at points can move in either order, and the one that moved last is option 0."""
    scheduler = Noting()

    async def program(world: World) -> None:
        await world.point("look")

    async def scenario(world: World) -> None:
        world.process("one").run(Operator(program, world, name="a"))
        world.process("two").run(Operator(program, world, name="b"))
        await world.quiesce()

    execute(scenario, scheduler=scheduler)
    assert scheduler.started == ["a", "b"]
    assert scheduler.asked == [["a: starts", "b: starts"], ["a: look", "b: starts"]]


@pytest.mark.parametrize("checkpoint", ["event", "lock", "channel", "checkpoint"])
def test_unannounced_checkpoints_are_choices_within_the_process(checkpoint: str, execute: Any) -> None:
    """While a task of a process stands at a lock, an event or a channel, no other process is offered."""
    scheduler = Noting()

    async def pause(lock: trio.Lock) -> None:
        if checkpoint == "lock":
            async with lock:
                pass
        elif checkpoint == "event":
            event = trio.Event()
            event.set()
            await event.wait()
        elif checkpoint == "channel":
            send, receive = trio.open_memory_channel[int](1)
            await send.send(1)
            assert await receive.receive() == 1
        else:
            await trio.lowlevel.checkpoint()

    async def program(world: World, lock: trio.Lock) -> None:
        await world.point("look")
        await pause(lock)
        await pause(lock)

    async def scenario(world: World) -> None:
        lock = trio.Lock()
        world.process("one").run(
            Operator(program, world, lock, name="a1"), Operator(program, world, lock, name="a2")
        )
        world.process("two").run(Operator(program, world, trio.Lock(), name="b"))
        await world.quiesce()

    outcome = execute(scenario, scheduler=scheduler)
    within = [options for options in scheduler.asked if any(option.endswith(": None") for option in options)]
    assert within
    assert all("b:" not in option for options in within for option in options)
    assert ("a1", "goes on", 0.0) in outcome.trace.steps
    assert (
        "b",
        "goes on",
        0.0,
    ) not in outcome.trace.steps  # alone in its process, it has nobody to race with


def test_tasks_that_an_actor_starts_are_lanes_of_their_own(execute: Any) -> None:
    """Children and grandchildren are named after their parents, and can be interleaved."""

    async def leaf(world: World) -> None:
        await world.point("leaf")

    async def branch(world: World) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(leaf, world)
            nursery.start_soon(leaf, world)

    async def root(world: World) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(branch, world)
            nursery.start_soon(leaf, world)

    async def scenario(world: World) -> None:
        world.run(Operator(root, world))
        await world.quiesce()

    outcome = execute(scenario, ("root", 1), ("root.1", 1), ("root.1.2", 9), ("root.2", 9), ("root.1.1", 9))
    leaves = [lane for lane, point, _ in outcome.trace.steps if point == "leaf"]
    assert leaves == ["root.1.2", "root.2", "root.1.1"]


def test_a_task_in_a_nursery_of_another_actor_is_no_double(execute: Any) -> None:
    """A task that outlives the actor who started it keeps a label of its own."""
    nurseries: list[trio.Nursery] = []

    async def server(world: World) -> None:
        async with trio.open_nursery() as nursery:
            nurseries.append(nursery)
            await world.point("serve")
            await trio.sleep(5)

    async def handler(world: World) -> None:
        nurseries.pop().start_soon(background, world)

    async def background(world: World) -> None:
        await world.point("work")

    async def scenario(world: World) -> None:
        world.run(Operator(server, world), Operator(handler, world))
        await world.quiesce()

    outcome = execute(scenario, ("server", 1), ("handler", 9))
    assert outcome.failure is None
    assert [lane for lane, point, _ in outcome.trace.steps if point == "work"] == ["handler.1"]


def test_nested_cancellation_and_timeouts_work(execute: Any) -> None:
    """move_on_after, fail_after and shields inside actors mean what they mean in trio, in virtual time."""
    seen: list[str] = []

    async def sleeper(world: World) -> None:
        with trio.move_on_after(1) as outer:
            with trio.CancelScope(shield=True), trio.move_on_after(3):
                await trio.sleep(10)
            seen.append(f"shielded until +{trio.current_time():.0f}")
            await world.point("never")
        assert outer.cancelled_caught
        with pytest.raises(trio.TooSlowError), trio.fail_after(2):
            await trio.sleep_forever()
        seen.append(f"failed at +{trio.current_time():.0f}")

    async def scenario(world: World) -> None:
        world.run(Operator(sleeper, world))
        await world.quiesce()

    assert execute(scenario).failure is None
    assert seen == ["shielded until +3", "failed at +5"]


def test_code_outside_processes_takes_part_in_no_choice(execute: Any) -> None:
    """The scenario's body passes every point at once, sleeps in virtual time, and is no option."""
    scheduler = Noting()

    async def scenario(world: World) -> None:
        await world.point("set up")
        await trio.sleep(3)
        assert world.clock.now_s == 3
        world.run(Operator(nothing, name="a"), Operator(nothing, name="b"))
        await world.quiesce()
        await trio.sleep(4)
        assert world.clock.now_s == 7

    outcome = execute(scenario, scheduler=scheduler)
    assert outcome.failure is None
    assert outcome.trace.steps == [("a", "starts", 3.0), ("b", "starts", 3.0)]


@pytest.mark.parametrize("answer", [2, -1, None, "0", 1.0])
def test_a_scheduler_that_answers_nonsense_is_told_so(answer: Any, execute: Any) -> None:
    """The error names the scheduler, its answer and what was possible, and the simulation can be closed."""

    class Nonsense(Noting):
        def choose(self, _options: Options) -> Any:
            return answer

    async def scenario(world: World) -> None:
        world.run(Operator(nothing, name="a"), Operator(nothing, name="b"))
        await world.quiesce()

    with pytest.raises(SimulatorError, match=r"the scheduler Nonsense answered .* where 0 to 1 was possible"):
        execute(scenario, scheduler=Nonsense())


def test_an_error_inside_a_scheduler_reaches_the_caller_and_the_next_execution_runs() -> None:
    """A scheduler's own exception comes out as it is, and costs nothing but its execution."""

    class Broken(Noting):
        def choose(self, _options: Options) -> int:
            raise LookupError("no idea")

    async def scenario(world: World) -> None:
        world.run(Operator(nothing, name="a"), Operator(nothing, name="b"))
        await world.quiesce()

    with Simulation(scenario, Claims(), NoDatabase()) as simulation:
        with pytest.raises(LookupError, match="no idea"):
            simulation.execute(Broken())
        assert simulation.execute(Noting()).failure is None


def test_a_timer_that_fires_early_counts_as_one_preemption(execute: Any) -> None:
    """It is one deviation, as the bounded search counts it, also when the lane could have gone on."""

    async def sleeper() -> None:
        await trio.sleep(1)

    async def worker(world: World) -> None:
        await world.point("one")
        await world.point("two")

    async def scenario(world: World) -> None:
        world.process("p").run(Operator(sleeper))
        world.process("q").run(Operator(worker, world))
        await world.quiesce()

    outcome = execute(scenario, ("sleeper", 1), ("worker", 2), ("clock", 1))
    assert [lane for lane, _, _ in outcome.trace.steps] == ["sleeper", "worker", "worker", "clock", "worker"]
    assert outcome.preemptions == 1


def test_nothing_moves_after_a_violation(execute: Any) -> None:
    """The step that violated the claim is the last of the trace."""
    state = {"value": 0}

    async def increment(world: World) -> None:
        for _ in range(3):
            await world.point("increment")
            state["value"] += 1

    def below_two(_world: World) -> str | None:
        return f"it is {state['value']}" if state["value"] >= 2 else None

    async def scenario(world: World) -> None:
        state["value"] = 0
        world.run(Operator(increment, world, name="a"), Operator(increment, world, name="b"))
        await world.quiesce()

    outcome = execute(scenario, claims=Claims(always=(below_two,)), bounds=Bounds())
    assert outcome.failure is not None
    assert outcome.failure.reason == "it is 2"
    assert len(outcome.trace.steps) == outcome.trace.violated_at == 3
    assert state["value"] == 2


def test_the_bounds_of_the_runtime_are_what_this_file_believes() -> None:
    """The limits that stop endless code are finite and small enough to be met in a test."""
    assert 1_000 <= conductor._SILENT_MAX <= 100_000
    assert 1_000 <= unwinding._STEPS_MAX <= 100_000
