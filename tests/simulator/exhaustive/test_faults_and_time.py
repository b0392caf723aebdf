"""Crashes, pauses and time: as many final states as a brute force over every moment and every order finds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import Crash, Pause, Restart
from simulator.faults import Fault
from tests.simulator.exhaustive.brute_force import (
    Program,
    all_of,
    of_programs,
    searched,
    searched_with_faults,
)
from tests.simulator.exhaustive.random_programs import as_many_as_asked, sql_programs

READ = "SELECT v FROM t WHERE id = 1"
ADD = "UPDATE t SET v = v * 10 + {} WHERE id = 1"
LOCKED = ["BEGIN IMMEDIATE", ADD.format(1), "COMMIT"]
LOOKS = ["BEGIN IMMEDIATE", READ, "COMMIT"]
_DOWN_FOR_GOOD = None


@pytest.mark.parametrize(
    ("programs", "processes", "faults"),
    [
        ([LOCKED, [ADD.format(2)]], True, [Crash("p0", _DOWN_FOR_GOOD)]),
        ([LOCKED, [READ, ADD.format(2)]], True, [Crash("p1", _DOWN_FOR_GOOD)]),
        ([[ADD.format(1)], [ADD.format(2)]], False, [Crash("main", _DOWN_FOR_GOOD)]),
        (
            [[ADD.format(1)], [ADD.format(2)]],
            True,
            [Crash("p0", _DOWN_FOR_GOOD), Crash("p1", _DOWN_FOR_GOOD)],
        ),
        ([[ADD.format(1)], [READ]], True, [Crash("p0", 0.45)]),
        ([[ADD.format(1), READ, ADD.format(3)], [READ]], True, [Crash("p0", _DOWN_FOR_GOOD)]),
        (
            [["BEGIN IMMEDIATE", READ, "SLEEP 10", READ, "COMMIT"], [ADD.format(2)]],
            True,
            [Crash("p0", _DOWN_FOR_GOOD)],
        ),
        ([[READ, ADD.format(1)], [ADD.format(2)]], True, [Pause("p0", 45.0)]),
        ([LOCKED, [ADD.format(2)]], True, [Pause("p0", 45.0)]),
        ([[*LOOKS, *LOCKED], LOCKED], True, [Crash("p0", 0.45)]),
        ([[*LOOKS, *LOCKED], [READ, *LOOKS]], True, [Pause("p0", 3.0)]),
        ([LOCKED, [*LOOKS, ADD.format(2)]], True, [Restart("p0", 1.6, 0.45)]),
    ],
    ids=[
        "writer dies",
        "reader dies",
        "both die at once",
        "each may die",
        "comes back",
        "dies between two writes",
        "dies when it has slept",
        "pauses",
        "pauses locked",
        "dies between two sections",
        "pauses in the first or the second section",
        "stops in its section",
    ],
)
def test_faults_at_every_moment(programs: list[Program], processes: bool, faults: list[Fault]) -> None:
    small = of_programs(*programs, processes=processes, faults=faults)
    small.moments = 2 + max(map(len, programs)) * (1 if processes else 2)
    every = all_of(small, waiting_is_a_step=True, at_most=20_000)
    assert every is not None
    found = searched_with_faults(of_programs(*programs, processes=processes, faults=faults))
    assert set(found.states) == set(every.states)
    assert found.executions < every.executions


@as_many_as_asked(6)
@given(sql_programs(), st.sampled_from([_DOWN_FOR_GOOD, 0.45]))
def test_a_death_at_every_moment_of_random_sql_programs(
    programs: list[Program], down_s: float | None
) -> None:
    """Of the first actor."""
    faults = [Crash("p0", down_s)]
    small = of_programs(*programs, faults=faults)
    small.moments = 2 + len(programs[0])
    every = all_of(small, waiting_is_a_step=True, at_most=1_500)
    if every is not None:
        found = searched_with_faults(of_programs(*programs, faults=faults))
        assert set(found.states) == set(every.states)


def test_a_death_that_changes_nothing_is_no_plan_of_its_own() -> None:
    """Who only looks dies before it has come or after it has, wherever that is: two plans beside the one without a death."""
    reads = [READ] * 5
    found = searched_with_faults(of_programs(reads, [READ], faults=[Crash("p0", _DOWN_FOR_GOOD)]))
    assert found.executions == 3


@pytest.mark.parametrize(
    "programs",
    [
        [["BEGIN IMMEDIATE", "SLEEP 10", ADD.format(1), "COMMIT"], [ADD.format(2)]],
        [["BEGIN IMMEDIATE", "SLEEP 3", ADD.format(1), "COMMIT"], [ADD.format(2), READ]],
        [["BEGIN", READ, "SLEEP 3", ADD.format(1), "COMMIT"], ["SLEEP 3", ADD.format(2)]],
        [["SLEEP 5", ADD.format(1)], ["SLEEP 5", ADD.format(2)]],
    ],
    ids=["holder sleeps too long", "holder sleeps", "snapshot sleeps", "both at one time"],
)
def test_time_passes_when_nobody_can_move(programs: list[Program]) -> None:
    """A lane that would wait must have begun to wait by then: its patience is counted from there."""
    every = all_of(of_programs(*programs), waiting_is_a_step=True)
    assert every is not None
    found = searched(of_programs(*programs))
    assert set(found.states) == set(every.states)
    assert found.executions == len(found.classes)
    assert found.strayed == 0
