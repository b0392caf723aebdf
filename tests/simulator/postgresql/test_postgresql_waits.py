"""A blocked statement is an event: who waits, who is let go first, who dies; and the same again for the same schedule."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from simulator import Claims, Crash, Operator, World
from simulator.database.server_binaries import HOW_TO_GET_ONE

psycopg = pytest.importorskip("psycopg", reason=HOW_TO_GET_ONE)


# A blocked statement -----------------------------------------------------------------------------------------

WHO_WAITS = ("extend#1", "extend#1", "extend#2", "extend#2")


def test_a_blocked_statement_is_an_event_that_says_who_waits_for_whom(lab: Any) -> None:
    """The second UPDATE is announced, waits, and goes on as a step of its own after the first one's COMMIT."""
    with lab.world(lab.extensions(lab.add_in_place)) as simulation:
        outcome = simulation.execute(lab.order(*WHO_WAITS), detailed=True)
    assert outcome.failure is None
    assert lab.steps(outcome) == [
        "extend#1: UPDATE subscriptions",
        "extend#2: UPDATE subscriptions",
        "extend#1: COMMIT subscriptions",
        "extend#2: UPDATE subscriptions after waiting",
        "extend#2: COMMIT subscriptions",
    ]
    assert lab.notes(outcome) == ["waits for a lock held by extend#1 (UPDATE subscriptions)"]


def test_a_statement_that_waited_is_compared_with_what_it_met(lab: Any) -> None:
    """The report must not blame the second extension for the first one's change."""
    with lab.world(lab.extensions(lab.add_in_place)) as simulation:
        outcome = simulation.execute(lab.order(*WHO_WAITS), detailed=True)
    accesses = [access for step in sorted(outcome.trace.accesses) for access in outcome.trace.accesses[step]]
    changes = [access.changed for access in accesses if access.changed]
    assert changes == [
        ("subscriptions 1: expires_at 100 -> 130",),
        ("subscriptions 1: expires_at 130 -> 160",),
    ]
    assert [access.ends for access in accesses] == ["", "commit", "", "commit"]
    assert [access.transaction for access in accesses] == [1, 1, 2, 2]
    assert accesses[0].site.function == "add_in_place"
    assert accesses[0].outcome == "1 row"


def test_select_for_update_waits_and_then_reads_the_new_row(lab: Any) -> None:
    """The reader that waited sees what was committed meanwhile."""
    with lab.world(lab.extensions(lab.lock_then_write)) as simulation:
        outcome = simulation.execute(lab.order(*WHO_WAITS), detailed=True)
    assert outcome.failure is None
    assert "extend#2: SELECT subscriptions FOR UPDATE after waiting" in lab.steps(outcome)
    resumed = next(step for step, (_, point, _) in enumerate(outcome.trace.steps) if "after" in point)
    assert outcome.trace.accesses[resumed][0].outcome == "expires_at=130"


def test_a_lock_that_is_never_given_back_is_reported(lab: Any) -> None:
    """A world at rest in which a lane still waits names the lane that it waits for."""

    async def scenario(world: World) -> None:
        world.database.insert("subscriptions", id=1, expires_at=100)

        async def hold() -> None:
            connection = await world.database.connect()
            await connection.execute("UPDATE subscriptions SET expires_at = 1")
            await trio.Event().wait()

        world.run(Operator(hold), Operator(lab.add_in_place, world))
        await world.quiesce()

    with lab.world(scenario) as simulation:
        outcome = simulation.execute(lab.order("hold", "hold", "add_in_place", "add_in_place"))
    assert outcome.failure.kind == "deadlock"
    assert "add_in_place (main) waits for a lock held by hold (UPDATE subscriptions)" in str(outcome.failure)


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("forgiving", [True, False])
def test_an_insert_of_a_key_in_flight_waits_for_its_fate(lab: Any, commits: bool, forgiving: bool) -> None:
    """When the first one stays, the second fails (or inserts nothing); when it goes, the second one takes its place."""
    said: list[object] = []

    async def scenario(world: World) -> None:
        said.clear()

        async def first() -> None:
            connection = await world.database.connect()
            await connection.execute("INSERT INTO payments (key) VALUES ('pay:1')")
            await (connection.commit() if commits else connection.rollback())
            await connection.close()

        async def second() -> None:
            connection = await world.database.connect()
            conflict = "ON CONFLICT (key) DO NOTHING" if forgiving else ""
            try:
                cursor = await connection.execute(f"INSERT INTO payments (key) VALUES ('pay:1') {conflict}")
                said.append(cursor.rowcount)
            except psycopg.errors.UniqueViolation:
                said.append("refused")
            await connection.commit()
            await connection.close()

        world.run(Operator(first), Operator(second))
        await world.quiesce()
        assert len(world.database.rows("SELECT * FROM payments")) == 1

    with lab.world(scenario) as simulation:
        outcome = simulation.execute(lab.order("first", "first", "second", "second"), detailed=True)
    assert outcome.failure is None
    assert "second: INSERT payments after waiting" in lab.steps(outcome)
    assert said == [1 if not commits else 0 if forgiving else "refused"]


def test_an_autocommitted_statement_that_waited_is_committed_when_it_gets_its_lock(
    lab: Any,
) -> None:
    """Nobody has to move for its effect to be there: claims are asked after the step that freed it."""
    seen: list[int] = []

    def ends(world: World) -> None:
        seen.append(world.database.rows("SELECT expires_at FROM subscriptions")[0]["expires_at"])

    async def scenario(world: World) -> None:
        seen.clear()
        world.database.insert("subscriptions", id=1, expires_at=100)

        async def once() -> None:
            connection = await world.database.connect()
            await connection.set_autocommit(True)
            await connection.execute("UPDATE subscriptions SET expires_at = expires_at + 1")
            await connection.close()

        world.run(Operator(lab.add_in_place, world), Operator(once))
        await world.quiesce()

    with lab.world(scenario, claims=Claims(always=(ends,))) as simulation:
        outcome = simulation.execute(lab.order("add_in_place", "add_in_place", "once", "once"))
    assert outcome.failure is None
    assert seen[0] == 131
    assert lab.steps(outcome)[-1] == "once: UPDATE subscriptions after waiting"


def test_giving_up_on_a_lock_takes_virtual_time_and_ends_the_transaction(
    lab: Any,
) -> None:
    """A timeout of the code under test cancels the statement on the server; after a rollback all is well."""

    async def scenario(world: World) -> None:
        world.database.insert("subscriptions", id=1, expires_at=100)

        async def hold() -> None:
            connection = await world.database.connect()
            await connection.execute("UPDATE subscriptions SET expires_at = 130")
            await trio.sleep(60)
            await connection.commit()
            await connection.close()

        async def impatient() -> None:
            connection = await world.database.connect()
            with trio.move_on_after(5) as patience:
                await connection.execute("UPDATE subscriptions SET expires_at = 0")
            assert patience.cancelled_caught
            with pytest.raises(psycopg.errors.InFailedSqlTransaction):
                await connection.execute("SELECT 1")
            await connection.rollback()
            assert await lab.value_of(connection, "SELECT expires_at FROM subscriptions") == 100
            await connection.close()

        world.run(Operator(hold), Operator(impatient))
        await world.quiesce()
        assert world.database.rows("SELECT expires_at FROM subscriptions") == [{"expires_at": 130}]

    with lab.world(scenario) as simulation:
        outcome = simulation.execute(lab.order("hold", "hold", "impatient", "impatient"))
    assert outcome.failure is None
    assert outcome.trace.steps[-1][2] == 60.0


# Deadlocks ---------------------------------------------------------------------------------------------------


def crossing(world: World, said: list[str]) -> Callable[[str, int, int], Awaitable[None]]:
    """A program that updates two rows in a given order."""

    async def cross(name: str, one: int, other: int) -> None:
        connection = await world.database.connect()
        try:
            for row in (one, other):
                await connection.execute("UPDATE subscriptions SET expires_at = %s WHERE id = %s", (one, row))
            await connection.commit()
            said.append(f"{name} has committed")
        except psycopg.errors.DeadlockDetected as error:
            said.append(f"{name}: {error.sqlstate} {error.diag.sqlstate} {error.diag.message_primary}")
            said.append(str(error.diag.message_detail))
            said.append(connection.info.transaction_status.name)
            await connection.rollback()
        await connection.close()

    return cross


@pytest.mark.parametrize(("winner", "victim"), [("left", "right"), ("right", "left")])
def test_of_two_that_wait_for_each_other_the_one_that_closed_the_circle_fails(
    lab: Any, winner: str, victim: str
) -> None:
    """It gets what PostgreSQL's own detector gives, 40P01 and a failed transaction; the other one goes on."""
    said: list[str] = []

    async def scenario(world: World) -> None:
        said.clear()
        for row in (1, 2):
            world.database.insert("subscriptions", id=row, expires_at=0)
        cross = crossing(world, said)
        world.run(Operator(cross, "left", 1, 2, name="left"), Operator(cross, "right", 2, 1, name="right"))
        await world.quiesce()

    with lab.world(scenario) as simulation:
        outcomes = [
            simulation.execute(lab.order(winner, winner, victim, victim, winner, victim), detailed=True)
            for _ in range(10)
        ]
    assert outcomes[0].failure is None
    assert len({outcome.trace.digest() for outcome in outcomes}) == 1
    assert said == [
        f"{victim}: 40P01 40P01 deadlock detected",
        (
            f"{victim} (UPDATE subscriptions) waits for {winner};\n"
            f"{winner} (UPDATE subscriptions) waits for {victim}."
        ),
        "INERROR",
        f"{winner} has committed",
    ]


def test_a_circle_of_three_is_broken_once(lab: Any) -> None:
    """The two that are left come to their end."""
    said: list[str] = []

    async def scenario(world: World) -> None:
        said.clear()
        for row in (1, 2, 3):
            world.database.insert("subscriptions", id=row, expires_at=0)
        cross = crossing(world, said)
        for name, one, other in (("a", 1, 2), ("b", 2, 3), ("c", 3, 1)):
            world.run(Operator(cross, name, one, other, name=name))
        await world.quiesce()

    with lab.world(scenario) as simulation:
        outcome = simulation.execute(lab.order(*"aabbccabc"))
    assert outcome.failure is None
    assert [line for line in said if "deadlock" in line or "committed" in line] == [
        "c: 40P01 40P01 deadlock detected",
        "b has committed",
        "a has committed",
    ]


def test_a_circle_that_a_third_one_lets_close_ends_the_statement_that_closed_it(
    lab: Any,
) -> None:
    """A statement that gets its first row from a commit may meet its circle at the second: it fails where it waits."""
    said: list[str] = []

    async def scenario(world: World) -> None:
        said.clear()
        for row in (1, 2, 3):
            world.database.insert("subscriptions", id=row, expires_at=0)

        async def update(name: str, *batches: tuple[int, ...]) -> None:
            connection = await world.database.connect()
            try:
                for rows in batches:
                    await connection.execute(
                        "UPDATE subscriptions SET expires_at = 1 WHERE id = ANY(%s)", (list(rows),)
                    )
                await connection.commit()
                said.append(f"{name} has committed")
            except psycopg.errors.DeadlockDetected as error:
                said.append(f"{name}: {error.diag.message_detail}")
            await connection.close()

        world.run(Operator(update, "c", (1,), name="c"))
        world.run(Operator(update, "a", (2,), (1, 3), name="a"), Operator(update, "b", (3,), (2,), name="b"))
        await world.quiesce()

    with lab.world(scenario) as simulation:
        for _ in range(5):
            outcome = simulation.execute(lab.order(*"ccaabbabc"))
            assert outcome.failure is None, outcome.failure
    assert said == [
        "c has committed",
        "a: a (UPDATE subscriptions) waits for b;\nb (UPDATE subscriptions) waits for a.",
        "b has committed",
    ]


# Crashes -----------------------------------------------------------------------------------------------------


def two_processes(lab: Any, world: World) -> None:
    """A holder and a waiter, each in a process of its own, both extending subscription 1."""
    world.database.insert("subscriptions", id=1, expires_at=100)
    world.process("api").run(Operator(lab.add_in_place, world, name="holder"))
    world.process("bot").run(Operator(lab.add_in_place, world, name="waiter"))


def test_a_crash_frees_the_locks_of_the_dead_at_once(lab: Any) -> None:
    """Whoever waited goes on, on the row as it was before."""

    async def scenario(world: World) -> None:
        two_processes(lab, world)
        world.inject(Crash("api", down_s=None))
        await world.quiesce()
        assert world.database.rows("SELECT expires_at FROM subscriptions") == [{"expires_at": 130}]

    with lab.world(scenario) as simulation:
        order = lab.order("holder", "holder", "waiter", "waiter", "holder", crash_api=3)
        outcomes = [simulation.execute(order) for _ in range(5)]
    assert outcomes[0].failure is None
    assert len({outcome.trace.digest() for outcome in outcomes}) == 1
    assert lab.steps(outcomes[0]) == [
        "holder: UPDATE subscriptions",
        "waiter: UPDATE subscriptions",
        "waiter: UPDATE subscriptions after waiting",
        "waiter: COMMIT subscriptions",
    ]


def test_the_statement_of_a_waiter_that_crashes_never_happens(lab: Any) -> None:
    """Its clean-up code finds every door closed, and the next execution has a clean connection."""
    cleaned: list[str] = []

    async def scenario(world: World) -> None:
        cleaned.clear()
        world.database.insert("subscriptions", id=1, expires_at=100)
        world.process("api").run(Operator(lab.add_in_place, world, name="holder"))

        async def waiter() -> None:
            connection = await world.database.connect()
            try:
                await connection.execute("UPDATE subscriptions SET expires_at = 0")
            finally:
                cleaned.append("began")
                with trio.CancelScope(shield=True):
                    await connection.rollback()
                cleaned.append("ended")

        async def other() -> None:
            await trio.lowlevel.checkpoint()
            await world.point("other moves")
            await world.point("other moves again")

        world.process("bot").run(Operator(waiter), Operator(other))
        world.inject(Crash("bot", down_s=None))
        await world.quiesce()
        assert world.database.rows("SELECT expires_at FROM subscriptions") == [{"expires_at": 130}]

    with lab.world(scenario) as simulation:
        lanes = [*["holder"] * 2, *["waiter"] * 2, *["other"] * 4]
        outcome = simulation.execute(lab.order(*lanes, crash_bot=5))
        assert outcome.failure is None
        assert outcome.faults == 1
        assert cleaned == ["began"]
        assert simulation.execute(lab.order(*lanes)).failure is None
        assert cleaned == ["began", "ended"]


# The same again ----------------------------------------------------------------------------------------------


def test_the_same_schedule_is_the_same_execution_fifty_times(lab: Any) -> None:
    """Also when one step frees four lanes that want the same rows: they do not race each other."""

    async def scenario(world: World) -> None:
        for row in range(5):
            world.database.insert("subscriptions", id=row, expires_at=0)

        async def digit(mine: int) -> None:
            connection = await world.database.connect()
            append = "UPDATE subscriptions SET expires_at = expires_at * 10 + %s WHERE id IN (0, %s)"
            await connection.execute(append, (mine, mine))
            await connection.execute(append, (mine, 1))
            await connection.execute("INSERT INTO payments (key) VALUES ('k') ON CONFLICT DO NOTHING")
            await connection.commit()
            await connection.close()

        for number in range(5):
            world.run(Operator(digit, number, name=f"lane {number}"))
        await world.quiesce()
        rows = world.database.rows("SELECT * FROM subscriptions")
        world.note(str([tuple(row.values()) for row in rows]))  # unordered, on purpose

    with lab.world(scenario) as simulation:
        order = lab.order(*(f"lane {number}" for number in range(5) for _ in "12"), *["lane 0"] * 3)
        light = {simulation.execute(order).trace.digest() for _ in range(50)}
        detailed = {simulation.execute(order, detailed=True).trace.digest() for _ in range(10)}
    assert len(light) == 1
    assert len(detailed) == 1


def test_of_many_that_wait_for_a_key_the_first_in_the_queue_gets_it(lab: Any) -> None:
    """A rollback wakes them all at the same moment; only one may find out first."""
    got: list[str] = []

    async def scenario(world: World) -> None:
        async def put(name: str) -> None:
            connection = await world.database.connect()
            try:
                await connection.execute("INSERT INTO payments (key) VALUES (%s)", ("k",))
                await (connection.rollback() if name == "lane 0" else connection.commit())
                got.append(name)
            except psycopg.errors.UniqueViolation:
                await connection.rollback()
            await connection.close()

        for number in range(5):
            world.run(Operator(put, f"lane {number}", name=f"lane {number}"))
        await world.quiesce()

    with lab.world(scenario) as simulation:
        order = lab.order(*(f"lane {number}" for number in range(5) for _ in "12"), "lane 0")
        for _ in range(20):
            assert simulation.execute(order).failure is None
    assert got == ["lane 0", "lane 1"] * 20


@pytest.mark.parametrize("extend", ["add_in_place", "lock_then_write"])
def test_two_lanes_are_exact_also_where_server_processes_cannot_be_stopped(
    lab: Any, monkeypatch: pytest.MonkeyPatch, extend: str
) -> None:
    """As with a server on another machine: of two, only one can wait, so there is nothing to race for."""
    monkeypatch.setattr("simulator.database.postgresql_flight._works_for", lambda *_: False)
    with lab.world(lab.extensions(getattr(lab, extend))) as simulation:
        outcomes = [simulation.execute(lab.order(*WHO_WAITS), detailed=True) for _ in range(10)]
    assert outcomes[0].failure is None
    assert len({outcome.trace.digest() for outcome in outcomes}) == 1
