"""Executions that other processes have run already when their turn comes, so that a search uses every core.

The search stays what it is on one core: it decides alone what is executed next and draws all conclusions. While it runs one
execution, the others run those that will probably come next. What they bring is used only where the search comes to exactly
the position that they started from (`simulator.reduction.passed`); anything else it runs itself. So the number of
processes changes how long a search takes and nothing of what it finds.

Processes are forked before the simulation is opened, so a scenario need not be importable; each opens one of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from simulator.counting import ANY_MOMENT
from simulator.reduction.dependence import Dependence
from simulator.reduction.passed import Numbers, Passed, Position
from simulator.reduction.plans import Explored, Whole, explore_whole
from simulator.reduction.search import Reduction, context_of
from simulator.runtime.helpers import Helper, Helpers, can_fork

if TYPE_CHECKING:
    from simulator.database import Database
    from simulator.execution import Simulation

Job = Position | Whole

_AT_A_TIME = 2  # one that is done and one to go on with
_KEPT_MAX = 256


def can_run_ahead(database: Database) -> bool:
    """Whether executions on this engine can be run by other processes: where each of them opens an engine of its own."""
    return can_fork() and database.name in {"none", "sqlite"}


class Ahead:
    """Runs executions before their turn. A context manager, to be entered before the simulation is.

    Args:
        simulation: whose executions they are.
        processes: how many may be busy at a time. While the search runs executions itself it is one of them.

    Attributes:
        dependence: for the search whose executions these are.
    """

    def __init__(self, simulation: Simulation, processes: int) -> None:
        self._processes = processes
        self._helpers = Helpers(lambda ask, answer: _serve(simulation, ask, answer), processes)
        self._numbers: dict[Helper, Numbers] = {}
        self._passed: dict[Position, Passed | None] = {}
        self._explored: dict[Whole, Explored | None] = {}
        self.dependence = Dependence()

    def __enter__(self) -> Ahead:
        self._helpers.__enter__()
        self._numbers = {helper: Numbers(self.dependence) for helper in self._helpers.alive}
        return self

    def __exit__(self, *error: object) -> None:
        self._helpers.__exit__(*error)

    def take(self, position: Position, upcoming: Iterable[Job]) -> Passed | None:
        """What came of the execution from a position; None where nobody has run it, or it failed.

        Args:
            position: where the search is.
            upcoming: where it will probably be after that, nearest first.
        """
        self._listen(0.0)
        others = (job for job in upcoming if job != position)
        self._order(others, self._helpers.alive[: max(1, self._processes - 1)])
        while position not in self._passed:
            if not any(helper.ordered and helper.ordered[0] == position for helper in self._helpers.alive):
                return None
            self._listen(None)
        return self._passed.pop(position)

    def knows(self, plan: Whole, upcoming: Iterable[Job], *, patience_s: float) -> bool:
        """Waits, not for ever, until a plan is explored or nobody is left who could; all processes are busy with it and the next.

        Args:
            plan: which.
            upcoming: what comes after it.
            patience_s: real time.
        """
        self._listen(0.0)
        self._order([plan, *upcoming], self._helpers.alive)
        if plan not in self._explored and self._helpers.alive:
            self._listen(patience_s)
        return plan in self._explored or not self._helpers.alive

    def explored(self, plan: Whole) -> Explored | None:
        """What came of a plan that is known; None where something failed: then whoever asks explores it again."""
        return self._explored.pop(plan, None)

    def _order(self, jobs: Iterable[Job], helpers: Sequence[Helper]) -> None:
        free = sum(_AT_A_TIME - len(helper.ordered) for helper in helpers)
        known = {job for helper in self._helpers.alive for job in helper.ordered}
        for job in jobs if free > 0 else ():
            if job in known or job in self._passed or job in self._explored:
                continue
            helper = min(helpers, key=lambda each: len(each.ordered))
            numbers = self._numbers[helper]
            news = numbers.news()
            if not self._helpers.send(helper, job, (news, job)):
                numbers.take_back(news)
                return
            free -= 1
            if not free:
                return

    def _listen(self, patience_s: float | None) -> None:
        """Takes in all that has come; waits so long until something has (None: as long as it takes)."""
        for helper, (news, answer) in self._helpers.answers(patience_s):
            numbers = self._numbers[helper]
            numbers.hear(news)
            job = helper.ordered.popleft()
            if isinstance(job, Whole):
                self._explored[job] = answer
            elif isinstance(job, Position):
                passed = None if answer is None else Passed.from_data(answer, numbers.of_the_other)
                self._passed[job] = passed
            while len(self._passed) > _KEPT_MAX:  # nobody came that way
                del self._passed[next(iter(self._passed))]


def _serve(simulation: Simulation, ask: Callable[[], Any], answer: Callable[[Any], None]) -> None:
    """The life of a process that runs executions: until nobody is there to ask."""
    dependence = Dependence()
    numbers = Numbers(dependence)
    simulation.moments_otherwise = ANY_MOMENT
    with simulation:
        while True:
            news, job = ask()
            numbers.hear(news)
            done: Any = None
            with suppress(Exception):  # whoever asked meets the same when it does it itself, and says it
                done = _done(simulation, job, numbers, dependence)
            answer((numbers.news(), done))


def _done(simulation: Simulation, job: Job, numbers: Numbers, dependence: Dependence) -> Any:
    """What came of it; None where something failed."""
    if isinstance(job, Whole):
        return explore_whole(simulation, job, dependence)
    position = job.renumbered(numbers.of_the_other)
    context = context_of(simulation, position.doomed, atomic_sections=position.atomic_sections)
    reduction = Reduction(simulation.execute, simulation, context, dependence, dict(position.answers))
    reduction.go_to(*position.stack())
    passed = reduction.pass_through()
    failed = passed.outcome is not None and passed.outcome.failure is not None
    return None if failed else passed.as_data()
