"""Named claims about committed state: ``always``, ``eventually`` and ``sometimes``.

A claim is either anything with a ``name`` and an ``sql`` that returns the violating rows (no rows: it holds), or a
function of the world that returns a reason, or None when it holds. A check returns a reason, never a bool: the reason
is what the reader of a report gets. A ``sometimes`` is turned round: rows, or a reason, mean that it was reached.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, runtime_checkable

from simulator.errors import InvariantRaised, SimulatorError
from simulator.runtime.callsite import describe, is_users

if TYPE_CHECKING:
    from simulator.world import World


@runtime_checkable
class SqlClaim(Protocol):
    """A claim as a query for the rows that violate it; the reference's invariants are of this kind."""

    @property
    def name(self) -> str:
        """How reports and ``finds=`` call it."""

    @property
    def sql(self) -> str:
        """Returns the violating rows."""


Claim = SqlClaim | Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an execution failed.

    Attributes:
        name: of the claim.
        reason: in one line.
        details: more lines: violating rows, who waits for what, the end of a loop.
        kind: ``violation`` of a claim, or ``raised``, ``deadlock``, ``endless``.
    """

    name: str
    reason: str
    details: tuple[str, ...] = ()
    kind: str = "violation"

    def is_like(self, other: Failure | None) -> bool:
        """Whether it is the same claim that failed in the same way; what the rows held may differ."""
        return other is not None and (self.name, self.kind) == (other.name, other.kind)

    def __str__(self) -> str:
        return "\n".join([f"{self.name}: {self.reason}", *(f"    {line}" for line in self.details)])


def is_sql(claim: Claim) -> TypeGuard[SqlClaim]:
    """Whether a claim is a query: what ``isinstance`` says, at a tenth of its cost (it is asked after each commit)."""
    return hasattr(claim, "sql") and hasattr(claim, "name")


def name_of(claim: Claim) -> str:
    """The name of a claim.

    Raises:
        TypeError: it is none.
    """
    if is_sql(claim):
        return claim.name
    if not callable(claim):
        raise TypeError(f"a claim is a function of the world, or has a name and an sql; got {claim!r}")
    return str(getattr(claim, "__name__", type(claim).__name__))


def check_now(claim: Claim, world: World) -> str | None:
    """Evaluates a claim that needs no awaiting; returns the reason why it does not hold.

    Raises:
        InvariantRaised: the claim itself failed.
        SimulatorError: the claim is an async function, which cannot be asked after a commit.
    """
    try:
        if is_sql(claim):
            return _rows_as_reason(world.database.rows(claim.sql))
        reason = _asked(claim, world)
    except Exception as error:
        raise _raised(claim, error) from error
    if inspect.isawaitable(reason):
        reason.close()  # type: ignore[attr-defined]
        raise SimulatorError(
            f"{name_of(claim)} is an async function: an `always` or `sometimes` claim is asked between two steps and "
            "cannot wait; write it as SQL or as a plain function, or make it an `eventually`"
        )
    return _checked_reason(claim, reason)


async def check_at_rest(claim: Claim, world: World) -> str | None:
    """Evaluates a claim when nothing moves any more; async functions may await.

    Raises:
        InvariantRaised: the claim itself failed.
    """
    if is_sql(claim):
        return check_now(claim, world)
    try:
        reason = _asked(claim, world)
        if inspect.isawaitable(reason):
            reason = await reason
    except Exception as error:
        raise _raised(claim, error) from error
    return _checked_reason(claim, reason)


def _asked(function: Any, world: World) -> Any:
    return function(world)


def _checked_reason(claim: Claim, reason: object) -> str | None:
    if reason is None or (isinstance(reason, str) and reason):
        return reason
    raise InvariantRaised(
        f"{name_of(claim)} returned {reason!r}: expected a reason (a text) when it does not hold, and None when it does"
    )


def _raised(claim: Claim, error: Exception) -> InvariantRaised:
    where = f"its SQL is:\n{claim.sql}" if is_sql(claim) else _place_of(error)
    return InvariantRaised(
        f"the invariant {name_of(claim)} raised {type(error).__name__}: {error}; that says nothing about the code "
        f"under test. {where}"
    )


def _place_of(error: Exception) -> str:
    """The innermost line of the user's own code that an error came through."""
    place, trace = "", error.__traceback__
    while trace is not None:
        if is_users(trace.tb_frame):
            site = describe(trace.tb_frame)
            place = f"It was raised at {site.path}:{trace.tb_lineno} in {site.function}"
        trace = trace.tb_next
    return place


def _rows_as_reason(rows: Sequence[dict[str, Any]]) -> str | None:
    if not rows:
        return None
    shown = "; ".join(", ".join(f"{key} = {value}" for key, value in row.items()) for row in rows[:3])
    more = f" (and {len(rows) - 3} rows more)" if len(rows) > 3 else ""
    return shown + more


def never_ends(steps: Sequence[tuple[str, str, float]], limit: int) -> Failure:
    """The step limit was reached: somebody goes round in circles."""
    tail = Counter(f"{lane}: {point}" for lane, point, _ in steps[-200:])
    lines = [
        f"{count} of the last {min(200, len(steps))} steps: {what}" for what, count in tail.most_common(5)
    ]
    return Failure(
        "ends_within_the_step_limit",
        f"still going after {limit} steps; raise steps_max if it is meant to be that long",
        tuple(lines),
        "endless",
    )


def waits_for_ever(waiting: Sequence[str]) -> Failure:
    """Nobody can move, and no timer is set."""
    return Failure(
        "nobody_waits_for_ever",
        f"{len(waiting)} wait for what nobody will do"
        if len(waiting) != 1
        else "1 waits for what nobody will do",
        tuple(waiting),
        "deadlock",
    )


def restarted(process: str) -> Claim:
    """A ``sometimes`` claim: a process was restarted or crashed in at least one execution."""

    def claim(world: World) -> str | None:
        return f"{process} was restarted" if world.restarts(process) else None

    claim.__name__ = f"restarted({process})"
    return claim
