"""Explorations: what they find, keep and claim, and how they end when they are cut short."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from simulator.actors import Operator
from simulator.database import NoDatabase
from simulator.errors import UnknownScheduler
from simulator.execution import Claims
from simulator.exploration import Exploration, Interrupted, explore
from simulator.faults import Crash
from simulator.schedule import Schedule
from simulator.schedulers import NAMES
from simulator.schedulers.base import Limits
from simulator.world import World


def explored(
    scenario: Any, *, executions: int = 200, claims: Claims | None = None, **more: Any
) -> Exploration:
    limits = Limits(executions, seed=more.pop("seed", 0))
    return explore(scenario, claims=claims or Claims(), database=NoDatabase(), limits=limits, **more)


async def lost_update(world: World) -> None:
    """Two adders that read before they write."""
    value = 0

    async def add() -> None:
        nonlocal value
        await world.point("reads")
        seen = value
        await world.point("writes")
        value = seen + 1

    world.run(Operator(add, name="first"), Operator(add, name="second"))
    await world.quiesce()
    assert value == 2


async def two_who_do_not_meet(world: World) -> None:
    """Nothing can go wrong here."""

    async def move() -> None:
        await world.point("moves")

    world.run(Operator(move, name="first"), Operator(move, name="second"))
    await world.quiesce()


@pytest.mark.parametrize("scheduler", NAMES)
def test_every_search_finds_the_lost_update_and_shows_its_shortest_story(scheduler: str) -> None:
    """One switch between the read and the write; the schedule says all of it."""
    result = explored(lost_update, scheduler=scheduler, test="tests/test_a.py::test_x")
    assert result.failure is not None
    assert result.failure.name == "the_scenarios_own_assertion"
    assert result.outcome is not None
    assert (result.outcome.preemptions, result.outcome.faults) == (1, 0)
    assert result.outcome.trace.detailed
    assert result.schedule is not None
    assert result.schedule.text().splitlines()[1:4] == [
        "test: tests/test_a.py::test_x",
        "database: none",
        "violates: the_scenarios_own_assertion",
    ]
    assert result.start is not None


@pytest.mark.parametrize(
    ("scheduler", "claim", "exhaustive"),
    [
        ("drawn", "6 executions, sampled", False),
        ("seeded", "6 executions, sampled", False),
        ("bounded", "6 executions, every schedule within its bounds", True),
    ],
)
def test_what_held_is_claimed_for_what_was_done(scheduler: str, claim: str, exhaustive: bool) -> None:
    """Two lanes of two steps have six interleavings; a sample of six is not all of them."""
    result = explored(two_who_do_not_meet, scheduler=scheduler, executions=6)
    assert (result.failure, result.claim, result.exhaustive) == (None, claim, exhaustive)
    assert result.executions == 6
    assert result.idle == ""


def test_the_same_seed_explores_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found at the same execution, shrunk in as many, to the same schedule."""
    ones, others = ([explored(lost_update, seed=seed) for seed in range(5)] for _ in range(2))
    for one, other in zip(ones, others, strict=True):
        assert (one.executions, one.shrunk_in, one.schedule) == (
            other.executions,
            other.shrunk_in,
            other.schedule,
        )


def test_a_failure_is_kept_before_it_is_shrunk() -> None:
    """Whoever ends the run then loses nothing."""
    kept: list[Schedule] = []
    result = explored(lost_update, keep=kept.append, scheduler="seeded", seed=3)
    assert result.schedule is not None
    assert [schedule.violates for schedule in kept] == ["the_scenarios_own_assertion"]


def test_without_shrinking_the_story_is_as_it_was_found() -> None:
    """And no execution is spent on it."""
    result = explored(lost_update, shrinking=False, scheduler="seeded", seed=3)
    assert result.failure is not None
    assert (result.shrunk_in, result.minimal) == (0, "")


def test_an_unknown_scheduler_is_told_before_any_work_is_done() -> None:
    """The scenario is not even called."""
    with pytest.raises(UnknownScheduler):
        explored(lambda _world: pytest.fail("called"), scheduler="random")


def test_progress_is_told_after_each_execution() -> None:
    """For those who wait."""
    counts: list[int] = []
    explored(two_who_do_not_meet, executions=5, scheduler="seeded", progress=counts.append)
    assert counts == [1, 2, 3, 4, 5, 6]  # the probe comes first


@pytest.mark.parametrize("scheduler", NAMES)
def test_ctrl_c_says_how_far_it_came_and_hands_over_the_shortest_failure(scheduler: str) -> None:
    """Three executions after the first failure, while it is shrunk."""
    failed: list[Schedule] = []
    since = count()

    def interrupt(_executions: int) -> None:
        if failed and next(since) == 3:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=r"interrupted after \d+ executions") as info:
        explored(lost_update, scheduler=scheduler, progress=interrupt, keep=failed.append)
    assert info.value.executions > 3
    assert info.value.schedule is not None
    assert info.value.schedule.violates == "the_scenarios_own_assertion"
    assert len(info.value.schedule.steps) <= len(failed[0].steps)


def test_ctrl_c_before_any_failure_hands_over_nothing() -> None:
    """Only the count."""

    def interrupt(_executions: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=r"after 1 execution$") as info:
        explored(two_who_do_not_meet, progress=interrupt)
    assert info.value.schedule is None


# Vacuous -------------------------------------------------------------------------------------------------------------


async def nobody(world: World) -> None:
    await world.quiesce()


async def one_alone(world: World) -> None:
    async def work() -> None:
        await world.point("works")

    world.run(Operator(work, name="work"))
    await world.quiesce()


async def one_that_may_die(world: World) -> None:
    await_work = Operator(world.point, "works", name="work")
    world.run(await_work)
    world.inject(Crash("main"))
    await world.quiesce()


async def one_with_data(world: World) -> None:
    world.choose("size", [1, 2])
    await one_alone(world)


@pytest.mark.parametrize(
    ("scenario", "idle"),
    [
        (nobody, "nobody moved: no actor made a step in any execution"),
        (one_alone, "nothing interleaved: only work ever moved, and never while anybody else could"),
        (one_that_may_die, ""),
        (one_with_data, ""),
        (two_who_do_not_meet, ""),
    ],
)
@pytest.mark.parametrize("scheduler", NAMES)
def test_what_one_ordinary_run_would_have_shown_is_told(scenario: Any, idle: str, scheduler: str) -> None:
    """A fault, a datum or a second lane makes it an exploration."""
    assert explored(scenario, scheduler=scheduler, executions=5).idle == idle


def test_claims_that_no_execution_reached_are_named() -> None:
    """In the order in which they were given."""

    def never(_world: World) -> None:
        """Is not reached."""

    def reached(_world: World) -> str:
        """Is."""
        return "yes"

    result = explored(two_who_do_not_meet, executions=5, claims=Claims(sometimes=(never, reached)))
    assert result.unreached == ("never",)


def test_an_error_that_is_no_violation_leaves_its_schedule() -> None:
    """It can be replayed under a debugger."""
    kept: list[Schedule] = []

    async def breaks(world: World) -> None:
        await two_who_do_not_meet(world)
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        explored(breaks, keep=kept.append)
    assert [(len(schedule.steps), schedule.violates) for schedule in kept] == [(4, "")]
