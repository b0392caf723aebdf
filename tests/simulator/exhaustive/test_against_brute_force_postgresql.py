"""On PostgreSQL, too, no final state is missed and no class executed twice; and each part of the effects is needed for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from simulator import Crash
from simulator.database.server_binaries import HOW_TO_GET_ONE
from simulator.reduction.context import Context
from simulator.reduction.dependence import Dependence
from simulator.reduction.events import Causality, Race
from simulator.reduction.search import Reduction
from simulator.reduction.validator import Validator
from tests.simulator.exhaustive.brute_force import Explored, Program, all_of, searched, searched_with_faults
from tests.simulator.exhaustive.postgresql_programs import (
    ADD,
    FOUR_ROWS,
    KNOTTED,
    LITMUS,
    LOCK,
    LOST_UPDATE,
    READ,
    at_random,
    in_a_locked_section,
    in_one_statement,
    of_programs,
    own_row,
)

pytest.importorskip("psycopg", reason=HOW_TO_GET_ONE)
pytest.importorskip("sqlglot", reason=HOW_TO_GET_ONE)

from simulator.database.postgresql_effects import ConnectionEffects
from simulator.database.postgresql_touch import Held, Touched

STATEMENTS = [
    READ,
    "SELECT v FROM t WHERE id = 2",
    "SELECT SUM(v) FROM t",
    "SELECT id FROM t WHERE v = 0",
    LOCK,
    "SELECT id FROM t WHERE v = 0 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED",
    "SELECT v FROM t WHERE id = 2 FOR SHARE",
    "SELECT id FROM t WHERE v = {number} ORDER BY id FOR UPDATE",
    "UPDATE t SET v = v * 3 + {number} WHERE id = 1",
    "UPDATE t SET v = v * 3 + {number} WHERE id = 2",
    "UPDATE t SET v = {number} WHERE v = 0",
    "UPDATE t SET id = id + 10 WHERE id = 1",
    "UPDATE t SET v = (SELECT v FROM t WHERE id = 2) + 1 WHERE id = 1",
    "INSERT INTO t (id, v) VALUES (3, {number})",
    "INSERT INTO t (id, v) VALUES (1, 7), (3, {number}) ON CONFLICT (id) DO UPDATE SET v = t.v * 3 + excluded.v",
    "INSERT INTO t (id, v) VALUES (3, {number}) ON CONFLICT DO NOTHING",
    "INSERT INTO t (id, v) SELECT id + 20, v FROM t WHERE id = 1",
    "INSERT INTO child (id, t_id) VALUES ({number}, 1)",
    "INSERT INTO child (id, t_id) VALUES (1, 2)",
    "INSERT INTO goes_along (id, t_id) VALUES ({number}, 2)",
    "UPDATE child SET t_id = 2 WHERE id = 1",
    "INSERT INTO late (id, t_id) VALUES ({number}, 3)",
    "SELECT COUNT(*) FROM goes_along WHERE t_id = 2",
    "DELETE FROM t WHERE id = 2",
    "DELETE FROM t WHERE v = {number}",
    "INSERT INTO counted (name) VALUES ('{number}') RETURNING id",
    "INSERT INTO counted (id, name) VALUES (1, 'x') ON CONFLICT (name) DO NOTHING",
]
statements = st.sampled_from(STATEMENTS)
ends = st.sampled_from([["COMMIT"], ["COMMIT"], ["COMMIT"], ["ROLLBACK"], []])


@st.composite
def sql_programs(draw: st.DrawFn) -> list[Program]:
    """Two actors of up to two statements in a transaction or not, or three with one."""
    actors = draw(st.sampled_from([2, 2, 2, 3]))
    return [_program(draw, number, 2 if actors == 2 else 1) for number in range(1, actors + 1)]


def _program(draw: st.DrawFn, number: int, longest: int) -> Program:
    body = [each.format(number=number) for each in draw(st.lists(statements, min_size=1, max_size=longest))]
    return ["BEGIN", *body, *draw(ends)] if draw(st.booleans()) else body


def compared(url: str, programs: Sequence[Program], *, at_most: int) -> tuple[Explored, Explored] | None:
    """What the search and the brute force find; None when there are more interleavings than so many."""
    every = all_of(of_programs(url, *programs), waiting_is_a_step=True, at_most=at_most)
    return None if every is None else (searched(of_programs(url, *programs)), every)


@pytest.mark.parametrize("name", LITMUS)
def test_every_state_that_an_interleaving_ends_in_is_found_and_no_class_is_executed_twice(
    postgresql_url: str, name: str
) -> None:
    """An attempt that has to wait is a step: for the search as for the brute force."""
    found, every = compared(postgresql_url, LITMUS[name], at_most=1_000) or (None, None)
    assert found is not None
    assert every is not None
    assert set(found.states) == set(every.states)
    assert set(found.classes) == set(every.classes)
    assert found.executions == len(every.classes)
    assert found.strayed == 0


@pytest.mark.parametrize(
    ("programs", "classes", "states"),
    [
        ([LOST_UPDATE] * 2, 6, 3),
        ([in_a_locked_section(1), in_a_locked_section(2)], 4, 2),
        ([in_a_locked_section(1), in_a_locked_section(2), in_a_locked_section(3)], 30, 6),
        ([["BEGIN", ADD, "COMMIT"]] * 3, 30, 1),
        (LITMUS["read skew"], 3, 3),
        (LITMUS["lock-order deadlock"], 6, 3),
        ([own_row(1), own_row(2), own_row(3), own_row(4)], 1, 1),
    ],
)
def test_how_many_traces_there_are(
    postgresql_url: str, programs: list[Program], classes: int, states: int
) -> None:
    """As the literature has it; three that want one lock by hand: an order of them, and for each order the second attempt
    comes before the first COMMIT, then the third one has three places, or after it, then it has two: 6 x 5.
    """
    found = searched(of_programs(postgresql_url, *programs, rows=FOUR_ROWS))
    ends = (
        {rows for rows, *_ in found.states} if programs[0] == ["BEGIN", ADD, "COMMIT"] else set(found.states)
    )
    assert (len(found.classes), len(ends)) == (classes, states)
    assert found.executions == classes


@pytest.mark.parametrize("name", KNOTTED)
def test_what_walks_find_was_found(postgresql_url: str, name: str) -> None:
    """Too many interleavings to have them all: walks find no state and no class that the search has not."""
    found = searched(of_programs(postgresql_url, *KNOTTED[name], rows=FOUR_ROWS[:3]))
    walked = at_random(of_programs(postgresql_url, *KNOTTED[name], rows=FOUR_ROWS[:3]), 150)
    assert set(walked.states) <= set(found.states)
    assert set(walked.classes) <= set(found.classes)
    assert found.strayed == 0


def test_each_of_a_circle_of_four_may_be_the_one_that_closes_it(postgresql_url: str) -> None:
    """Two that have nothing to do with each other, but for the circle: the later one is the victim."""
    programs = [
        ["BEGIN", f"UPDATE t SET v = 1 WHERE id = {row}", f"UPDATE t SET v = 1 WHERE id = {row % 4 + 1}"]
        for row in (1, 2, 3, 4)
    ]
    found = searched(of_programs(postgresql_url, *programs, rows=FOUR_ROWS))
    victims = {
        name for _, results in found.states for name, got in results if got[-1:] == ("DeadlockDetected",)
    }
    assert victims == {"a0", "a1", "a2", "a3"}


def test_a_lock_whose_holder_is_killed_is_free_at_once(postgresql_url: str) -> None:
    """At every moment of the holder: the one who waits goes on, with what was committed by then."""
    programs = [["BEGIN", *in_one_statement(1), "COMMIT"], ["BEGIN", *in_one_statement(2), "COMMIT"]]
    crash = Crash("p0", down_s=None)
    found = searched_with_faults(of_programs(postgresql_url, *programs, faults=[crash]))
    small = of_programs(postgresql_url, *programs, faults=[crash])
    small.moments = 5
    every = all_of(small, waiting_is_a_step=True)
    assert every is not None
    assert set(found.states) == set(every.states)


def test_who_dies_between_two_writes_leaves_the_first(postgresql_url: str) -> None:
    """Nothing but the rows says so: there is no lock of the whole database that was given back."""
    programs = [[*in_one_statement(1), *in_one_statement(3)], [READ]]
    crash = Crash("p0", down_s=None)
    found = searched_with_faults(of_programs(postgresql_url, *programs, faults=[crash]))
    small = of_programs(postgresql_url, *programs, faults=[crash])
    small.moments = 4
    every = all_of(small, waiting_is_a_step=True)
    assert every is not None
    assert set(found.states) == set(every.states)
    assert {dict(tables[0])[1] for tables, _ in found.states} == {0, 1, 13}


@pytest.mark.parametrize(
    "name", ["read skew", "two keys", "share and change", "a look before one that need not wait"]
)
def test_independent_steps_can_be_swapped(postgresql_url: str, name: str) -> None:
    """The engine is asked: every pair that is said to be independent, in each execution that the search makes."""
    with of_programs(postgresql_url, *LITMUS[name]).simulation() as simulation:
        validator = Validator(simulation, pairs=5)
        reduction = Reduction(simulation.execute, simulation, Context(), Dependence(), {})
        while not reduction.over:
            outcome = reduction.next()
            assert reduction.last is not None
            if outcome is not None:
                last = reduction.last
                validator.check(outcome, last.events, last.before, {}, atomic_sections=False)
    assert validator.swapped > 0


# Each part is needed ----------------------------------------------------------------------------------------------

Patches = dict[tuple[object, str], Any]


def _in_the_statement(meet: Any) -> Any:
    def with_rows(effects: ConnectionEffects, here: Any) -> None:
        meet(effects, here)
        here.add(rows=[row for touched in effects._now for row in touched.data()])
        effects._rows.clear()

    return with_rows


def _nothing(*_: Any, **__: Any) -> Any:
    return None


def _no_list(*_: Any) -> list[Any]:
    return []


def _only_between(causality: Causality, first: int, second: int, lane: str) -> Race:
    between = range(first + 1, second)
    return Race(first, (*[at for at in between if not causality.before[at] >> first & 1], second), lane)


LOOK_BEFORE = LITMUS["a look before one that need not wait"]
WITHOUT: dict[str, tuple[list[Program], Patches]] = {
    "visibility at COMMIT": (
        LITMUS["webhook before commit, after a call"],
        {(ConnectionEffects, "_meet"): _in_the_statement(ConnectionEffects._meet)},
    ),
    "going on in the step that gives back": (
        KNOTTED["a lock that stays on a row that is no match"],
        {(ConnectionEffects, "goes_on"): _nothing},
    ),
    "what others changed while it waited": (
        KNOTTED["a lock that stays on a row that is no match"],
        {(ConnectionEffects, "overtaken"): _nothing},
    ),
    "looks for locks": (LITMUS["locked counter"], {(Touched, "asks"): _no_list}),
    "locks": (LITMUS["one key for two"], {(Touched, "takes"): _no_list}),
    "an error that frees": (
        LITMUS["free as soon as it failed"],
        {(ConnectionEffects, "failed"): lambda effects, **_: effects.held.clear()},
    ),
    "what it might do in another order": (LOOK_BEFORE, {(ConnectionEffects, "_might"): _nothing}),
    "what comes after a race": (LOOK_BEFORE, {(Causality, "_race_of"): _only_between}),
    "locks that are surely there": (LITMUS["lock-order deadlock"], {(Held, "surely"): lambda *_: True}),
}


@pytest.mark.parametrize("what", WITHOUT)
def test_without_it_states_are_missed(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Each rule is taken away in turn, and a program is left with fewer states than it has."""
    programs, patches = WITHOUT[what]
    every = searched(of_programs(postgresql_url, *programs))
    for (owner, name), instead in patches.items():
        monkeypatch.setattr(owner, name, instead)
    assert set(searched(of_programs(postgresql_url, *programs)).states) < set(every.states)


def test_without_the_knot_a_victim_is_missed(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who closes a circle would not be asked for."""
    monkeypatch.setattr(ConnectionEffects, "waits", _nothing)
    every = all_of(of_programs(postgresql_url, *LITMUS["lock-order deadlock"]), waiting_is_a_step=True)
    assert every is not None
    found = searched(of_programs(postgresql_url, *LITMUS["lock-order deadlock"]))
    assert set(found.states) < set(every.states)


@settings(
    max_examples=int(os.environ.get("TURNSTILE_SQL_PROGRAMS", "20")),
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # they are small as they are, and a shrink takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(programs=sql_programs())
def test_random_sql_programs_end_as_every_interleaving_of_them_does(
    postgresql_url: str, programs: list[Program]
) -> None:
    """``TURNSTILE_SQL_PROGRAMS=500`` for as many programs."""
    both = compared(postgresql_url, programs, at_most=250)
    if both is None:
        return
    found, every = both
    assert set(found.states) == set(every.states)
    assert set(found.classes) == set(every.classes)
    assert found.strayed == 0
