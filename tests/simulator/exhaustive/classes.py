"""Of which class an execution is, worked out from its record; and executions as chance makes them, to be looked up in it.

This knows what each step did and which steps conflict (`simulator.effects`), and nothing of how a search finds its way. The
search itself is run here as well, because the classes that it executes are to be named in the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from simulator.execution import Simulation
from simulator.reduction.context import Context
from simulator.reduction.dependence import Dependence, Number
from simulator.reduction.search import Reduction
from simulator.schedulers.base import Options
from tests.simulator.exhaustive.brute_force import Small, State, may_be_whole
from tests.simulator.exhaustive.sections import Whole, effects_of, whole

Class = tuple[tuple[tuple[str, int], ...], ...]


@dataclass
class Executed:
    """What came of a world.

    Attributes:
        begun: executions, those included that were broken off.
        states: how often each state was the end.
        classes: how often each class was executed to its end.
        finished: whether nothing was left.
        atomic_sections: whether a critical section is one event in the classes.
    """

    begun: int = 0
    states: Counter[State] = field(default_factory=Counter)
    classes: Counter[Class] = field(default_factory=Counter)
    finished: bool = False
    atomic_sections: bool = False


def normal_form(lanes: Sequence[str], numbers: Sequence[Number], dependence: Dependence) -> Class:
    """The same for executions that differ in the order of independent steps only, and for no others.

    Each step, as (lane, how many of its lane before it), stands in the first place that is left to it by the earlier ones on
    which it depends.

    Source: Cartier and Foata, "Problèmes combinatoires de commutation et réarrangements", LNM 85 (1969).
    """
    count: dict[str, int] = {}
    places: list[int] = []
    form: list[list[tuple[str, int]]] = []
    for index, lane in enumerate(lanes):
        place = 0
        for at in range(index):
            if places[at] >= place and (
                lanes[at] == lane or dependence.conflict(numbers[at], numbers[index])
            ):
                place = places[at] + 1
        if place == len(form):
            form.append([])
        places.append(place)
        count[lane] = count.get(lane, -1) + 1
        form[place].append((lane, count[lane]))
    return tuple(tuple(sorted(steps)) for steps in form)


def class_of(simulation: Simulation, context: Context, dependence: Dependence) -> Class:
    """Of the execution that is over; nothing went wrong in it, and no timer fired early."""
    trace = simulation.conductor.trace
    events = [Whole(lane, [step]) for step, (lane, _, _) in enumerate(trace.steps)]
    if context.atomic_sections:
        events = whole(trace, context)
    numbers = [dependence.number(effects_of(event, trace, context)) for event in events]
    return normal_form([event.lane for event in events], numbers, dependence)


def able_of(lanes: Sequence[str], waits: Callable[[str], bool]) -> tuple[str, ...]:
    """Who can move and would not only find that it has to wait for the lock; all, where all would."""
    return tuple(lane for lane in lanes if not waits(lane)) or tuple(lanes)


def executed_by_the_search(small: Small, *, at_most: int | None = None) -> Executed:
    """What optimal reduction executes; it is given up after so many executions."""
    found = _executed_by_the_search(small, at_most, atomic_sections=may_be_whole(small))
    return found or _executed_by_the_search(small, at_most, atomic_sections=False) or Executed()


def _executed_by_the_search(small: Small, at_most: int | None, *, atomic_sections: bool) -> Executed | None:
    """None where sections must not be whole after all."""
    found, dependence = Executed(atomic_sections=atomic_sections), Dependence()
    context = Context(atomic_sections=atomic_sections)
    with small.simulation() as simulation:
        reduction = Reduction(simulation.execute, simulation, context, dependence, {})
        while not reduction.over and found.begun != at_most:
            found.begun += 1
            if reduction.next() is not None:
                assert reduction.last is not None
                events = reduction.last.events
                lanes, numbers = [event.lane for event in events], [event.number for event in events]
                found.classes[normal_form(lanes, numbers, dependence)] += 1
                found.states[small.ended] += 1
            if atomic_sections and reduction.attempted:
                return None
        found.finished = reduction.over
        assert not reduction.strayed
    return found


def executed_at_random(small: Small, executions: int, *, atomic_sections: bool) -> Executed:
    """Random walks, each from a seed of its own; a lane that would only wait for the lock does not move.

    Args:
        small: the world.
        executions: how many.
        atomic_sections: how classes are to be told apart; there are choices within sections in either case.
    """
    found, dependence = Executed(atomic_sections=atomic_sections), Dependence()
    with small.simulation() as simulation:
        for seed in range(executions):
            walk = _Walk(Random(seed), simulation.database.would_wait, atomic_sections=atomic_sections)
            simulation.execute(walk)
            found.begun += 1
            found.classes[class_of(simulation, walk.context, dependence)] += 1
            found.states[small.ended] += 1
    return found


class _Walk:
    """Every lane that can move is as likely as any other; or one lane goes on for a while, so that walks differ in kind."""

    def __init__(self, random: Random, waits: Callable[[str], bool], *, atomic_sections: bool) -> None:
        self._random = random
        self._waits = waits
        self._goes_on = random.choice([0.0, 0.5, 0.9])
        self.context = Context(atomic_sections=atomic_sections)

    def start(self, _lanes: Sequence[object]) -> None:
        """There is no plan."""

    def choose(self, options: Options) -> int:
        """Who moves."""
        assert options.kind == "schedule", f"{options.name}: nothing but the order of steps is varied here"
        self.context.meet(options.lanes)
        lanes = [lane.label for lane in options.lanes]
        able = able_of(lanes, self._waits)
        if options.continues and lanes[0] in able and self._random.random() < self._goes_on:
            return 0
        return lanes.index(self._random.choice(able))
