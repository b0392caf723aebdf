"""Choices drawn by Hypothesis: data first, the fault plan second, the schedule last. The only door to Hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from simulator.errors import Nondeterminism
from simulator.schedulers.base import Execute, Limits, Options, Searched
from simulator.schedulers.planned import Planned

if TYPE_CHECKING:
    from simulator.execution import Outcome

CHANGES_MAX = 4  # change points of one plan; races of real incidents need one to three
SPREAD = 1  # a change point lies anywhere in the first execution's length


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
    def __init__(self, execute: Execute, length: int) -> None:
        self._execute = execute
        self._length = length
        self.best: Outcome | None = None
        self.examples = 0

    def one(self, data: Any) -> None:
        if self.best is None:
            self.examples += 1
        outcome = self._execute(Planned(lambda options: _index(data, options), lambda count: self._plan(data, count)))
        if outcome.failure is None:
            return
        if self.best is None or self.best.failure is None:
            self.best = outcome
        if outcome.failure.name != self.best.failure.name:  # type: ignore[union-attr]
            return  # another failure than the one that is being shrunk
        if outcome.cost < self.best.cost:
            self.best = outcome
        raise _Failed

    def _plan(self, data: Any, count: int) -> tuple[Sequence[int], Iterable[int]]:
        order = _permutation(data, count)
        changes = data.draw(st.lists(st.integers(0, self._length - 1), max_size=CHANGES_MAX))
        return order, changes


def _index(data: Any, options: Options) -> int:
    return data.draw(st.integers(0, options.count - 1))  # type: ignore[no-any-return]


def _permutation(data: Any, count: int) -> list[int]:
    """Lehmer digits: all zeros is the given order, with the clock (number ``count``) last."""
    left = list(range(count + 1))
    return [left.pop(data.draw(st.integers(0, len(left) - 1)) if len(left) > 1 else 0) for _ in range(count + 1)]
