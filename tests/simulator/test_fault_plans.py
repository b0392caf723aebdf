"""Do several faults, in several phases and lives, get on with each other?"""

from __future__ import annotations

from typing import Any

import trio

from simulator import Claims, Crash, Operator, Pause, Restart, World
from simulator.database.sqlite import SqliteDatabase
from simulator.execution import Simulation
from simulator.schedulers.replay import Wish
from simulator.schedulers.seeded import Seeded

SCHEMA = "CREATE TABLE steps (who TEXT, n INTEGER); CREATE TABLE lost (who TEXT)"


def stubborn_writer(world: World, who: str, *, begun: list[str] | None = None) -> Any:
    """Two commits, and clean-up that tries everything: it commits, opens anew, shields itself, catches what it can."""

    async def cleans_up(connection: Any) -> None:
        with trio.CancelScope(shield=True):
            try:
                await connection.execute("INSERT INTO lost VALUES (?)", (who,))
                await connection.commit()
            finally:
                other = await world.database.connect()
                await other.execute("INSERT INTO lost VALUES (?)", (who,))

    async def child(connection: Any) -> None:
        try:
            await connection.execute("INSERT INTO steps VALUES (?, 2)", (who,))
            await connection.commit()
        except BaseException:
            await cleans_up(connection)
            raise

    async def write() -> None:
        if begun is not None:
            begun.append(who)
        connection = await world.database.connection()  # type: ignore[attr-defined]
        try:
            await connection.execute("INSERT INTO steps VALUES (?, 1)", (who,))
            await connection.commit()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(child, connection)
        except BaseException:
            await cleans_up(connection)
            raise
        await connection.close()

    return write


def test_a_grace_period_that_a_crash_cuts_short_does_not_kill_the_next_incarnation(execute: Any) -> None:
    """The old SIGKILL was meant for the process that is gone."""

    async def work(world: World) -> None:
        for _ in range(4):
            await world.point("work")
        await trio.sleep(10)

    async def scenario(world: World) -> None:
        process = world.process("p").run(Operator(work, world))
        world.inject(Restart("p", grace_s=1.6), Crash("p", down_s=0.5))
        await world.quiesce()
        assert process.incarnation == 2
        assert world.restarts("p") == 1

    assert execute(scenario, choices={"restart p": 2, "crash p": 3}).failure is None


def test_a_pause_ends_with_the_life_of_the_process(execute: Any) -> None:
    """A process that is killed while it is paused comes back awake."""
    seen: list[float] = []

    async def start(_process: Any) -> None:
        seen.append(trio.current_time())

    async def work(_app: None, world: World) -> None:
        await world.point("work")

    async def scenario(world: World) -> None:
        world.process("p", start).run(Operator(work, world))
        world.inject(Restart("p", grace_s=1, down_s=1), Pause("p", seconds=100))
        await world.quiesce()

    assert execute(scenario, choices={"restart p": 1, "pause p": 1}).failure is None
    assert seen == [2.0]


def test_the_same_fault_can_be_injected_twice(execute: Any) -> None:
    """Each has a moment of its own, under a name of its own; the second strikes the second life."""

    async def start(_process: Any) -> None:
        """Nothing to recover."""

    async def scenario(world: World) -> None:
        process = world.process("p", start)
        world.inject(Crash("p"), Crash("p"))
        await world.quiesce()
        assert process.incarnation == 3

    outcome = execute(scenario, choices={"crash p": 1, "crash p~2": 1})
    assert outcome.failure is None
    assert [name for name, _ in outcome.trace.choices] == ["crash p", "crash p~2"]
    assert outcome.faults == 2


def test_faults_of_a_later_phase_count_from_there(execute: Any) -> None:
    """A moment is a step that the process makes after the fault was planned."""

    async def work(world: World) -> None:
        for _ in range(3):
            await world.point("work")

    async def scenario(world: World) -> None:
        world.process("p").run(Operator(work, world))
        await world.quiesce()
        world.process("q")
        world._processes["p"].run(Operator(work, world, name="again"))
        world.inject(Crash("p"))
        await world.quiesce()

    outcome = execute(scenario, choices={"crash p": 2})
    assert [step[1] for step in outcome.trace.steps if step[0] == "fault"] == ["SIGKILL p before again: work"]


def test_faults_in_random_schedules_leave_the_simulation_clean() -> None:
    """Hundreds of executions with crashes, restarts and pauses: no false alarm, and no lock or connection stays behind."""

    async def scenario(world: World) -> None:
        for name in ("p", "q"):
            world.process(name).run(Operator(stubborn_writer(world, name), name=name))
        world.inject(Crash("p"), Restart("q"), Pause("p", seconds=3))
        await world.quiesce()
        assert world.database.rows("SELECT * FROM lost") == []

    database = SqliteDatabase(SCHEMA, busy_timeout_s=1_000)
    struck = 0
    with Simulation(scenario, Claims(), database, moments_otherwise=8) as simulation:
        for seed in range(200):
            outcome = simulation.execute(Seeded(seed))
            assert outcome.failure is None, (seed, outcome.failure)
            assert database.writer is None
            assert database._in_use == []
            struck += outcome.faults
        assert simulation.execute(Wish({}, [])).faults == 0
        assert len(database._idle) <= 4
    assert struck >= 150
