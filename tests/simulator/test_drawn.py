"""Searches that sample: a seed means something, and nothing leaks in from the user's Hypothesis or out to the disk."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Verbosity, given, settings
from hypothesis import strategies as st

from simulator.actors import Operator
from simulator.database import NoDatabase
from simulator.errors import Nondeterminism, SimulatorError
from simulator.execution import Claims, Outcome, Simulation
from simulator.oracles import Failure
from simulator.schedulers import search_named
from simulator.schedulers.base import Limits, Options, Scheduler
from simulator.schedulers.drawn import DrawnSearch
from simulator.trace import Trace
from simulator.world import World


async def steps(world: World) -> None:
    for number in range(4):
        await world.point(f"step {number}")


async def three_lanes_and_a_datum(world: World) -> None:
    world.choose("size", ["small", "large"])
    world.run(*(Operator(steps, world, name=name) for name in "abc"))
    await world.quiesce()


def stories(name: str, limits: Limits) -> list[tuple[Any, ...]]:
    """What the executions of a search were."""
    seen: list[tuple[Any, ...]] = []
    with Simulation(three_lanes_and_a_datum, Claims(), NoDatabase()) as simulation:

        def execute(scheduler: Scheduler) -> Outcome:
            outcome = simulation.execute(scheduler)
            seen.append((*outcome.trace.choices, *(lane for lane, _, _ in outcome.trace.steps)))
            return outcome

        searched = search_named(name, length=12).run(execute, limits)
    assert searched.failure is None
    assert searched.executions <= limits.executions
    return seen


@pytest.mark.parametrize("name", ["drawn", "seeded"])
def test_a_seed_means_the_same_executions_every_time(name: str) -> None:
    """And another seed others."""
    first = stories(name, Limits(40, seed=7))
    assert stories(name, Limits(40, seed=7)) == first
    assert stories(name, Limits(40, seed=8)) != first
    assert len(set(first)) > 25


@pytest.mark.parametrize("name", ["drawn", "seeded"])
def test_no_time_is_no_execution(name: str) -> None:
    """The time is looked at before an execution is started."""
    assert stories(name, Limits(40, seconds=-1.0)) == []


def test_drawn_executions_do_not_depend_on_the_users_hypothesis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Profiles, the CI's profile, a forced seed and constants of loaded modules: none of them reaches us."""
    expected = stories("drawn", Limits(40, seed=7))
    before = settings.get_profile("default")
    for other in (
        settings(derandomize=True, max_examples=3, database=None),
        settings(phases=(), verbosity=Verbosity.debug, print_blob=True),
    ):
        settings.register_profile("other", other)
        settings.load_profile("other")
        try:
            assert stories("drawn", Limits(40, seed=7)) == expected
        finally:
            settings.register_profile("default", before)
            settings.load_profile("default")
    monkeypatch.setattr("hypothesis.core.global_force_seed", 99)
    random.seed(3)
    assert stories("drawn", Limits(40, seed=7)) == expected


def test_drawn_executions_leave_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The saved schedule is the memory; ``.hypothesis`` belongs to the user's own tests."""
    monkeypatch.setattr("hypothesis.configuration.__hypothesis_home_directory", None, raising=False)
    monkeypatch.setenv("HYPOTHESIS_STORAGE_DIRECTORY", str(tmp_path / "storage"))
    monkeypatch.chdir(tmp_path)
    stories("drawn", Limits(60))
    assert list(tmp_path.iterdir()) == []


@given(st.integers(0, 3))
@settings(max_examples=3, deadline=None, database=None, suppress_health_check=[HealthCheck.nested_given])
def test_an_exploration_may_stand_inside_of_a_given_test_that_allows_it(seed: int) -> None:
    """Hypothesis inside of Hypothesis: the user's draws the seed, ours the schedules."""
    assert stories("drawn", Limits(10, seed=seed)) == stories("drawn", Limits(10, seed=seed))


@given(st.integers(0, 3))
@settings(max_examples=3, deadline=None, database=None)
def test_inside_of_another_given_test_the_error_says_what_to_do(seed: int) -> None:
    """Hypothesis itself would speak of its own tests only."""
    with pytest.raises(SimulatorError, match="nested_given"):
        stories("drawn", Limits(10, seed=seed))


def test_an_error_of_an_execution_ends_a_drawn_search_at_once() -> None:
    """It is no failing test case that would have to be shrunk."""
    executions = 0

    def execute(scheduler: Scheduler) -> Outcome:
        nonlocal executions
        executions += 1
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        DrawnSearch(10).run(execute, Limits(100))
    assert executions == 1


def test_a_failure_that_comes_and_goes_is_told_as_nondeterminism() -> None:
    """The same draws, two outcomes: something escapes the simulation."""
    executions = 0

    def execute(scheduler: Scheduler) -> Outcome:
        nonlocal executions
        executions += 1
        scheduler.choose(Options("data", 5, name="size"))
        failure = Failure("it", "fails") if executions == 1 else None
        return Outcome(failure, Trace(), 0, 0, frozenset(), {}, 0)

    with pytest.raises(Nondeterminism, match="check-determinism"):
        DrawnSearch(10).run(execute, Limits(100))
