"""Choices drawn by Hypothesis: data first, the fault plan second, the schedule last. The only door to Hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from simulator.errors import Nondeterminism
from simulator.schedulers.base import Execute, Limits, Scheduler, Searched
from simulator.schedulers.planned import Plan, Planned

if TYPE_CHECKING:
    from simulator.execution import Outcome

CHANGES_MAX = 4  # change points of one plan; races of real incidents need one to three


class _Failed(Exception):
    """Tells Hypothesis that this test case is interesting."""


class DrawnSearch:
    """Lets Hypothesis draw and shrink; a failure then goes through our own shrinker like any other.

    Args:
        length: how many schedule choices an execution makes, from a probe; change points are drawn below it.
    """

    name = "drawn"

    def __init__(self, length: int) -> None:
        self._length = max(2, length)

    def run(self, execute: Execute, limits: Limits) -> Searched:
        """Draws up to ``limits.executions`` test cases, more while shrinking.

        Raises:
            Nondeterminism: Hypothesis drew the same data twice and saw two outcomes.
        """
        drawn = _Drawn(execute, self._length)
        test = self._as_test(drawn, limits)
        try:
            test()
        except _Failed:
            pass
        except Flaky as error:
            raise Nondeterminism(
                "the same choices led to two different executions; run with --check-determinism to see where"
            ) from error
        claim = f"sampled {drawn.examples} executions"
        return Searched(claim, exhaustive=False, failure=drawn.best)

    def _as_test(self, drawn: _Drawn, limits: Limits) -> Callable[[], None]:
        configured = settings(
            max_examples=limits.executions,
            database=None,  # the saved schedule is the memory; Hypothesis's own would not survive an edit of the code
            deadline=None,
            # Phase.explain multiplies the executions (2.3 s against 179 s on one test) for a comment nobody sees here.
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
            print_blob=False,
            report_multiple_bugs=False,
        )
        test = given(st.data())(drawn.one)
        return seed(limits.seed)(configured(test))


class _Drawn:
    """The function that Hypothesis calls, and what it has seen so far."""

    def __init__(self, execute: Execute, length: int) -> None:
        self._execute = execute
        self._length = length
        self.best: Outcome | None = None
        self.examples = 0

    def one(self, data: Any) -> None:
        """One test case.

        Raises:
            _Failed: it fails as the first failure did.
        """
        outcome = self._execute(_Draws(data, self._length).scheduler())
        if self.best is None:  # counted when it is done: Hypothesis breaks a test case off that it has seen before
            self.examples += 1
        if outcome.failure is None or (self.best is not None and not self._is_same(outcome)):
            return
        if self.best is None or outcome.cost < self.best.cost:
            self.best = outcome
        raise _Failed

    def _is_same(self, outcome: Outcome) -> bool:
        assert self.best is not None
        assert outcome.failure is not None
        assert self.best.failure is not None
        return outcome.failure.name == self.best.failure.name


class _Draws:
    """What Hypothesis drew for one execution, in the order in which the execution asked."""

    def __init__(self, data: Any, length: int) -> None:
        self._data = data
        self._length = length

    def scheduler(self) -> Scheduler:
        """Follows what is drawn; half of the test cases follow a plan, half a walk that a drawn number seeds."""
        return Planned(lambda options: self._draw(st.integers(0, options.count - 1)), self._plan)

    def _plan(self, count: int) -> Plan:
        order = self._permutation(count)
        changes = self._draw(st.lists(st.integers(0, self._length - 1), max_size=CHANGES_MAX))
        # Plans find bugs of few preemptions in long runs, walks those whose window is narrow in both actors: which is
        # better differs from program to program by more than a factor of ten, so neither may be missing.
        walk = self._draw(st.one_of(st.just(0), st.integers(1, 1 << 16)))
        return Plan(tuple(order), frozenset(changes), walk)

    def _permutation(self, count: int) -> list[int]:
        """Lehmer digits: all zeros is the given order, with the clock (number ``count``) last."""
        left = list(range(count + 1))
        return [left.pop(self._draw(st.integers(0, len(left) - 1)) if len(left) > 1 else 0) for _ in range(count + 1)]

    def _draw(self, strategy: Any) -> Any:
        return self._data.draw(strategy)
