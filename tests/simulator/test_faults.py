"""Does a fault strike when it should, and leave what was committed and nothing else?"""

from __future__ import annotations

from typing import Any

import pytest
import trio

from simulator import Claims, Crash, Limits, Operator, Pause, Restart, World, explore
from simulator.database.sqlite import SqliteDatabase

SCHEMA = "CREATE TABLE steps (who TEXT, n INTEGER); CREATE TABLE lost (who TEXT)"


def committed_by(world: World, who: str) -> list[int]:
    return [row["n"] for row in world.database.rows("SELECT n FROM steps WHERE who = ? ORDER BY n", who)]


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


@pytest.mark.parametrize("fault", [Crash, Restart])
def test_a_crash_at_every_moment_leaves_what_was_committed_and_nothing_else(fault: Any) -> None:
    """In every schedule with one deviation: commits before the crash stay, what was open and all clean-up is gone."""
    counts = {"executions": 0, "struck": 0}

    async def scenario(world: World) -> None:
        begun: list[str] = []
        process = world.process("p").run(Operator(stubborn_writer(world, "p", begun=begun), name="write p"))
        world.process("q").run(Operator(stubborn_writer(world, "q"), name="write q"))
        world.inject(fault("p", down_s=None))
        await world.quiesce()
        steps = [step[:2] for step in world.conductor.trace.steps]
        commits = sum(lane.startswith("write p") and point == "COMMIT steps" for lane, point in steps)
        assert committed_by(world, "p") == list(range(1, commits + 1))
        assert committed_by(world, "q") == [1, 2]
        assert world.database.rows("SELECT * FROM lost") == []
        counts["executions"] += 1
        if not process.alive:
            counts["struck"] += 1

    found = explore(
        scenario,
        claims=Claims(),
        database=SqliteDatabase(SCHEMA),
        scheduler="bounded",
        limits=Limits(400, deviations_max=1),
    )
    assert found.failure is None, found.failure
    assert counts["executions"] >= 50
    assert counts["struck"] >= 8


def test_moment_0_is_never_and_a_late_moment_too(execute: Any) -> None:
    """No fault strikes, and the execution says so."""

    async def scenario(world: World) -> None:
        world.process("p").run(Operator(stubborn_writer(world, "p")))
        world.inject(Crash("p"), Restart("p"), Pause("p"))
        await world.quiesce()
        assert committed_by(world, "p") == [1, 2]
        assert world.restarts("p") == 0

    assert execute(scenario, schema=SCHEMA).faults == 0
    late = {"crash p": 30, "restart p": 31, "pause p": 32}
    outcome = execute(scenario, choices=late, schema=SCHEMA)
    assert outcome.failure is None
    assert outcome.faults == 0
    assert dict(outcome.trace.choices) == late


def test_a_graceful_restart_signals_waits_kills_and_starts_again(execute: Any) -> None:
    """SIGINT sets `stopping`; for the grace period the process goes on; then it is killed, and starts anew."""
    seen: list[Any] = []

    async def start(process: Any) -> int:
        seen.append(("up", process.incarnation, trio.current_time()))
        return int(process.incarnation)

    async def work(incarnation: int, world: World, process: Any) -> None:
        await world.point("work")
        await process.stopping.wait()
        seen.append(("told to stop", incarnation, trio.current_time()))
        await trio.sleep(1.5)
        seen.append(("still there", incarnation, trio.current_time()))
        await trio.sleep(1)
        seen.append("must not happen")

    async def scenario(world: World) -> None:
        process = world.process("p", start)
        process.run(Operator(work, world, process))
        world.inject(Restart("p"))
        await world.quiesce()
        assert process.incarnation == 2
        assert not process.stopping.is_set()
        assert world.restarts("p") == 1

    outcome = execute(scenario, choices={"restart p": 3})
    assert outcome.failure is None
    assert [event if isinstance(event, str) else event[:2] for event in seen] == [
        ("up", 1),
        ("told to stop", 1),
        ("still there", 1),
        ("up", 2),
    ]
    assert [event[2] for event in seen] == pytest.approx([0, 0, 1.5, 2.05])
    assert ("fault", "SIGINT p before work: work", 0.0) in outcome.trace.steps


def test_a_pause_holds_everything_and_ends(execute: Any) -> None:
    """Others go on for 45 seconds; the process's timers that came due meanwhile are seen when it wakes up."""
    seen: list[tuple[str, float]] = []

    async def sleeper(world: World, name: str) -> None:
        await world.point("sleep")
        with trio.move_on_after(10):
            await trio.sleep_forever()
        seen.append((name, trio.current_time()))

    async def scenario(world: World) -> None:
        world.process("p").run(Operator(sleeper, world, "paused", name="paused"))
        world.process("q").run(Operator(sleeper, world, "other", name="other"))
        world.inject(Pause("p"))
        await world.quiesce()

    assert execute(scenario, choices={"pause p": 2}).failure is None
    assert seen == [("other", 10.0), ("paused", 55.0)]


def test_a_second_instance_is_another_process(execute: Any) -> None:
    """Killing one of two instances leaves the other alone."""

    async def scenario(world: World) -> None:
        for name in ("api-1", "api-2"):
            world.process(name).run(Operator(stubborn_writer(world, name), name=name))
        world.inject(Crash("api-1", down_s=None))
        await world.quiesce()
        assert committed_by(world, "api-1") == []
        assert committed_by(world, "api-2") == [1, 2]

    assert execute(scenario, choices={"crash api-1": 2}, schema=SCHEMA).failure is None


@pytest.mark.parametrize(
    "where", ["waits for the lock", "holds the lock", "sleeps", "at an event", "before it runs"]
)
def test_a_process_dies_wherever_it_is(where: str, execute: Any) -> None:
    """Waiting for the lock, holding it, asleep, at an unannounced checkpoint, not begun: it is gone, its lock is free."""
    reached: list[str] = []

    async def doomed(world: World) -> None:
        reached.append("begun")
        connection = await world.database.connect()
        if where in {"holds the lock", "waits for the lock"}:
            await connection.execute("BEGIN IMMEDIATE")
            reached.append("has the lock")
            await world.point("dies here")
        elif where == "sleeps":
            await trio.sleep(60)
        else:
            await trio.Event().wait()
        reached.append("must not happen")

    async def clock(world: World) -> None:
        await trio.sleep(1)
        await world.point("strike")

    async def other(world: World) -> None:
        connection = await world.database.connect()
        await connection.execute("BEGIN IMMEDIATE")
        await trio.sleep(2)
        await connection.execute("INSERT INTO steps VALUES ('other', 1)")
        await connection.execute("COMMIT")
        await connection.close()
        reached.append(f"other committed at {trio.current_time():.0f}")

    async def scenario(world: World) -> None:
        process = world.process("p").run(Operator(doomed, world))
        if where not in {"holds the lock", "before it runs"}:
            process.run(Operator(clock, world))  # its step at +1 s is where the crash strikes
        world.process("q").run(Operator(other, world))
        world.inject(Crash("p", down_s=None))
        await world.quiesce()
        assert committed_by(world, "other") == [1]

    moments = {"before it runs": 1, "holds the lock": 3, "waits for the lock": 4}
    first = "other" if where == "waits for the lock" else "doomed"
    outcome = execute(scenario, (first, 2), choices={"crash p": moments.get(where, 3)}, schema=SCHEMA)
    assert outcome.failure is None
    assert outcome.faults == 1
    expected = {"before it runs": [], "holds the lock": ["begun", "has the lock"]}.get(where, ["begun"])
    assert reached == [*expected, "other committed at 2"]
