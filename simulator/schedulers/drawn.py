"""Choices drawn by Hypothesis: data first, the fault plan second, the schedule last. The only door to Hypothesis.

What Hypothesis would take from its surroundings is kept out, or one seed would not mean the same executions tomorrow:
profiles, its database, and the constants that it reads out of whatever modules happen to be loaded (and keeps in a
folder ``.hypothesis``). It draws few things, because drawing one takes it 50 µs where a statement takes a database 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import factorial, gcd
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import FailedHealthCheck, Flaky

from simulator.clock import RealTime
from simulator.errors import Nondeterminism, SimulatorError
from simulator.schedulers.base import Execute, Limits, Options, Scheduler, Searched
from simulator.schedulers.planned import Plan, Planned

if TYPE_CHECKING:
    from simulator.execution import Outcome

providers: Any
try:  # its private names are in no stub, and older versions have no such module
    from hypothesis.internal.conjecture import providers
except ImportError:
    providers = None

CHANGES_MAX = 4  # change points of one plan; races of real incidents need one to three
# Hypothesis shrinks data well and schedules badly; what it leaves is done by our own shrinker, which needs fewer tries.
SHRINKING_EXECUTIONS_MAX = 200
_WALKS = 1 << 16  # for each order that is drawn beside it: more than anybody will execute


class _Failed(Exception):
    """Tells Hypothesis that this test case is interesting."""


class _Enough(BaseException):
    """Unwinds Hypothesis, which takes every Exception for a failing test case and would shrink it."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(error)
        self.error = error


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
            SimulatorError: this is inside of a ``@given`` test that does not allow it.
        """
        drawn = _Drawn(execute, self._length, limits)
        try:
            with _nothing_local():
                _as_test(drawn.one, limits)()
        except _Failed:
            pass
        except _Enough as enough:
            if isinstance(enough.error, Flaky):
                raise _nondeterminism() from enough.error
            if enough.error is not None:
                raise enough.error from enough.error.__cause__
        except Flaky as error:
            raise _nondeterminism() from error
        except FailedHealthCheck as error:  # all of ours are off: it is the test's around us
            raise SimulatorError(
                "an exploration that Hypothesis draws is inside of a @given test: use scheduler='seeded' there, or "
                "allow it with @settings(suppress_health_check=[HealthCheck.nested_given])"
            ) from error
        return Searched(drawn.examples, "sampled", exhaustive=False, failure=drawn.best)


def _nondeterminism() -> Nondeterminism:
    return Nondeterminism(
        "the same choices led to two different executions; run with --check-determinism to see where"
    )


def _as_test(one: Callable[[Any], None], limits: Limits) -> Callable[[], None]:
    # Everything that matters is said here: what is left out comes from whatever profile is loaded.
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
        derandomize=False,
        backend="hypothesis",
    )
    return seed(limits.seed)(configured(given(st.data())(one)))


@contextmanager
def _nothing_local() -> Iterator[None]:
    """Hypothesis draws one integer in twenty from the constants of loaded modules: from none, while we draw.

    Versions that have no such pool need nothing done.
    """
    if not hasattr(providers, "_get_local_constants"):
        yield
        return
    known, cache = providers._get_local_constants, providers.CONSTANTS_CACHE
    nothing = providers.Constants()
    providers._get_local_constants = lambda: nothing
    providers.CONSTANTS_CACHE = type(cache)(cache.max_size)
    try:
        yield
    finally:
        providers._get_local_constants, providers.CONSTANTS_CACHE = known, cache


class _Drawn:
    """The function that Hypothesis calls, and what it has seen so far."""

    def __init__(self, execute: Execute, length: int, limits: Limits) -> None:
        self._execute = execute
        self._plans = _plans(length)
        self._expiry = limits.expiry()
        self._shrinking = 0
        self.best: Outcome | None = None
        self.examples = 0

    def one(self, data: Any) -> None:
        """One test case.

        Raises:
            _Failed: it fails as the first failure did.
            _Enough: the time is up, shrinking has taken long enough, or something other than a claim failed.
        """
        self._shrinking += self.best is not None
        if RealTime.perf_counter() > self._expiry or self._shrinking > SHRINKING_EXECUTIONS_MAX:
            raise _Enough
        try:
            outcome = self._execute(self._scheduler(data))
        except Exception as error:
            raise _Enough(error) from error
        if (
            self.best is None
        ):  # counted when it is done: Hypothesis breaks a test case off that it has seen before
            self.examples += 1
        if outcome.failure is None or (
            self.best is not None and not outcome.failure.is_like(self.best.failure)
        ):
            return
        if self.best is None or outcome.cost < self.best.cost:
            self.best = outcome
        raise _Failed

    def _scheduler(self, data: Any) -> Scheduler:
        def index(options: Options) -> int:
            if options.kind == "data":
                return int(data.draw(st.integers(0, options.count - 1)))
            return int(data.draw(_moments(options.count)))

        return Planned(index, lambda count: data.draw(self._plans(count)))


@st.composite
def _moments(draw: Any, count: int) -> int:
    """0 (never) as likely as all moments together: most bugs need no fault, and those that do need one of them."""
    return 1 + spread(draw(st.integers(0, count - 2)), count - 1) if draw(st.booleans()) else 0


def _plans(length: int) -> Callable[[int], Any]:
    change = st.integers(0, length - 1)

    @st.composite
    def plans(draw: Any, count: int) -> Plan:
        """Everything at its plainest is the given order, with the clock (number ``count``) last, and no change."""
        orders = factorial(count + 1)
        number = spread(draw(st.integers(0, orders - 1)), orders)
        # Plans find bugs of few preemptions in long runs, walks those whose window is narrow in both actors: which is
        # better differs from program to program by more than a factor of ten, so neither may be missing.
        walks = draw(st.booleans())
        if walks:
            return Plan((), frozenset(), walk=1 + number * _WALKS + draw(st.integers(0, _WALKS - 1)))
        changes = [spread(draw(change), length) for _ in range(draw(st.integers(0, CHANGES_MAX)))]
        return Plan(permutation(number, count + 1), frozenset(changes))

    return plans


def permutation(number: int, count: int) -> tuple[int, ...]:
    """The permutation of some things that a number stands for (its Lehmer digits); 0 is the given order."""
    left, order = list(range(count)), []
    for size in range(count, 0, -1):
        digit, number = divmod(number, factorial(size - 1))
        order.append(left.pop(digit % size))
    return tuple(order)


def spread(value: int, count: int) -> int:
    """Maps 0 .. count-1 onto itself, 0 to 0, neighbours far apart.

    Hypothesis prefers small numbers, and a change point or an order is no likelier to matter because it is small.
    """
    step = max(1, round(count * 0.618))
    while gcd(step, count) != 1:
        step += 1
    return value * step % count
