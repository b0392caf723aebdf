"""The exhaustive search against every interleaving there is: no final state is missed, and no class executed twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from simulator.database.predicates import Predicates
from simulator.database.sqlite import SqliteDatabase
from simulator.database.sqlite_effects import ConnectionEffects
from tests.simulator.exhaustive.brute_force import TABLE, Program, Small, all_of, of_programs, searched
from tests.simulator.exhaustive.litmus import LITMUS, LOST_UPDATE, READ, locked
from tests.simulator.exhaustive.random_programs import as_many_as_asked, sql_programs


@pytest.mark.parametrize("name", LITMUS)
def test_every_state_that_an_interleaving_ends_in_is_found_and_no_class_is_executed_twice(name: str) -> None:
    """Waiting for the lock is no step for the search; the brute force is asked both ways."""
    programs = LITMUS[name]
    found = searched(of_programs(*programs))
    every = all_of(of_programs(*programs), waiting_is_a_step=False)
    with_waiting = all_of(of_programs(*programs), waiting_is_a_step=True, at_most=3_000)
    assert every is not None
    assert set(found.states) == set(every.states)
    assert with_waiting is None or set(with_waiting.states) == set(every.states)
    assert set(found.classes) == set(every.classes)
    assert found.executions == len(every.classes)
    assert found.strayed == 0


@pytest.mark.parametrize(
    ("programs", "classes"),
    [
        ([LOST_UPDATE] * 2, 6),
        ([locked(1), locked(2), locked(3)], 6),
        ([locked(1), locked(2), locked(3), locked(4)], 24),
        ([[READ], ["SELECT v FROM t WHERE id = 2"], ["SELECT SUM(v) FROM t"]], 1),
    ],
)
def test_how_many_traces_there_are(programs: list[Program], classes: int) -> None:
    """Worked out by hand: the orders in which the lock can be had; a lost update has what the literature gives it."""
    found = searched(of_programs(*programs))
    assert (found.executions, len(found.classes)) == (classes, classes)


@pytest.mark.parametrize("name", ["locked counter", "lost update", "rolled back", "counter"])
def test_with_early_timers_a_wait_is_a_step_and_the_busy_timeout_may_strike_anywhere(name: str) -> None:
    """Also while the one who holds the lock goes on."""
    programs = LITMUS[name]
    found = searched(of_programs(*programs, early=1))
    every = all_of(of_programs(*programs, early=1), waiting_is_a_step=True)
    assert every is not None
    assert set(found.states) == set(every.states)
    assert set(found.classes) == set(every.classes)
    assert found.executions == len(every.classes)


def test_a_look_that_is_forgotten_costs_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison would notice: without looks the search believes that reading and committing never meet."""
    monkeypatch.setattr(Predicates, "looks", lambda *_: ([], 0))
    programs = LITMUS["read and write"]
    every = all_of(of_programs(*programs), waiting_is_a_step=True)
    assert every is not None
    assert set(searched(of_programs(*programs)).states) < set(every.states)


def test_a_look_in_place_of_its_snapshot_costs_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read in a transaction was fixed by its first read: later ones meet nobody, the first one meets all."""
    done = ConnectionEffects.done

    def at_the_statement(effects: ConnectionEffects, *args: Any, **options: Any) -> None:
        effects._looking = False
        done(effects, *args, **options)

    monkeypatch.setattr(ConnectionEffects, "done", at_the_statement)
    programs = [
        ["BEGIN", READ, "SELECT v FROM t WHERE id = 2", "COMMIT"],
        ["UPDATE t SET v = 5 WHERE id = 2"],
    ]
    every = all_of(of_programs(*programs), waiting_is_a_step=True)
    assert every is not None
    assert set(searched(of_programs(*programs)).states) != set(every.states)


@as_many_as_asked(20)
@given(sql_programs())
def test_random_sql_programs_end_as_every_interleaving_of_them_does(programs: list[Program]) -> None:
    """``TURNSTILE_SQL_PROGRAMS=500`` for as many programs."""
    every = all_of(of_programs(*programs), waiting_is_a_step=True, at_most=500)
    if every is None:
        return
    found = searched(of_programs(*programs))
    assert set(found.states) == set(every.states)
    assert found.strayed == 0
    assert found.executions == len(found.classes)
    every = all_of(of_programs(*programs), waiting_is_a_step=False)
    assert every is not None
    assert found.atomic_sections == every.atomic_sections
    assert set(found.classes) == set(every.classes)


@pytest.mark.parametrize("lock", [[], ["BEGIN IMMEDIATE"]], ids=["alone", "in a section"])
@pytest.mark.parametrize(
    ("more", "look", "change"),
    [
        (
            "CREATE VIEW s AS SELECT SUM(v) AS total FROM t",
            "SELECT v, (SELECT total FROM s) FROM t WHERE id = 1",
            "UPDATE t SET v = 5 WHERE id = 2",
        ),
        (
            "CREATE TABLE n (id INTEGER PRIMARY KEY AUTOINCREMENT, v)",
            "SELECT seq FROM sqlite_sequence",
            "INSERT INTO n (v) VALUES (7)",
        ),
        (
            "CREATE TABLE k (id INTEGER PRIMARY KEY ON CONFLICT REPLACE, v); INSERT INTO k VALUES (1, 1)",
            "SELECT v FROM k WHERE v = 1",
            "INSERT INTO k VALUES (1, 2)",
        ),
        (
            "CREATE TABLE e (v)",
            "SELECT abs(v - 9223372036854775807 - 1) FROM t WHERE id = 1",  # fails while v is 0
            "UPDATE t SET v = 5 WHERE id = 1",
        ),
    ],
    ids=["a view", "what AUTOINCREMENT gave", "a row that makes room", "an error while it runs"],
)
def test_what_the_text_of_a_statement_does_not_say(
    more: str, look: str, change: str, lock: list[str]
) -> None:
    """A table behind a view, SQLite's own table, a row that no trigger tells of, a statement that failed when it had looked."""

    def small() -> Small:
        end = ["COMMIT"] if lock else []
        looks, changes = [*lock, look, *end], [*lock, change, *end]
        return replace(of_programs(looks, changes), database=SqliteDatabase(f"{TABLE}; {more};"))

    every = all_of(small(), waiting_is_a_step=True)
    assert every is not None
    assert len(every.states) == 2
    assert set(searched(small()).states) == set(every.states)
