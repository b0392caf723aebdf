"""What a worker does and when, as a table; docs/operations.md and the tests read the same one.

A *queue* is looked at again and again by every worker, several tasks at a time: its rows are claimed one by one, with leases, so
nobody stands in anybody's way. A *sweep* looks through everything, so one worker at a time does it, by the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reference.model import Topic
from reference.policies import HOUR_S

MINUTE_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """Work that waits in rows.

    Args:
        name: in logs.
        method: of `Service`; returns how many rows it tried. It is called with few rows at a time, so that a worker that is told
            to stop has little in hand.
        arguments: of the method.
        every_s: seconds between two looks while there is nothing to do.
        parallel: whether a worker has several tasks for it; else one.
        needs: which ports the service must have; without one of them the worker leaves this out.
        why: what it is for.
    """

    name: str
    method: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    every_s: float = 1.0
    parallel: bool = True
    needs: tuple[str, ...] = ()
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Work that is looked for.

    Args:
        name: its row in the table ``sweeps``; renaming it is a new sweep.
        method: of `Service`.
        every_s: seconds from the start of one run to the next; or `cron`.
        cron: five fields, in UTC. A moment that nobody was up for is made up for, once.
        lease_s: how long after its last sign of life a worker in the middle of a run is thought to have died. A run may take
            longer: its worker renews the lease three times in that time.
        needs: which ports the service must have; without one of them the worker leaves this out.
        why: what it is for.
    """

    name: str
    method: str
    every_s: int | None = None
    cron: str | None = None
    lease_s: int = 90
    needs: tuple[str, ...] = ()
    why: str

    def __post_init__(self) -> None:
        if (self.every_s is None) == (self.cron is None):
            raise ValueError(
                f"{self.name}: a sweep has either every_s or cron; got {self.every_s} and {self.cron}"
            )


Entry = Queue | Sweep

AT_START = ("recover_messages",)
"""Methods of `Service` that a worker calls once before it begins: what its predecessor had in hand is in the rows."""


def _jobs(name: str, *topics: Topic, needs: tuple[str, ...] = (), why: str) -> Queue:
    """A lane of the outbox. Lanes are bulkheads: while Telegram answers nobody, grants and keys go on."""
    return Queue(name=name, method="relay", arguments={"topics": topics, "jobs_max": 1}, needs=needs, why=why)


SCHEDULE: tuple[Entry, ...] = (
    Queue(
        name="inbox",
        method="work_inbox",
        arguments={"limit": 5},
        every_s=0.5,
        why="what YooKassa and Platega have told us",
    ),
    Queue(
        name="checkout inbox",
        method="work_checkout_inbox",
        arguments={"limit": 5},
        every_s=0.5,
        needs=("checkout_sessions",),
        why="what Stripe has told us",
    ),
    _jobs("grants", Topic.ENSURE, Topic.AWARD, why="what was paid for is given, and its tickets"),
    _jobs(
        "notices",
        Topic.NOTICE,
        Topic.ALERT,
        Topic.REST_NOTICE,
        why="telling buyers and the staff; it does what `retry_failed_subscription_notifications` did by the clock",
    ),
    _jobs("keys", Topic.PROVISION, Topic.RESET_TRAFFIC, why="keys on the V2Ray servers"),
    _jobs(
        "sessions",
        Topic.REST_OFFER,
        Topic.REST_SESSION,
        Topic.REST_WITHDRAWAL,
        Topic.REST_STRANGER,
        needs=("checkout_sessions",),
        why="pages at Stripe: made, taken away",
    ),
    Queue(
        name="messages",
        method="sweep_messages",
        arguments={"messages_max": 1},
        every_s=5.0,
        needs=("sms", "mailer"),
        why="leads' messages that are due, and those that nobody answers for",
    ),
    Sweep(
        name="pending payments",
        method="process_pending_paid_payments",
        every_s=5 * MINUTE_S,
        why="payments that nobody told us about: webhooks that were lost, YooKassa after its day, Platega after its twenty minutes",
    ),
    Sweep(
        name="undecided orders",
        method="award_undecided_orders",
        every_s=5 * MINUTE_S,
        why="orders older than their contest, and awards whose job was given up",
    ),
    Sweep(
        name="open sessions",
        method="watch_sessions",
        every_s=5 * MINUTE_S,
        needs=("checkout_sessions",),
        why="pages that were paid or ran out without a word from Stripe",
    ),
    Sweep(
        name="due deals",
        method="offer_what_is_due",
        cron="7 * * * *",
        needs=("checkout_sessions",),
        why="payments of deals that have fallen due",
    ),
    Sweep(
        name="daily payment run",
        method="daily_payment_run",
        cron="0 9 * * *",
        needs=("checkout_sessions",),
        why="the same, and reminders of pages that are about to close",
    ),
    Sweep(
        name="expired keys",
        method="retire_expired_keys",
        every_s=10 * MINUTE_S,
        why="keys whose day of grace is over",
    ),
    Sweep(
        name="unlinked payments",
        method="fix_payments_without_subscription_id",
        every_s=HOUR_S,
        why="what was imported or edited by hand",
    ),
)
