"""Small SQL programs as Hypothesis draws them: what the exhaustive search is tried on beyond the programs of the literature."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from tests.simulator.exhaustive.brute_force import Program
from tests.simulator.exhaustive.litmus import READ

STATEMENTS = [
    READ,
    "SELECT v FROM t WHERE id = 2",
    "SELECT SUM(v) FROM t",
    "SELECT COUNT(*) FROM t WHERE v >= 3",
    "SELECT id FROM t WHERE v = 0",
    "UPDATE t SET v = v * 3 + {number} WHERE id = 1",
    "UPDATE t SET v = v * 3 + {number} WHERE id = 2",
    "UPDATE t SET v = v + {number}",
    "UPDATE t SET id = id + 10 WHERE id = 1",
    "UPDATE t SET v = {number} WHERE v > 3",
    "UPDATE t SET v = v WHERE id = 1",
    "INSERT INTO t (v) VALUES ({number})",
    "INSERT INTO t (id, v) VALUES (3, {number})",
    "INSERT OR IGNORE INTO t (id, v) VALUES (3, {number})",
    "INSERT OR REPLACE INTO t (id, v) VALUES (2, {number})",
    "INSERT INTO t (v) SELECT v + 1 FROM t WHERE id = 1",
    "DELETE FROM t WHERE id = 2",
]
statements = st.sampled_from(STATEMENTS)
ends = st.sampled_from([["COMMIT"], ["COMMIT"], ["ROLLBACK"], []])


@st.composite
def sql_programs(draw: st.DrawFn) -> list[Program]:
    """Two actors of up to two statements in a transaction or not, or three with one."""
    actors = draw(st.sampled_from([2, 2, 2, 3]))
    return [_program(draw, number, 2 if actors == 2 else 1) for number in range(1, actors + 1)]


@st.composite
def longer_sql_programs(draw: st.DrawFn) -> list[Program]:
    """Three or four actors of up to two statements: most have too many interleavings to execute them all."""
    actors = draw(st.sampled_from([3, 3, 4]))
    return [_program(draw, number, 2) for number in range(1, actors + 1)]


def _program(draw: st.DrawFn, number: int, longest: int) -> Program:
    body = [each.format(number=number) for each in draw(st.lists(statements, min_size=1, max_size=longest))]
    begin = draw(st.sampled_from([[], ["BEGIN"], ["BEGIN IMMEDIATE"], ["BEGIN IMMEDIATE"]]))
    patience = draw(st.sampled_from([[]] * 5 + [["PRAGMA busy_timeout = 0"]]))
    return [*patience, *begin, *body, *draw(ends)] if begin else [*patience, *body]


def as_many_as_asked(otherwise: int) -> settings:
    """The same programs each time: ``TURNSTILE_SQL_PROGRAMS`` of them, or so many."""
    return settings(
        max_examples=int(os.environ.get("TURNSTILE_SQL_PROGRAMS", otherwise)),
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],  # they are small as they are, and a shrink takes minutes
        suppress_health_check=[HealthCheck.too_slow],
    )
