"""Planted leaks: whatever escapes the simulation is found when one looks, and told where it shows first."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from simulator.actors import Operator
from simulator.clock import RealTime
from simulator.database import NoDatabase
from simulator.errors import Nondeterminism
from simulator.execution import Claims
from simulator.exploration import Exploration, explore
from simulator.leaks import first_difference
from simulator.schedulers import NAMES
from simulator.schedulers.base import Limits
from simulator.trace import Access, Trace
from simulator.world import World


def explored(scenario: Any, *, executions: int = 200, **more: Any) -> Exploration:
    return explore(scenario, claims=Claims(), database=NoDatabase(), limits=Limits(executions), **more)


async def two_who_do_not_meet(world: World) -> None:
    """Nothing can go wrong here."""
    world.run(*(Operator(world.point, "moves", name=name) for name in "ab"))
    await world.quiesce()


KEPT: list[object] = []


async def counts_across_executions(world: World) -> None:
    async def work() -> None:
        KEPT.append("order")
        await world.point(f"works on order {len(KEPT)}")

    world.run(Operator(work, name="a"), Operator(work, name="b"))
    await world.quiesce()


async def names_an_object(world: World) -> None:
    async def work() -> None:
        KEPT.append(Thing("x"))
        await world.point(f"works on {KEPT[-1]!r}")

    world.run(Operator(work, name="a"), Operator(work, name="b"))
    await world.quiesce()


async def keeps_something(world: World) -> None:
    found = "a warm cache" if KEPT else "a cold cache"
    KEPT.append(world)

    async def work() -> None:
        await world.point(f"works with {found}")

    world.run(Operator(work, name="a"), Operator(work, name="b"))
    await world.quiesce()


async def looks_at_real_time(world: World) -> None:
    async def work() -> None:
        await world.point(f"works at {RealTime.perf_counter()}")

    world.run(Operator(work, name="a"), Operator(work, name="b"))
    await world.quiesce()


class Thing:
    """Its hash is its address."""

    def __init__(self, name: str) -> None:
        self.name = name


async def goes_through_a_set(world: World) -> None:
    things = {Thing(str(number)) for number in range(12)}
    KEPT.append(things)  # so that the next execution's are elsewhere

    async def work() -> None:
        for thing in things:
            await world.point(f"works on {thing.name}")

    world.run(Operator(work, name="a"), Operator(work, name="b"))
    await world.quiesce()


@pytest.mark.parametrize(
    ("scenario", "leak"),
    [
        (counts_across_executions, "state of an earlier execution .*: it counts on from 1 to 3"),
        (looks_at_real_time, "the real clock, taken by value"),
        (goes_through_a_set, "the order of a set .*; the same steps follow in another order"),
        (names_an_object, r"a memory address: repr\(\) or id\(\)"),
        (keeps_something, r"in a module, a cache or a counter \(.*: something is kept after the first\)"),
    ],
)
@pytest.mark.parametrize("scheduler", NAMES)
def test_a_planted_leak_is_found_and_its_first_step_is_named(
    scenario: Any, leak: str, scheduler: str
) -> None:
    """State of an earlier execution, a real clock, the order of a set, an address, a cache: each by its own name."""
    KEPT.clear()
    with pytest.raises(Nondeterminism, match=rf"step \d+ was '[ab]: works .*likely leaks?: .*{leak}"):
        explored(scenario, scheduler=scheduler, executions=20, check_determinism=True)


@pytest.mark.parametrize(
    ("was", "now", "leak"),
    [
        ("id=0x7f3a44ba3240", "id=0x7f3a44ba3380", "a memory address"),
        (
            "key=0b9dfd1e-8f35-4c52-9f6e-3d7f0e5a1c11",
            "key=9c1b54aa-1d2e-4b6f-8a55-0c7d9e1f2a33",
            "a uuid whose bytes were not drawn through the world",
        ),
        ("tags=['a', 'b', 'c']", "tags=['c', 'a', 'b']", "the order of a set"),
        ("number=17", "number=19", "state of an earlier execution"),
        ("chance=0.3745401188", "chance=0.9507143064", "chance that was not drawn through the world"),
        ("token='abc'", "token='xyz'", "chance or a clock that is not the world's"),
    ],
)
def test_a_value_that_differs_is_told_by_what_it_looks_like(was: str, now: str, leak: str) -> None:
    """The parameters of one statement, in two executions of one schedule."""
    traces = []
    for text in (was, now):
        trace = Trace(detailed=True, steps=[("a", "INSERT t", 0.0)])
        trace.record(Access("INSERT INTO t VALUES (?)", parameters=text))
        traces.append(trace)

    assert f"its parameters was {was!r} and then {now!r}; likely leak: {leak}" in first_difference(*traces)
    assert first_difference(traces[0], traces[0]) == ""


def test_rows_in_another_order_and_rows_that_stayed_are_told_apart() -> None:
    """The same statement with the same parameters."""

    def detailed(outcome: str) -> Trace:
        trace = Trace(detailed=True, steps=[("a", "SELECT t", 0.0)])
        trace.record(Access("SELECT * FROM t", outcome=outcome))
        return trace

    unsorted = first_difference(detailed("id=1; id=2"), detailed("id=2; id=1"))
    stayed = first_difference(detailed("no row"), detailed("name='x'"))
    assert unsorted.endswith("likely leak: rows that nobody sorted (a SELECT without ORDER BY)")
    assert stayed.endswith("likely leak: state that was not reset")


@pytest.mark.parametrize("scheduler", NAMES)
def test_what_leaks_nothing_passes_the_check(scheduler: str) -> None:
    """Each schedule runs three times; the claim counts it once."""
    executions = []
    result = explored(
        two_who_do_not_meet,
        scheduler=scheduler,
        executions=5,
        check_determinism=True,
        progress=executions.append,
    )
    assert (result.failure, result.executions, executions[-1]) == (None, 5, 6)


def test_a_failure_that_does_not_come_back_is_nondeterminism() -> None:
    """Even where nobody checks: the report's own execution must show what it reports."""
    runs = count()

    async def fails_once(world: World) -> None:
        number = next(runs)
        await two_who_do_not_meet(world)
        assert number != 1

    with pytest.raises(Nondeterminism, match="check-determinism"):
        explored(fails_once, scheduler="seeded")
