"""Shrinking: fewest faults, plainest data, fewest preemptions, fewest steps; and words that claim no more than was done."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.actors import Operator
from simulator.database import NoDatabase
from simulator.execution import Claims, Outcome, Simulation
from simulator.exploration import Exploration, explore
from simulator.faults import Crash
from simulator.schedulers.base import Limits, Scheduler
from simulator.schedulers.replay import Wish
from simulator.schedulers.seeded import Seeded
from simulator.shrink import Shrinker, Shrunk, shrink
from simulator.world import World

ACTORS, STEPS = "abcd", 12


def explored(
    scenario: Any, *, scheduler: str = "seeded", seed: int = 0, executions: int = 2_000
) -> Exploration:
    limits = Limits(executions, seed=seed)
    return explore(scenario, claims=Claims(), database=NoDatabase(), scheduler=scheduler, limits=limits)


def shrunk(scenario: Any, scheduler: Scheduler, **budget: Any) -> Shrunk:
    """Shrinks the execution of one scheduler, which must fail."""
    with Simulation(scenario, Claims(), NoDatabase()) as simulation:
        simulation.moments_otherwise = 20
        outcome = simulation.execute(scheduler)
        assert outcome.failure is not None
        return shrink(simulation.execute, outcome, **budget)


def measures(outcome: Outcome | None) -> tuple[int, int]:
    assert outcome is not None
    return outcome.preemptions, outcome.faults


async def two_ordered_facts(world: World) -> None:
    """Four actors of twelve steps; it fails when b has come to its 6th between a's 4th and a's 8th."""
    done = dict.fromkeys(ACTORS, 0)
    in_between = False

    async def actor(name: str) -> None:
        nonlocal in_between
        for _ in range(STEPS):
            await world.point("step")
            done[name] += 1
            if name == "b" and done["b"] == 6:
                in_between = 4 <= done["a"] < 8

    world.run(*(Operator(actor, name, name=name) for name in ACTORS))
    await world.quiesce()
    assert not in_between


@pytest.mark.parametrize("scheduler", ["drawn", "seeded"])
def test_the_experiment_with_four_actors_ends_at_one_preemption_from_every_seed(scheduler: str) -> None:
    """48 steps, two ordered facts, true minimum 1: one integer per step left a median of eight."""
    for seed in range(10):
        result = explored(two_ordered_facts, scheduler=scheduler, seed=seed)
        assert measures(result.outcome) == (1, 0), seed
        assert result.minimal == (
            "minimal: none of the 24 schedules with fewer switches violates it, and it needs no fault"
        )


async def lost_update(world: World) -> None:
    """Two adders; a crash would lose an addition as well, and is not needed."""
    value = 0

    async def add() -> None:
        nonlocal value
        await world.point("reads")
        seen = value
        await world.point("writes")
        value = seen + 1

    world.process("one").run(Operator(add, name="first"))
    world.process("two").run(Operator(add, name="second"))
    world.inject(Crash("one", down_s=None), Crash("two", down_s=None))
    await world.quiesce()
    assert value == 2


def test_a_fault_that_is_not_needed_goes_though_a_switch_comes_in_its_place() -> None:
    """One fault and no switch is a longer story than one switch and no fault."""
    crashed = Wish({"crash one": 2}, [])
    result = shrunk(lost_update, crashed)
    assert measures(result.outcome) == (1, 0)
    assert dict(result.outcome.trace.choices) == {"crash one": 0, "crash two": 0}
    assert (
        result.minimal
        == "minimal: none of the 2 schedules with fewer switches violates it, and it needs no fault"
    )


async def needs_a_crash(world: World) -> None:
    """Only a process that dies between its two steps leaves the work half done."""
    done: list[str] = []

    async def work() -> None:
        for step in ("takes the money", "writes it down"):
            await world.point(step)
            done.append(step)

    async def other() -> None:
        await world.point("looks")

    world.process("shop").run(Operator(work, name="work"))
    world.process("clerk").run(Operator(other, name="other"))
    world.inject(Crash("shop", down_s=None))
    await world.quiesce()
    assert len(done) != 1


def test_where_a_fault_is_needed_the_words_say_what_was_looked_at() -> None:
    """All schedules without one; nothing is said of the moments of faults, which were not tried one by one."""
    noisy = Wish({"crash shop": 3}, [("other", 1), ("work", 1), ("other", 1), ("work", 1)])
    result = shrunk(needs_a_crash, noisy)
    assert measures(result.outcome) == (0, 1)
    assert result.minimal == "minimal: none of the 10 schedules without a fault violates it"


def test_a_search_below_that_is_cut_short_says_how_far_it_came() -> None:
    """Nothing at all when not even the first bound is complete."""
    runs = [("a", 6), ("c", 2), ("a", 1), ("b", 99), ("a", 99)]

    async def needs_three(world: World) -> None:
        done = dict.fromkeys(ACTORS, 0)
        story: list[str] = []

        async def actor(name: str) -> None:
            for _ in range(STEPS):
                await world.point("step")
                done[name] += 1
                story.append(name)

        world.run(*(Operator(actor, name, name=name) for name in ACTORS))
        await world.quiesce()
        assert "acab" not in "".join(story)

    result = shrunk(needs_three, Wish({}, runs), executions_max=0, proof_executions_max=100)
    assert result.minimal == (
        "none of the 24 schedules with no switch violates it; between that and 3 it was not settled"
    )
    assert shrunk(needs_three, Wish({}, runs), executions_max=0, proof_executions_max=10).minimal == ""


async def needs_data(world: World) -> None:
    size = world.choose("size", range(50))
    world.choose("colour", ["red", "blue"])
    value = 0

    async def add() -> None:
        nonlocal value
        await world.point("reads")
        seen = value
        await world.point("writes")
        value = seen + size

    world.run(Operator(add, name="first"), Operator(add, name="second"))
    await world.quiesce()
    assert value == 2 * size or size < 7


def test_data_become_as_plain_as_the_failure_allows_and_the_words_name_them() -> None:
    """7 is the least that fails; what does not matter is 0."""
    result = shrunk(needs_data, Wish({"size": 41, "colour": 1}, [("first", 2), ("second", 2), ("first", 9)]))
    assert dict(result.outcome.trace.choices) == {"size": 7, "colour": 0}
    assert result.minimal == (
        "none of the 2 schedules with this data with fewer switches violates it, and it needs no fault"
    )


async def fails_at_once(world: World) -> None:
    async def fail() -> None:
        await world.point("fails")

    world.run(Operator(fail, name="one"), Operator(fail, name="two"))
    world.inject(Crash("main"))
    await world.quiesce()
    raise AssertionError


def test_what_fails_in_any_order_needs_nothing() -> None:
    """And no search is needed to say so."""
    result = shrunk(fails_at_once, Seeded(3))
    assert measures(result.outcome) == (0, 0)
    assert result.minimal == "minimal: it needs no switch and no fault"


def test_another_violation_is_not_accepted_in_place_of_the_first() -> None:
    """A shorter story of something else is no story of this."""
    with Simulation(
        lost_or_late, Claims(eventually=(nothing_lost, nothing_late)), NoDatabase()
    ) as simulation:
        first = simulation.execute(Wish({}, [("a", 2), ("b", 3), ("a", 1), ("b", 1)]))
        assert first.failure is not None
        assert first.failure.name == "nothing_late"
        result = shrink(simulation.execute, first)
    assert result.outcome.failure is not None
    assert result.outcome.failure.name == "nothing_late"


STORY: list[str] = []


async def lost_or_late(world: World) -> None:
    STORY.clear()

    async def actor(name: str) -> None:
        for _ in range(3):
            await world.point("step")
            STORY.append(name)

    world.run(Operator(actor, "a", name="a"), Operator(actor, "b", name="b"))
    await world.quiesce()


def nothing_lost(world: World) -> str | None:
    """One switch after a's first step violates this."""
    return "lost" if "".join(STORY).startswith("ab") and "bab" not in "".join(STORY) else None


def nothing_late(world: World) -> str | None:
    """It takes more to violate this."""
    return "late" if "bab" in "".join(STORY) else None


def test_the_best_only_ever_gets_better() -> None:
    """Whatever is tried: by faults, data, preemptions and steps, in this order."""
    with Simulation(lost_update, Claims(), NoDatabase()) as simulation:
        simulation.moments_otherwise = 20
        failing = (simulation.execute(Seeded(seed)) for seed in range(100))
        outcome = max((one for one in failing if one.failure is not None), key=lambda one: one.cost)
        costs = [outcome.cost]

        def execute(scheduler: Scheduler) -> Outcome:
            costs.append(shrinker.best.cost)
            return simulation.execute(scheduler)

        shrinker = Shrinker(execute, outcome, 1_000, float("inf"))
        shrinker.jump(20)
        shrinker.step_down()
        shrinker.prove(100)
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < costs[0]
