"""A critical section is one step where nobody can tell, and only there: the states are those of every interleaving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import trio

from simulator import Bounds, Claims, Crash, Exploration, Operator, World, explore
from simulator.database.sqlite import SqliteDatabase
from simulator.database.sqlite_effects import ConnectionEffects
from simulator.effects import Collected
from simulator.faults import Fault
from simulator.reduction import context
from simulator.runtime import conductor, sections
from simulator.schedulers.base import Limits
from tests.simulator.exhaustive.brute_force import (
    TABLE,
    Explored,
    Program,
    Small,
    State,
    all_of,
    of_programs,
    searched,
    searched_with_faults,
)
from tests.simulator.exhaustive.litmus import READ
from tests.simulator.exhaustive.test_resuming import Kept

BEGIN = "BEGIN IMMEDIATE"
OTHER = "SELECT v FROM t WHERE id = 2"
LOOKS: Program = [BEGIN, READ, "COMMIT"]
CHANGES: Program = [BEGIN, "UPDATE t SET v = v * 3 + 1 WHERE id = 1", "COMMIT"]
CHANGES_ANOTHER: Program = [BEGIN, "UPDATE t SET v = v * 3 + 1 WHERE id = 2", "COMMIT"]
CHANGES_NOTHING: Program = [BEGIN, "UPDATE t SET v = 7 WHERE id = 3", OTHER, "COMMIT"]
ADDS: Program = [BEGIN, "INSERT INTO t (id, v) VALUES (3, 5)", "COMMIT"]
FAILS: Program = [BEGIN, "INSERT INTO t (id, v) VALUES (3, 5)", "ROLLBACK"]
DOES_NOT_WAIT: Program = ["PRAGMA busy_timeout = 0", *CHANGES]


def agree(small: Callable[[], Small]) -> Explored:
    """Finds what every interleaving finds, and begins nothing in vain."""
    found, every = searched(small()), all_of(small(), waiting_is_a_step=False)
    assert every is not None
    assert set(found.states) == set(every.states)
    assert set(found.classes) == set(every.classes)
    assert found.executions == len(every.classes)
    assert found.atomic_sections == every.atomic_sections
    return found


@pytest.mark.parametrize(
    ("programs", "classes"),
    [
        ([LOOKS] * 3, 1),
        ([LOOKS, LOOKS, CHANGES_ANOTHER], 1),
        ([LOOKS, LOOKS, CHANGES], 4),
        ([CHANGES, CHANGES_ANOTHER], 2),
        ([CHANGES_NOTHING, CHANGES], 2),
        ([CHANGES_NOTHING] * 3, 1),
        ([FAILS, ADDS], 2),
        ([[BEGIN, READ, "COMMIT", BEGIN, OTHER, "COMMIT"], CHANGES], 2),
        ([["BEGIN", READ, OTHER, "COMMIT"], CHANGES_ANOTHER, LOOKS], 2),
    ],
)
def test_two_sections_that_only_looked_are_of_one_class_in_either_order(
    programs: list[Program], classes: int
) -> None:
    """Who looked and who changed something have an order where they met; those who changed something always have one."""
    found = agree(lambda: of_programs(*programs))
    assert found.atomic_sections
    assert len(found.classes) == classes


@pytest.mark.parametrize(
    "programs",
    [
        [DOES_NOT_WAIT, CHANGES],
        [DOES_NOT_WAIT, LOOKS],
        [["BEGIN", READ, "UPDATE t SET v = 5 WHERE id = 1", "COMMIT"], LOOKS],
        [["PRAGMA busy_timeout = 0", "UPDATE t SET v = 5 WHERE id = 1"], CHANGES],
    ],
)
def test_where_somebody_would_be_refused_within_a_section_there_are_choices_in_it(
    programs: list[Program],
) -> None:
    """To be refused is something that can only happen there."""
    found = agree(lambda: of_programs(*programs))
    assert not found.atomic_sections
    assert any("database is locked" in str(state) for state in found.states)


def test_the_search_starts_over_when_somebody_would_not_wait_and_says_what_a_section_was() -> None:
    """Wherever it stood; with helpers as without, and across runs."""
    whole = claimed(of_programs(LOOKS, CHANGES))
    assert any("what is done under it is one step" in line for line in whole.details)
    fine = claimed(of_programs(CHANGES, DOES_NOT_WAIT))
    assert not any("is one step" in line for line in fine.details)
    assert fine.details[0].endswith("up to equivalence, 1 execution led to nothing new")
    assert fine.executions == fine.interleavings + 1
    helped = claimed(of_programs(CHANGES, DOES_NOT_WAIT), processes=2)
    assert (helped.executions, helped.details) == (fine.executions, fine.details)
    kept = Kept()
    assert claimed(of_programs(CHANGES, DOES_NOT_WAIT), executions=3, frontier=kept).verdict == "inconclusive"
    resumed = claimed(of_programs(CHANGES, DOES_NOT_WAIT), frontier=kept)
    assert (resumed.executions, resumed.details) == (fine.executions, fine.details)


def claimed(
    small: Small, *, executions: int = 1_000, processes: int = 1, frontier: Kept | None = None
) -> Exploration:
    """What the whole search says."""
    return explore(
        small.scenario,
        claims=Claims(),
        database=small.database,
        scheduler="exhaustive",
        limits=Limits(executions),
        bounds=Bounds(early_timers_max=0),
        processes=processes,
        frontier=frontier,
    )


# Each condition is needed ------------------------------------------------------------------------------------------


def misses(small: Callable[[], Small]) -> bool:
    """Whether there are states that the search does not find."""
    every = all_of(small(), waiting_is_a_step=False)
    assert every is not None
    found = set(searched(small()).states)
    assert found <= set(every.states)
    return found != set(every.states)


def test_a_look_under_the_lock_that_is_forgotten_costs_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConnectionEffects, "_look_under_the_lock", lambda *_: None)
    assert misses(lambda: of_programs(LOOKS, CHANGES))
    assert misses(lambda: of_programs(CHANGES_NOTHING, ADDS))


def test_a_change_that_is_forgotten_costs_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that changed something neither tells all that it has looked at."""
    again = [BEGIN, "UPDATE t SET v = v * 3 + 2 WHERE id = 1", "COMMIT"]
    complete = context.Context._completed

    def forgetful(self: context.Context, effects: Any, process: str) -> Any:
        done = complete(self, effects, process)
        return context.replace(done, writes=done.writes - {context.CHANGES})

    monkeypatch.setattr(context.Context, "_completed", forgetful)
    assert misses(lambda: of_programs(CHANGES, again))
    assert misses(lambda: of_programs(FAILS, ADDS))


def test_one_who_would_not_wait_and_is_taken_for_one_who_would_costs_states(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    take = Collected.take
    monkeypatch.setattr(Collected, "take", lambda self, lock, waits: take(self, lock, waits=waits or True))
    assert misses(lambda: of_programs(DOES_NOT_WAIT, CHANGES))


def test_a_lane_that_shares_its_process_is_met_within_its_section(monkeypatch: pytest.MonkeyPatch) -> None:
    """They share memory."""
    assert not misses(neighbours)
    monkeypatch.setattr(conductor, "is_alone", lambda *_: True)
    assert misses(neighbours)


def test_a_lane_that_another_process_starts_is_met_within_a_section(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a lane is alone depends on who came first: that it is started conflicts with the section."""
    assert not misses(visited)
    monkeypatch.setattr("simulator.process.LANES", ("nobody", "reads", "this"))
    assert misses(visited)


def test_who_wakes_while_a_section_waits_is_met_within_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else could move when it began to wait, so nobody was asked."""
    waits = ["SLEEP 1", *CHANGES[:2], "SLEEP 1", "COMMIT"]
    wakes = ["SLEEP 2", READ]
    assert len(agree(lambda: of_programs(waits, wakes)).states) == 2
    monkeypatch.setattr(sections.Sections, "time_passes", lambda *_: None)
    monkeypatch.setattr(sections, "all", lambda _each: True, raising=False)  # nor who woke
    with pytest.raises(AssertionError, match="time passed within a critical section"):
        searched(of_programs(waits, wakes))


@pytest.mark.parametrize("deed", ["starts", "interrupts"])
def test_whom_a_section_sets_going_is_met_within_it(deed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement's step may do more than its statement."""
    assert not misses(lambda: setting_going(deed))
    monkeypatch.setattr(sections, "_is_of_statements", lambda _did: True)
    monkeypatch.setattr(sections, "all", lambda _each: True, raising=False)
    assert misses(lambda: setting_going(deed))


def test_one_who_is_set_going_by_nothing_that_is_recorded_is_met_as_well() -> None:
    """Somebody became able to move."""
    assert not misses(lambda: setting_going("has it started"))


def test_a_death_after_a_deed_within_a_section_is_a_moment_of_its_own() -> None:
    """What was written is rolled back, and what was done to others stays."""
    small = setting_going("starts", faults=[Crash("p", None)])
    small.moments = 8
    every = all_of(small, waiting_is_a_step=True)
    assert every is not None
    found = searched_with_faults(setting_going("starts", faults=[Crash("p", None)]))
    assert set(found.states) == set(every.states)


def test_a_claim_is_asked_about_the_state_before_the_first_change() -> None:
    """By a commit that wrote and changed nothing; so its order matters."""
    small = of_programs(["UPDATE t SET v = 1 WHERE id = 1", ADDS[1]], ["DELETE FROM t WHERE id = 9"], [READ])
    result = explore(
        small.scenario,
        claims=Claims(always=(NothingIsZero(),)),
        database=small.database,
        scheduler="exhaustive",
        limits=Limits(100),
        bounds=Bounds(early_timers_max=0),
    )
    assert result.verdict == "violated"


class NothingIsZero:
    """Violated until the first row is changed."""

    name = "nothing is zero"
    sql = "SELECT v FROM t WHERE id = 1 AND v = 0"


def test_a_call_within_a_section_is_met_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one's call may come between the section's statement and its own."""
    assert not misses(callers)
    monkeypatch.setattr(sections, "_STATEMENTS", sections._STATEMENTS | {"call", "reply"})
    monkeypatch.setattr(sections, "_is_of_statements", lambda _did: True)
    assert misses(callers)


def neighbours() -> Small:
    """Two lanes of one process; one of them counts in a section, the other without."""

    def lanes(world: World, memory: list[int]) -> None:
        async def counts() -> None:
            seen = memory[0]
            await trio.lowlevel.checkpoint()
            memory[0] = seen + 1

        world.process("p").run(Operator(counting, world, memory, name="a"), Operator(counts, name="b"))

    return remembering(lanes)


def visited() -> Small:
    """A lane that is started by another process looks at what a section does in two steps."""

    def lanes(world: World, memory: list[int]) -> None:
        async def looks() -> None:
            memory.append(memory[0])

        process = world.process("p").run(Operator(counting, world, memory, name="a"))

        async def visits() -> None:
            await world.call("a visit", lambda: process.start_soon(looks, name="b"), touches="a visit")

        world.process("q").run(Operator(visits, name="c"))

    return remembering(lanes)


def setting_going(deed: str, *, faults: Sequence[Fault] = ()) -> Small:
    """A section that gets another process's lane to look at what it is about to change."""

    def lanes(world: World, memory: list[int]) -> None:
        other = world.process("q")

        async def looks() -> None:
            async with world.database.connection(isolation_level=None) as connection:  # type: ignore[attr-defined]
                ((value,),) = await (await connection.execute(READ)).fetchall()
            memory.append(value)

        async def looks_when_stopped() -> None:
            await other.stopping.wait()
            await looks()

        deeds: dict[str, Callable[[], object]] = {
            "starts": lambda: other.start_soon(looks, name="b"),
            "interrupts": other.interrupt,
            "has it started": lambda: world.act_at(
                world.clock.now_s, lambda: other.start_soon(looks, name="b")
            ),
        }
        if deed == "interrupts":
            other.run(Operator(looks_when_stopped, name="b"))

        async def changes() -> None:
            async with world.database.connection(isolation_level=None) as connection:  # type: ignore[attr-defined]
                await connection.execute(BEGIN)
                deeds[deed]()
                await connection.execute("UPDATE t SET v = 1 WHERE id = 1")
                await connection.commit()

        world.process("p").run(Operator(changes, name="a"))

    return remembering(lanes, faults=faults)


def callers() -> Small:
    """Two processes that call the same service, one of them twice within a section."""

    def lanes(world: World, memory: list[int]) -> None:
        def called(digit: int) -> Callable[[], None]:
            return lambda: memory.append(digit)

        async def in_a_section() -> None:
            async with world.database.connection(isolation_level=None) as connection:  # type: ignore[attr-defined]
                await connection.execute(BEGIN)
                for digit in (1, 2):
                    await world.call("service", called(digit), touches="service")
                await connection.commit()

        async def calls() -> None:
            await world.call("service", called(3), touches="service")

        world.process("p").run(Operator(in_a_section, name="a"))
        world.process("q").run(Operator(calls, name="b"))

    return remembering(lanes)


async def counting(world: World, memory: list[int]) -> None:
    """Counts to two, a step each, in a critical section."""
    database: Any = world.database
    async with database.connection(isolation_level=None) as connection:
        await connection.execute(BEGIN)
        seen = memory[0]
        await connection.execute(READ)
        memory[0] = seen + 1
        await connection.execute(READ)
        memory[0] += 1
        await connection.commit()


def remembering(lanes: Callable[[World, list[int]], None], *, faults: Sequence[Fault] = ()) -> Small:
    """A world whose state is what some memory holds in the end, and the table."""
    memory: list[int] = []

    async def scenario(world: World) -> None:
        memory[:] = [0]
        world.database.insert("t", id=1, v=0)
        lanes(world, memory)
        world.inject(*faults)
        await world.quiesce()

    def look(world: World) -> State:
        return (*memory, *(row["v"] for row in world.database.rows("SELECT v FROM t")))

    return Small(scenario, look, SqliteDatabase(TABLE))
