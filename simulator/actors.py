"""What comes in from outside and when: webhooks, pollers, cron, an operator.

An actor is a recipe; the process that runs it turns it into lanes. A *program* is an async function. It is called with
what the process's factory returned (if the process has a factory) and then the actor's own arguments.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from cronsim import CronSim, CronSimError

Program = Callable[..., Awaitable[Any]]
Errors = tuple[type[Exception], ...]
NOW = timedelta(0)


def checked_name(name: str) -> str:
    """A name that can stand in a schedule's line.

    Raises:
        ValueError: it cannot.
    """
    if ":" in name or "\n" in name or not name.strip():
        raise ValueError(f"a name stands before a colon on a line of a schedule; {name!r} cannot")
    return name


class Actor:
    """What all actors have: a program, its arguments, a name, a first moment, and errors that do not fail the test.

    A tolerated error costs a delivery, a look or a tick, as it does in a service that logs it and goes on. Any other
    error fails the execution: an error that nobody expected is a finding.
    """

    def __init__(
        self,
        program: Program,
        args: tuple[Any, ...],
        *,
        name: str | None,
        after: timedelta,
        tolerates: Errors,
    ) -> None:
        self.program = program
        self.args = args
        self.name = checked_name(name or str(getattr(program, "__name__", type(program).__name__)))
        self.after = after
        self.tolerates = tolerates if isinstance(tolerates, tuple) else (tolerates,)
        if not callable(program):
            raise ValueError(f"{self.name}: an actor runs an async function; got {program!r}")
        if not all(isinstance(error, type) and issubclass(error, Exception) for error in self.tolerates):
            raise ValueError(
                f"{self.name}: tolerates=... takes a tuple of exception classes; got {tolerates!r}"
            )
        if after < NOW:
            raise ValueError(f"{self.name}: after={after} lies before the actors start")


class Webhook(Actor):
    """A provider delivers a notification, at least once.

    Each delivery is a lane of its own (``name#1``, ``name#2``), so duplicates overlap in every way. A delivery whose
    program raises a tolerated error, or whose process dies, was not answered with 200 and is sent again.

    Args:
        program: handles one delivery.
        deliveries: how many copies the provider sends without being asked.
        retries: how often an unanswered delivery is sent again.
        retry_every: the time between two tries.
        after: the time of the first copies.
        tolerates: errors that stand for an answer other than 200.
    """

    def __init__(
        self,
        program: Program,
        *args: Any,
        deliveries: int = 2,
        retries: int = 1,
        retry_every: timedelta = timedelta(minutes=5),
        after: timedelta = NOW,
        tolerates: Errors = (),
        name: str | None = None,
    ) -> None:
        super().__init__(program, args, name=name, after=after, tolerates=tolerates)
        if deliveries < 1 or retries < 0 or retry_every <= NOW:
            raise ValueError(
                f"{self.name}: a webhook has at least 1 delivery, 0 retries and a positive interval; "
                f"got {deliveries}, {retries} and {retry_every}"
            )
        self.deliveries = deliveries
        self.retries = retries
        self.retry_every = retry_every


class Poller(Actor):
    """Asks every so often until the program returns something true.

    Args:
        program: one look.
        every: the time between the end of one look and the next.
        looks: how many at most; a world must come to rest.
        after: the time of the first look.
        tolerates: errors that only cost this look.
    """

    def __init__(
        self,
        program: Program,
        *args: Any,
        every: timedelta = timedelta(seconds=5),
        looks: int = 2,
        after: timedelta = NOW,
        tolerates: Errors = (),
        name: str | None = None,
    ) -> None:
        super().__init__(program, args, name=name, after=after, tolerates=tolerates)
        if every <= NOW or looks < 1:
            raise ValueError(
                f"{self.name}: a poller looks at least once, at a positive interval; got {looks}, {every}"
            )
        self.every = every
        self.looks = looks


class Cron(Actor):
    """Runs a program by the clock: every so often, or by a cron expression in UTC.

    Args:
        program: one tick.
        every: the time between ticks; or give ``expression``.
        expression: five fields, minute first, as in a crontab.
        ticks: how many; a world must come to rest.
        overlap: whether a tick starts while the last one still runs, as node-cron does by default; without overlap a
            tick that comes due meanwhile is dropped.
        after: with ``every``, the time of the first tick. Zero by default: where a job stands in its rhythm when
            something else happens is not ours to choose, and just now is the worst.
        tolerates: errors that only cost this tick.
    """

    def __init__(
        self,
        program: Program,
        *args: Any,
        every: timedelta | None = None,
        expression: str | None = None,
        ticks: int = 1,
        overlap: bool = False,
        after: timedelta = NOW,
        tolerates: Errors = (),
        name: str | None = None,
    ) -> None:
        super().__init__(program, args, name=name, after=after, tolerates=tolerates)
        if (every is None) == (expression is None):
            raise ValueError(f"{self.name}: a cron job has either every=... or expression=...")
        if ticks < 1 or (every is not None and every <= NOW):
            raise ValueError(
                f"{self.name}: a cron job ticks at least once, at a positive interval; got {ticks}, {every}"
            )
        if expression is not None and after != NOW:
            raise ValueError(
                f"{self.name}: after=... is for every=...; a cron expression says itself when it is due"
            )
        self.every = every
        self.expression = expression
        self.ticks = ticks
        self.overlap = overlap
        self.moments(
            datetime(2026, 1, 1, tzinfo=UTC)
        )  # a wrong expression is the caller's mistake: say so here

    def moments(self, start: datetime) -> list[float]:
        """When the ticks are due, in seconds after ``start``."""
        if self.every is not None:
            return [(self.after + number * self.every).total_seconds() for number in range(self.ticks)]
        try:
            upcoming = CronSim(self.expression or "", start)
            return [(next(upcoming) - start).total_seconds() for _ in range(self.ticks)]
        except CronSimError as error:
            raise ValueError(f"{self.name}: {self.expression!r} is not a cron expression: {error}") from None
        except StopIteration:
            raise ValueError(f"{self.name}: {self.expression!r} is not due in the next 50 years") from None


class Operator(Actor):
    """A person does something by hand, once.

    Args:
        program: what they do.
        after: when.
        tolerates: errors that the person shrugs off.
    """

    def __init__(
        self,
        program: Program,
        *args: Any,
        after: timedelta = NOW,
        tolerates: Errors = (),
        name: str | None = None,
    ) -> None:
        super().__init__(program, args, name=name, after=after, tolerates=tolerates)
