"""The bounded search: each schedule within a bound once, none missed, and a claim that says which bound it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from simulator.actors import Operator
from simulator.database import NoDatabase
from simulator.errors import Nondeterminism
from simulator.execution import Claims, Outcome, Simulation
from simulator.oracles import Failure
from simulator.schedulers.base import Lane, Limits, Options, Scheduler
from simulator.schedulers.bounded import BoundedSearch
from simulator.trace import Trace
from simulator.world import World

ENOUGH = Limits(100_000)
Ask = Callable[[str, list[int]], int]  # what is chosen, and what each option costs
Program = Callable[[Ask], tuple[Any, ...]]


@dataclass
class Machine:
    """Runs a program of choices, without any simulator; remembers each run's choices and what they cost."""

    program: Program
    fails: Callable[[tuple[Any, ...]], bool] = lambda _story: False
    costs: list[int] = field(default_factory=list)
    stories: list[tuple[Any, ...]] = field(default_factory=list)

    def execute(self, scheduler: Scheduler) -> Outcome:
        cost = 0

        def ask(kind: str, costs: list[int]) -> int:
            nonlocal cost
            index = scheduler.choose(options_of(kind, costs))
            cost += costs[index]
            return index

        scheduler.start([])
        story = self.program(ask)
        self.stories.append(story)
        self.costs.append(cost)
        failure = Failure("it", "fails") if self.fails(story) else None
        return Outcome(failure, Trace(), cost, 0, frozenset(), {}, 0)

    def run(self, limits: Limits = ENOUGH) -> tuple[BoundedSearch, Any]:
        search = BoundedSearch()
        return search, search.run(self.execute, limits)


def options_of(kind: str, costs: list[int]) -> Options:
    if kind != "schedule":
        return Options(kind, len(costs), name="it")  # type: ignore[arg-type]
    lanes = [Lane(str(index), "main", index) for index in range(len(costs))]
    continues = 1 in costs
    if continues and costs.count(0) > 1:  # only the clock costs something
        continues = False
        for lane, cost in zip(lanes, costs, strict=True):
            lane.kind = "time" if cost else "memory"
    return Options("schedule", len(costs), lanes=lanes, continues=continues)


def all_runs(program: Program) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Every run of a program with its cost, by trying every list of choices: nothing is shared with the search."""
    left: list[list[int]] = [[]]
    while left:
        given, widths, cost = left.pop(), [], 0

        def ask(_kind: str, costs: list[int], given: list[int] = given, widths: list[int] = widths) -> int:
            nonlocal cost
            index = given[len(widths)] if len(widths) < len(given) else 0
            widths.append(len(costs))
            cost += costs[index]
            return index

        story = program(ask)
        yield cost, story
        for at in range(len(given), len(widths)):
            left += [given + [0] * (at - len(given)) + [index] for index in range(1, widths[at])]


def interleaving(*lengths: int) -> Program:
    """Lanes of some steps each, all of which can always move."""

    def program(ask: Ask) -> tuple[Any, ...]:
        left = dict(enumerate(lengths))
        last, story = -1, []
        while left := {lane: steps for lane, steps in left.items() if steps}:
            lanes = sorted(left, key=lambda lane: (lane != last, lane))
            free = last not in left
            last = lanes[
                ask("schedule", [0 if free or lane == last else 1 for lane in lanes]) if len(lanes) > 1 else 0
            ]
            left[last] -= 1
            story.append(last)
        return tuple(story)

    return program


def with_data_faults_and_a_timer(ask: Ask) -> tuple[Any, ...]:
    """A datum decides how long a lane is, a fault takes the other away, a timer may fire early."""
    length = 1 + ask("data", [0, 0, 0])
    struck = ask("fault", [0, 1, 1])
    fired = ask("schedule", [0, 0, 1])
    rest = interleaving(length, 2 if struck != 1 else 1)(ask)
    return (length, struck, fired, *rest)


PROGRAMS = [interleaving(2, 2), interleaving(3, 2, 2), interleaving(1, 1, 1, 1), with_data_faults_and_a_timer]


@pytest.mark.parametrize("bound", [0, 1, 2, 3])
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_schedule_within_a_bound_is_executed_once_and_none_is_missed(
    program: Program, bound: int
) -> None:
    """Compared with every list of choices there is, tried one by one."""
    machine = Machine(program)
    search, searched = machine.run(Limits(100_000, deviations_max=bound))
    within = Counter(story for cost, story in all_runs(program) if cost <= bound)
    assert Counter(machine.stories) == within
    assert max(within.values()) == 1
    assert searched.executions == len(machine.stories)
    assert search.completed == bound or searched.exhaustive


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_a_bound_everything_is_executed_in_the_order_of_its_deviations(program: Program) -> None:
    """So the first failure that is found has the fewest deviations of all."""
    machine = Machine(program)
    search, searched = machine.run()
    assert machine.costs == sorted(machine.costs)
    assert Counter(machine.stories) == Counter(story for _, story in all_runs(program))
    assert searched.exhaustive
    assert searched.scope == "every schedule within its bounds"
    assert search.completed == max(machine.costs)


def test_the_first_failure_is_the_one_with_the_fewest_deviations() -> None:
    """Lane 1 in the middle of lane 0 needs one; a walk would have met it with more."""
    machine = Machine(
        interleaving(4, 4), fails=lambda story: story[1:5] == (0, 1, 1, 1) or story[0:3] == (0, 1, 0)
    )
    _, searched = machine.run()
    assert searched.failure is not None
    assert (
        machine.costs[-1]
        == min(cost for cost, story in all_runs(machine.program) if machine.fails(story))
        == 1
    )


@pytest.mark.parametrize(
    ("bound", "scope"),
    [
        (-1, "not even every schedule without a deviation"),
        (0, "every schedule without a deviation"),
        (1, "every schedule with at most 1 deviation"),
        (2, "every schedule with at most 2 deviations"),
    ],
)
def test_a_search_that_is_cut_short_claims_the_last_bound_that_was_completed(bound: int, scope: str) -> None:
    """It gets one execution more than the bound has: what was executed beyond it counts for nothing."""
    program = interleaving(5, 5)
    within = sum(cost <= bound for cost, _ in all_runs(program))
    search, searched = Machine(program).run(Limits(within + 1))
    assert searched.scope == scope
    assert not searched.exhaustive
    assert searched.executions == within + 1
    assert (search.completed, search.executed_when_completed) == (bound, within)


def test_no_time_is_no_execution() -> None:
    """The time is looked at before an execution is started."""
    machine = Machine(interleaving(2, 2))
    _, searched = machine.run(Limits(100, seconds=-1.0))
    assert machine.stories == []
    assert searched.scope == "not even every schedule without a deviation"


@pytest.mark.parametrize("what", ["fewer options", "fewer choices"])
def test_a_program_that_changes_between_executions_is_told(what: str) -> None:
    """The same choices led to another question: something escapes the simulation."""
    runs = count()

    def program(ask: Ask) -> tuple[Any, ...]:
        later = next(runs) > 0
        if what == "fewer choices" and later:
            return ()
        ask("schedule", [0, 0] if later else [0, 0, 0])
        return ()

    with pytest.raises(Nondeterminism, match="escapes the simulation"):
        Machine(program).run()


def test_in_the_simulator_every_interleaving_of_two_actors_is_executed_once() -> None:
    """Two lanes of three steps each (one is their start) have 20 interleavings."""

    async def steps(world: World) -> None:
        await world.point("one")
        await world.point("two")

    async def scenario(world: World) -> None:
        world.run(Operator(steps, world, name="a"), Operator(steps, world, name="b"))
        await world.quiesce()

    with Simulation(scenario, Claims(), NoDatabase()) as simulation:
        seen: Counter[tuple[str, ...]] = Counter()

        def execute(scheduler: Scheduler) -> Outcome:
            outcome = simulation.execute(scheduler)
            seen["".join(lane for lane, _, _ in outcome.trace.steps)] += 1  # type: ignore[index]
            return outcome

        searched = BoundedSearch().run(execute, ENOUGH)
    assert searched.exhaustive
    assert len(seen) == searched.executions == 20
    assert set(seen.values()) == {1}
