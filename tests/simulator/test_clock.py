"""Does every clock show the same time, and do timers fire when a schedule says so and never when it may not?"""

from __future__ import annotations

import datetime as datetime_module
import time
from datetime import UTC, datetime, timedelta
from time import monotonic as captured_monotonic
from time import time as captured_time
from typing import Any

import pytest
import trio

from simulator import Bounds, Claims, Operator, SimulatorError, World
from simulator.clock import Clock, RealTime
from simulator.database import NoDatabase
from simulator.execution import Simulation
from simulator.schedulers.replay import Wish
from simulator.schedulers.seeded import Seeded

START = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA = """
CREATE TABLE stamped (id INTEGER PRIMARY KEY, at TEXT DEFAULT CURRENT_TIMESTAMP, day TEXT DEFAULT CURRENT_DATE,
    clock TEXT DEFAULT CURRENT_TIME, epoch INTEGER DEFAULT (unixepoch()), value INTEGER);
CREATE INDEX by_day ON stamped (date(at));
CREATE TRIGGER touched AFTER UPDATE OF value ON stamped BEGIN
    UPDATE stamped SET at = datetime('now') WHERE id = new.id;
END;
"""


def timers(*durations: float, held: list[float] | None = None) -> Any:
    """A scenario with a sleeper per duration, and a lane with operations that timers can overtake."""

    async def scenario(world: World) -> None:
        async def operate(what: str) -> None:
            announced = trio.current_time()
            await world.point(what)
            if held is not None:
                held.append(trio.current_time() - announced)

        async def sleeper(seconds: float) -> None:
            await trio.sleep(seconds)
            await operate(f"awake after {seconds}")

        async def worker() -> None:
            for number in range(3):
                await operate(f"operation {number}")

        for seconds in durations:
            world.process(f"p{seconds}").run(Operator(sleeper, seconds, name=f"sleeper{seconds}"))
        world.process("q").run(Operator(worker))
        await world.quiesce()

    return scenario


def early(outcome: Any) -> list[float]:
    return [now for lane, _, now in outcome.trace.steps if lane == "clock"]


def test_all_clocks_agree(execute: Any) -> None:
    """trio, time, datetime and SQLite read one clock, at the start and after a sleep that takes no real time."""
    readings: list[tuple[Any, ...]] = []

    async def read(world: World) -> None:
        await trio.sleep(86_399.25)
        (row,) = world.database.rows("SELECT unixepoch(), strftime('%s', 'now') AS s, julianday('now') AS j")
        readings.append((trio.current_time(), time.time(), time.time_ns(), datetime.now(UTC), row))

    async def scenario(world: World) -> None:
        world.begin_at(datetime(2026, 1, 8, 20, 27, 23, tzinfo=UTC))
        world.run(Operator(read, world))
        await world.quiesce()
        assert world.clock.now() == datetime.now(UTC)

    began = RealTime.perf_counter()
    assert execute(scenario, schema=SCHEMA).failure is None
    assert RealTime.perf_counter() - began < 60
    ((loop, unix, nanoseconds, wall, row),) = readings
    assert loop == 86_399.25
    assert wall == datetime(2026, 1, 9, 20, 27, 22, 250_000, tzinfo=UTC)
    assert unix == wall.timestamp()
    assert nanoseconds == pytest.approx(unix * 1e9, abs=1_000)
    assert row["unixepoch()"] == int(row["s"]) == int(unix)
    assert row["j"] == pytest.approx(2440587.5 + unix / 86_400, abs=1e-8)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("current_timestamp", "2026-01-31 23:59:59"),
        ("CURRENT_DATE", "2026-01-31"),
        ("current_time", "23:59:59"),
        ("datetime()", "2026-01-31 23:59:59"),
        ("datetime('now')", "2026-01-31 23:59:59"),
        ("datetime('NOW', '+1 day')", "2026-02-01 23:59:59"),
        ("date('now', 'start of month', '+1 month', '-1 day')", "2026-01-31"),
        ("time('now', '+1 second')", "00:00:00"),
        ("strftime('%Y')", "2026"),
        ("strftime('%f', 'now')", "59.125"),
        ("unixepoch('now') - unixepoch()", 0),
        ("round((julianday('now') - julianday('2026-01-31')) * 24)", 24.0),
        ("datetime('2020-02-29', '+1 year')", "2021-03-01 00:00:00"),
        ("datetime(0, 'unixepoch')", "1970-01-01 00:00:00"),
        ("datetime(NULL)", None),
        ("datetime('not a time')", None),
    ],
)
def test_sqlite_asks_the_virtual_clock(sql: str, expected: object, execute: Any) -> None:
    """Each way of asking for the time gets the virtual one, and what is no question for it is left to SQLite."""

    async def scenario(world: World) -> None:
        world.begin_at(datetime(2026, 1, 31, 23, 59, 59, 125_000, tzinfo=UTC))
        assert world.database.rows(f"SELECT {sql} AS answer") == [{"answer": expected}]
        await world.quiesce()

    assert execute(scenario, schema=SCHEMA).failure is None


def test_column_defaults_triggers_and_indexes_use_the_virtual_clock(execute: Any) -> None:
    """What the schema asks for the time, when a row comes or changes, is virtual as well."""

    async def write(world: World) -> None:
        async with world.database.connection() as connection:
            await trio.sleep(90)
            await connection.execute("INSERT INTO stamped (id) VALUES (1)")
            await trio.sleep(3600)
            await connection.execute("UPDATE stamped SET value = 1")
            await connection.commit()

    async def scenario(world: World) -> None:
        world.run(Operator(write, world))
        await world.quiesce()
        assert world.database.rows("SELECT * FROM stamped WHERE date(at) = '2026-01-01'") == [
            {
                "id": 1,
                "at": "2026-01-01 01:01:30",
                "day": "2026-01-01",
                "clock": "00:01:30",
                "epoch": int(START.timestamp()) + 90,
                "value": 1,
            }
        ]

    assert execute(scenario, schema=SCHEMA).failure is None


def test_references_taken_at_import_are_frozen_too_and_all_are_real_again_afterwards() -> None:
    """`from time import time`, at the top of a module, shows virtual time inside and real time outside."""
    real = [time.time, time.monotonic, captured_time, captured_monotonic, datetime_module.datetime]
    seen: list[float] = []

    async def look() -> None:
        await trio.sleep(100)
        seen.extend([captured_time(), time.time(), datetime_module.datetime.now(UTC).timestamp()])
        seen.append(captured_monotonic() - time.monotonic())

    async def scenario(world: World) -> None:
        world.run(Operator(look))
        await world.quiesce()

    with Simulation(scenario, Claims(), NoDatabase()) as simulation:
        assert simulation.execute(Wish({}, [])).failure is None
    assert seen == [START.timestamp() + 100] * 3 + [0.0]
    assert [time.time, time.monotonic, captured_time, captured_monotonic, datetime_module.datetime] == real
    assert captured_time() > START.timestamp()
    assert captured_monotonic() <= time.monotonic()


def test_time_starts_anew_for_each_execution() -> None:
    """An execution that slept leaves nothing to the next one, whatever time it began at."""
    began: list[tuple[float, float]] = []

    async def sleep() -> None:
        await trio.sleep(1_000)

    async def scenario(world: World) -> None:
        began.append((trio.current_time(), time.time()))
        world.begin_at(datetime(2030, 1, 1, tzinfo=UTC))
        world.run(Operator(sleep))
        await world.quiesce()

    with Simulation(scenario, Claims(), NoDatabase()) as simulation:
        for _ in range(3):
            simulation.execute(Wish({}, []))
    assert began == [(0.0, START.timestamp())] * 3


def test_a_start_needs_a_zone_and_comes_first(execute: Any) -> None:
    """A naive start would differ between machines, and time does not run backwards."""

    async def naive(world: World) -> None:
        world.begin_at(datetime(2026, 1, 1))  # noqa: DTZ001 - this is what is tested

    async def late(world: World) -> None:
        await world.quiesce()
        world.begin_at(START)

    with pytest.raises(ValueError, match="time zone"):
        execute(naive)
    with pytest.raises(SimulatorError, match=r"begin_at\(\) comes first"):
        execute(late)


def test_a_start_in_another_zone_is_the_same_moment() -> None:
    """Moscow's midnight is nine in the evening, UTC."""
    clock = Clock()
    clock.begin(datetime(2026, 1, 9, tzinfo=datetime_module.timezone(timedelta(hours=3))))
    assert clock.now() == datetime(2026, 1, 8, 21, tzinfo=UTC)


@pytest.mark.parametrize("seed", range(40))
def test_timers_fire_early_only_within_the_bounds(seed: int, execute: Any) -> None:
    """In random schedules: never more often than allowed, and no operation is held longer than the latency bound."""
    bounds = Bounds(early_timers_max=2, latency_bound_s=10)
    held: list[float] = []
    outcome = execute(timers(4, 9, 14, 40, held=held), scheduler=Seeded(seed), bounds=bounds)
    assert outcome.failure is None
    assert len(early(outcome)) <= 2
    assert len(held) == 7
    assert max(held) <= 10
    assert [now for _, _, now in outcome.trace.steps] == sorted(now for _, _, now in outcome.trace.steps)


def test_early_timers_do_happen(execute: Any) -> None:
    """A timer overtakes an operation that is in flight: at 4 s the worker's operation is still to come."""
    outcome = execute(timers(4), ("sleeper4", 1), ("q", 0), ("clock", 1), ("sleeper4", 9))
    assert early(outcome) == [4.0]
    assert ("worker", "operation 0", 4.0) in outcome.trace.steps


@pytest.mark.parametrize("bounds", [Bounds(early_timers_max=0), Bounds(latency_bound_s=3.9)])
def test_early_timers_can_be_forbidden(bounds: Bounds, execute: Any) -> None:
    """With no early timers, or a bound below the timer, the worker is done before time moves."""
    outcome = execute(timers(4), ("sleeper4", 1), ("clock", 9), bounds=bounds)
    assert early(outcome) == []
    assert ("worker", "operation 2", 0.0) in outcome.trace.steps


def test_timers_that_are_due_together_fire_together_and_in_any_order(execute: Any) -> None:
    """Who goes first at the same moment is a choice."""

    async def sleeper(world: World) -> None:
        await trio.sleep(5)
        await world.point("awake")

    async def scenario(world: World) -> None:
        for name in ("a", "b", "c"):
            world.process(name).run(Operator(sleeper, world, name=name))
        await world.quiesce()

    for order in ("abc", "cab", "bca"):
        outcome = execute(scenario, ("a", 1), ("b", 1), ("c", 1), *[(name, 1) for name in order])
        assert [lane for lane, point, now in outcome.trace.steps if now == 5] == list(order)


def test_a_timer_beyond_all_calendars_is_told(execute: Any) -> None:
    """When everyone waits for the year 33000, the error says so."""

    async def sleep() -> None:
        await trio.sleep(1e12)

    async def scenario(world: World) -> None:
        world.run(Operator(sleep))
        await world.quiesce()

    with pytest.raises(SimulatorError, match="which no calendar has"):
        execute(scenario)
