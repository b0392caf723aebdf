"""A second count of classes, for worlds that have too many interleavings to execute them all: depth first, with sleep sets.

At each state every lane that is awake is tried, one after the other. A lane that was tried sleeps in what is tried after
it, until somebody makes a step that its own step depends on: until then, whatever it began would only be something that was
seen, with independent steps swapped. Where all who could move sleep, the execution is broken off. So every class is
executed to its end once, and many executions are begun that come to none. No races, no beginnings that are planned: of the
reduction that is counted here this knows the relation `simulator.effects.conflict` and no more.

What a step looked at may be known only when later ones are over: a look belongs to the step that took the snapshot. Hence a
step is taken for all that it looked at in any execution so far. That is enough. Were an execution ``s t u ...`` left out
because ``u`` sleeps, although a later look of ``t`` sees what ``u`` makes visible, or the other way round, then ``s u t ...``
has been executed: it goes the same way up to the first look that sees something else, and that look was noted there. A step
is *the same* in two executions when its lane has come to it through the same points. Taking a step for more than it is
executes a class twice; so classes are counted by their normal form.

Source: Godefroid, "Partial-order methods for the verification of concurrent systems", LNCS 1032 (1996), chapter 5;
the normal form is Cartier's and Foata's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from simulator.effects import NOTHING, VERSION, Effects
from simulator.execution import Simulation
from simulator.reduction.context import Context
from simulator.reduction.dependence import Dependence, Number
from simulator.schedulers.base import Lane, Options
from tests.simulator.exhaustive.brute_force import Small, may_be_whole
from tests.simulator.exhaustive.classes import Class, Executed, able_of, normal_form
from tests.simulator.exhaustive.sections import attempted

Same = int
"""Stands for a lane and the points through which it has come to a step, that step's own included."""


class BrokenOff(BaseException):
    """Everybody who could move sleeps; no error, and nobody's to catch."""


class Tried(NamedTuple):
    """A step: which, and its effects."""

    same: Same
    number: Number


@dataclass(slots=True)
class Made:
    """A state on the way of the current execution, and the step that was made from it.

    Attributes:
        able: who could move, without those who would only wait for the lock; nobody where there was no choice.
        lane: who moved.
        step: its index.
        same: which step it was.
        number: its effects.
        done: lanes that were tried from here before, with their steps.
    """

    able: tuple[str, ...]
    lane: str
    step: int
    same: Same
    number: Number
    done: dict[str, Tried] = field(default_factory=dict)


def executed_with_sleep_sets(small: Small, *, at_most: int | None = None) -> Executed:
    """Every class, each once.

    Args:
        small: the world; none of its timers may fire early, and nothing goes wrong in it.
        at_most: executions that are begun; after that it is given up.
    """
    found = _executed_with_sleep_sets(small, at_most, atomic_sections=may_be_whole(small))
    return found or _executed_with_sleep_sets(small, at_most, atomic_sections=False) or Executed()


def _executed_with_sleep_sets(small: Small, at_most: int | None, *, atomic_sections: bool) -> Executed | None:
    """None where sections must not be whole after all."""
    found = Executed(atomic_sections=atomic_sections)
    with small.simulation() as simulation:
        sleeping = SleepSets(simulation, atomic_sections=atomic_sections)
        while not found.finished and found.begun != at_most:
            found.begun += 1
            if sleeping.execute():
                found.states[small.ended] += 1
                found.classes[sleeping.normal_form()] += 1
            if atomic_sections and attempted(simulation.conductor.trace):
                return None
            found.finished = not sleeping.goes_on()
    return found


class SleepSets:
    """The search: one way through the tree of choices at a time, deepest first.

    Args:
        simulation: whose executions they are.
        atomic_sections: whether a critical section is one step.
    """

    def __init__(self, simulation: Simulation, *, atomic_sections: bool) -> None:
        self._simulation = simulation
        self.atomic_sections = atomic_sections
        self._context = Context(atomic_sections=atomic_sections)
        self._dependence = Dependence()
        self._nothing = self._dependence.number(NOTHING)
        self._sames: dict[tuple[Same, str, str], Same] = {}
        self._looks: list[Number] = []  # by step: at what it looked in any execution
        self._way: list[Made] = []
        self._asleep: list[dict[str, Tried]] = []  # in each state of the way
        self._came: dict[str, Same] = {}  # to which step each lane has come
        self._passed = 0
        self._seen = 0

    def execute(self) -> bool:
        """Goes the way, then on where somebody is awake; returns whether it came to an end that was not seen before."""
        self._passed = self._seen = 0
        self._came = {}
        try:
            self._simulation.execute(self)
        except BrokenOff:  # what was known is learnt; what is undone after it belongs to no step
            return False
        self._catch_up()
        self._learn_all()
        return all(made.lane not in asleep for made, asleep in zip(self._way, self._asleep, strict=True))

    def goes_on(self) -> bool:
        """Goes back to the last state in which somebody is awake who was not tried; False when there is none."""
        while self._way:
            made, asleep = self._way[-1], self._asleep[-1]
            made.done[made.lane] = Tried(made.same, made.number)
            for lane in made.able:
                if lane not in made.done and lane not in asleep:
                    made.lane = lane
                    return True
            self._way.pop()
            self._asleep.pop()
        return False

    def normal_form(self) -> Class:
        """Of the execution that came to its end."""
        return normal_form(
            [made.lane for made in self._way], [made.number for made in self._way], self._dependence
        )

    # The conductor asks ------------------------------------------------------------------------------------

    def start(self, lanes: Sequence[Lane]) -> None:
        """The way is the plan."""

    def choose(self, options: Options) -> int:
        """Who moves."""
        assert options.kind == "schedule", f"{options.name}: nothing but the order of steps is varied here"
        self._catch_up()
        self._context.meet(options.lanes)
        lanes = [lane.label for lane in options.lanes]
        if self._passed == len(self._way):
            able = able_of(lanes, self._simulation.database.would_wait)
            self._enter(Made(able, self._awake(able), options.step, -1, self._nothing))
        return lanes.index(self._way[self._passed].lane)

    def _awake(self, able: Sequence[str]) -> str:
        for look_again in (False, True):
            if look_again:
                self._learn_all()  # the looks that were served from earlier snapshots meanwhile
            asleep = self._falls_asleep()
            for lane in able:
                if lane not in asleep:
                    return lane
        raise BrokenOff

    # What is known -----------------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Passes the states whose steps were made since it was asked last; some of them were no choice."""
        steps = self._simulation.conductor.trace.steps
        within = self._simulation.conductor.trace.within
        for step in range(self._seen, len(steps)):
            lane, point, _ = steps[step]
            self._seen = step
            if step not in within:
                if self._passed == len(self._way):
                    self._learn_last()
                    self._enter(Made((), lane, step, -1, self._nothing))
                self._passed += 1
            made = self._way[self._passed - 1]
            assert made.lane == lane, f"step {step + 1} was {made.lane}'s and is {lane}'s: something escapes"
            made.step = step if step not in within else made.step
            name = (self._came.get(lane, -1), lane, point)
            made.same = self._came[lane] = self._sames.setdefault(name, len(self._sames))
            if made.same == len(self._looks):
                self._looks.append(self._nothing)
        self._seen = len(steps)
        if self._passed == len(self._way):
            self._learn_last()

    def _enter(self, made: Made) -> None:
        self._asleep.append(self._falls_asleep())
        self._way.append(made)

    def _falls_asleep(self) -> dict[str, Tried]:
        """Who sleeps in the state that the way has come to."""
        if not self._way:
            return {}
        last, conflict = self._way[-1], self._dependence.conflict
        here = self._taken_for(last.same, last.number)
        return {
            lane: tried
            for lane, tried in (self._asleep[-1] | last.done).items()
            if lane != last.lane and not conflict(self._taken_for(*tried), here)
        }

    def _taken_for(self, same: Same, number: Number) -> Number:
        return self._dependence.union(number, self._looks[same])

    def _learn(self, index: int) -> None:
        made, union = self._way[index], self._dependence.union
        trace = self._simulation.conductor.trace
        until = self._way[index + 1].step if index + 1 < self._passed else self._seen
        effects = self._context.effects(trace, made, until)  # type: ignore[arg-type]
        made.number = self._dependence.number(effects)
        looks = Effects(reads=effects.reads & {VERSION}, looks=effects.looks)
        self._looks[made.same] = union(self._looks[made.same], self._dependence.number(looks))

    def _learn_last(self) -> None:
        if self._passed:
            self._learn(self._passed - 1)

    def _learn_all(self) -> None:
        for index in range(self._passed):
            self._learn(index)
        way, self._way, self._asleep = self._way, [], []
        for made in way:
            self._enter(made)
