"""Every class of one scenario with its data and faults given: optimal dynamic partial order reduction, without a state.

An execution is followed to its end; each of its races is turned into a beginning that has it the other way round, unless
the wakeup tree or the sleep set of the state before it shows that such a class was explored or will be. Then the deepest
state with a beginning left is gone back to, by executing again what leads there.

Source: see `simulator.reduction.wakeup`. What a snapshot's step reads is known only when the execution is over, so sleep
sets are computed anew after each, and what sleeps carries the effects of all executions in which it was explored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from simulator.effects import EVERYTHING
from simulator.oracles import is_sql
from simulator.reduction.context import Context
from simulator.reduction.dependence import Dependence, Number
from simulator.reduction.events import Causality, Race
from simulator.reduction.following import Following, Node, Redundant, ends_of, events_of, still_asleep
from simulator.reduction.moments import Moments
from simulator.reduction.passed import Passed, Position, positions_ahead, tree_of
from simulator.reduction.wakeup import Beginning, Branch, first_step, insert

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from simulator.effects import Effects
    from simulator.execution import Outcome, Simulation
    from simulator.reduction.following import Answers, Asked
    from simulator.schedulers.base import Execute

    Elsewhere = Callable[[Position, Iterable[Position]], Passed | None]


def context_of(
    simulation: Simulation, doomed: frozenset[tuple[str, int]], *, atomic_sections: bool
) -> Context:
    """What completes the effects of a simulation's steps.

    Args:
        simulation: whose.
        doomed: processes for which a fault is planned, and in place of which of their steps it strikes.
        atomic_sections: whether a critical section is one event, where it can be.
    """
    claims, database = simulation.claims, simulation.database
    asked = (*claims.always, *claims.sometimes)
    context = Context(
        judged_at_commits=not all(is_sql(claim) for claim in asked),
        commits_in_order=bool(asked),
        judged_at_steps=not database.present and bool(claims.always),
        atomic_sections=atomic_sections,
    )
    context.doomed = doomed
    return context


class Reduction:
    """Explores the classes of one plan, an execution at a time.

    Args:
        execute: runs a scheduler.
        simulation: whose executions they are.
        context: completes effects.
        dependence: shared by all plans of a search.
        answers: data and faults by name.
        elsewhere: says what came of the execution from a position, where another process ran it, and is told which
            positions will probably be next; None: nobody does.

    Attributes:
        executions: complete ones, each of another class.
        redundant: executions that led to nothing new, most of them broken off.
        strayed: executions that did not follow their plan.
        steps: the most steps that each process made.
        moments: before which of a process's steps its death is one of its own.
        asked: the data and faults that the scenario asked for.
        asked_otherwise: that was not the same in all executions.
        last: the causal order of the last execution.
        torn: it was broken off while it drew its conclusions from an execution.
        attempted: somebody wanted the lock and would not wait for it. Then critical sections must not be whole: what it
            meets within one is missing.
    """

    def __init__(
        self,
        execute: Execute,
        simulation: Simulation,
        context: Context,
        dependence: Dependence,
        answers: Answers,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._elsewhere = elsewhere
        self._execute = execute
        self._simulation = simulation
        self._context = context
        self._dependence = dependence
        self._answers = answers
        self._locks_disable = simulation.bounds.early_timers_max == 0
        self._stack: list[Node] = []
        self._then: list[Branch] = []
        self._over = False
        self.executions = 0
        self.redundant = 0
        self.strayed = 0
        self.steps: dict[str, int] = {}
        self.moments = Moments()
        self.asked: list[Asked] = []
        self.asked_otherwise = False
        self._complete = False  # some execution was
        self.last: Causality | None = None
        self.torn = False
        self.attempted = False

    @property
    def over(self) -> bool:
        """Whether every class was explored."""
        return self._over

    def position(self) -> tuple[list[Node], list[Branch]]:
        """The states on the way to the next execution, and how that one goes on."""
        return self._stack, self._then

    def go_to(self, stack: list[Node], then: list[Branch]) -> None:
        """Goes on where another search stood."""
        self._stack, self._then = stack, then

    def effects(self) -> list[tuple[str, Effects]]:
        """Who made each event of the last execution, and its effects."""
        events = self.last.events if self.last is not None else ()
        return [(event.lane, self._dependence.effects(event.number)) for event in events]

    def share(self) -> float:
        """About how much of all there is was explored, if all ways on from a state are worth the same."""
        share, weight = 0.0, 1.0
        for node in self._stack:
            ways = len(node.done) + 1 + len(node.pending)
            share += weight * len(node.done) / ways
            weight /= ways
        return 1.0 if self._over else share

    def where(self) -> Position:
        """All that the next execution depends on."""
        stack = self._stack
        return replace(
            self._plan(),
            lanes=tuple(node.lane for node in stack),
            done=tuple(tuple(node.done.items()) for node in stack),
            asleep=tuple(stack[-1].sleep.items()) if stack else (),
            then=tree_of(self._then),
        )

    def upcoming(self) -> Iterator[Position]:
        """Where it will be after that, as far as can be told."""
        return positions_ahead(self._plan(), self._stack)

    def _plan(self) -> Position:
        context = self._context
        return Position(tuple(self._answers.items()), context.doomed, context.atomic_sections)

    def next(self) -> Outcome | None:
        """Runs one more execution; None when it led to nothing new."""
        passed = None
        if self._elsewhere is not None:
            passed = self._elsewhere(self.where(), self.upcoming())
        if passed is None:
            passed = self.pass_through()
        else:
            self.torn = True
            self._follow(passed)
        outcome = passed.outcome
        if outcome is not None:
            self.asked_otherwise = self.asked_otherwise or (self._complete and passed.asked != self.asked)
            self.asked, self._complete = passed.asked, True
        self.strayed += passed.strayed
        self._learn(passed)
        if outcome is not None:
            for name, steps in outcome.steps_of.items():
                self.steps[name] = max(steps, self.steps.get(name, 0))
        if passed.redundant or outcome is None:
            self.redundant += 1
            outcome = None if outcome is None or outcome.failure is None else outcome
        else:
            self.executions += 1
        self._go_back()
        self.torn = False
        return outcome

    def pass_through(self) -> Passed:
        """Runs the next execution and concludes nothing from it."""
        following = self._following()
        planned = len(self._stack)
        outcome: Outcome | None
        try:
            outcome = self._execute(following)
        except Redundant:
            outcome = None
        except BaseException:
            del self._stack[planned:]  # as if it had not been begun
            raise
        self.torn = True
        trace = self._simulation.conductor.trace if outcome is None else outcome.trace
        following.catch_up(trace)
        nodes = following.nodes
        if nodes and nodes[-1].step >= len(trace.steps):
            del nodes[-1]  # all who could move slept there, so nobody did
        numbers = [
            self._dependence.number(self._context.effects(trace, node, end))
            for node, end in zip(nodes, ends_of(nodes, trace), strict=True)
        ]
        return Passed(
            nodes,
            numbers,
            trace,
            outcome,
            following.asked,
            following.redundant,
            following.strayed,
            self._simulation.drew_chance,
        )

    def _follow(self, passed: Passed) -> None:
        """Goes the way that an execution elsewhere has gone."""
        for node, there in zip(self._stack, passed.nodes, strict=False):
            node.step = there.step
        self._stack += passed.nodes[len(self._stack) :]

    def _following(self) -> Following:
        database = self._simulation.database
        return Following(
            self._stack,
            self._then,
            answers=self._answers,
            trace=lambda: self._simulation.conductor.trace,
            dependence=self._dependence,
            context=self._context,
            waits=self._waits if self._locks_disable else None,
            is_looking=database.is_looking,
        )

    def _waits(self, lane: str) -> bool:
        """A fault strikes also where its lane would begin to wait, so that lane is let move."""
        if not self._simulation.database.would_wait(lane):
            return False
        conductor = self._simulation.conductor
        return not self._context.is_struck_next(lane, conductor.trace, conductor.moved)

    def _learn(self, passed: Passed) -> None:
        nodes, trace = self._stack, passed.trace
        for index, (node, number) in enumerate(zip(nodes, passed.numbers, strict=True)):
            node.number = number
            self.attempted = self.attempted or self._dependence.effects(number).attempts
            node.always = number if node.always is None else self._dependence.union(node.always, number)
            if index:
                node.sleep = still_asleep(nodes[index - 1], self._dependence)
        events = events_of(nodes, trace, self._context)
        self.moments.learn(nodes, trace, self._context, self._dependence)
        causality = self.last = Causality(events, self._dependence, locks_disable=self._locks_disable)
        for race in causality.races:
            self._reverse(race, causality)

    def _reverse(self, race: Race, causality: Causality) -> None:
        """Plans a beginning in which the race goes the other way round, unless its class is known."""
        node = self._stack[race.first]
        events = causality.events
        lanes = [events[at].lane for at in race.instead]
        numbers = [events[at].number for at in race.instead]
        numbers[-1] = self._dependence.possible(numbers[-1])  # it depends on what it now comes before
        if (
            race.lane != lanes[-1]
        ):  # a fault struck, whoever was about to move: what this one would do is not known
            lanes[-1], numbers[-1] = race.lane, self._dependence.number(EVERYTHING)
        before = [causality.before[at] for at in race.instead]
        before[-1] = self._before_last(race, lanes, numbers, causality)
        beginning = Beginning(tuple(lanes), tuple(numbers), race.instead, tuple(before))
        for lane, number in (node.sleep | node.done).items():
            if first_step(lane, number, beginning, self._dependence) is not None:
                return
        insert(node.pending, beginning, self._dependence)

    def _before_last(self, race: Race, lanes: list[str], numbers: list[Number], causality: Causality) -> int:
        """What comes before the last step of a beginning, now that what came between is not in it."""
        event = causality.events[race.instead[-1]]
        before, woken_by = 0, dict(event.struck).get(race.lane, event.woken_by)
        for at, lane, number in zip(race.instead[:-1], lanes, numbers, strict=False):
            if lane == lanes[-1] or at == woken_by or self._dependence.conflict(number, numbers[-1]):
                before |= causality.before[at] | 1 << at
        return before

    def _go_back(self) -> None:
        stack = self._stack
        while stack:
            node = stack[-1]
            assert node.always is not None
            node.done[node.lane] = node.always
            if node.pending:
                branch = node.pending.pop(0)
                node.lane, self._then, node.always = branch.lane, branch.then, None
                return
            stack.pop()
        self._over = True
