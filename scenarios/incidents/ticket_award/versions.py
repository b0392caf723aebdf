"""The ticket awards: its versions, and what each kind of verdict is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from reference.invariants_tickets import TICKETS
from scenarios.incidents.ticket_award.bots import GuidesBot, ReferenceBot
from scenarios.incidents.ticket_award.fixes.already_awarded import AskedAsWriter, AskedBefore, AskedWithin
from scenarios.incidents.ticket_award.fixes.deterministic_ids import (
    UNIQUE,
    DeterministicIds,
    OnConflictNothing,
)
from scenarios.incidents.ticket_award.fixes.mutex import OneAtATime
from scenarios.incidents.ticket_award.scenario import (
    ANOTHER,
    one_award_per_order_and_reason,
    order_processing,
    orders,
    scheduler,
    tickets_were_given,
    webhook,
)
from simulator import simulate

GUIDE = GuidesBot()
WITHOUT_A_QUEUE = GuidesBot(queue=False)
ASYNCHRONOUS = GuidesBot(synchronous=False)
MUTEX = GuidesBot(OneAtATime)
ASKED_BEFORE, ASKED_WITHIN, ASKED_AS_WRITER = (
    GuidesBot(AskedBefore),
    GuidesBot(AskedWithin),
    GuidesBot(AskedAsWriter),
)
IDS = GuidesBot(DeterministicIds)
UNIQUE_KEY = GuidesBot(OnConflictNothing, more_schema=UNIQUE)
THE_REFERENCE = ReferenceBot()

BOTH = ("sqlite", "postgresql")
LOOKS_MAX = 500  # executions at most; a fault has one moment of some in which it does harm


def violated(
    bot: GuidesBot,
    finds: Any,
    *,
    sequential: bool = False,
    engines: Sequence[str] = BOTH,
    early_timers_max: int = 2,
    **given: Any,
) -> Callable[..., None]:
    """Orders with this version, in which the claim is found violated."""
    return simulate(
        schema=bot.schema,
        always=[finds] if finds is one_award_per_order_and_reason else [],
        finds=finds,
        executions=LOOKS_MAX,
        sequential=sequential,
        engines=engines,
        early_timers_max=early_timers_max,
    )(partial(orders, bot=bot, **given))


def holds(
    bot: GuidesBot, *sometimes: Any, engines: Sequence[str] = BOTH, sequential: bool = False, **given: Any
) -> Callable[..., None]:
    """Orders with this version, each awarded once for a reason."""
    return simulate(
        schema=bot.schema,
        always=[one_award_per_order_and_reason],
        sometimes=[tickets_were_given, *sometimes],
        engines=engines,
        sequential=sequential,
    )(partial(orders, bot=bot, **given))


def reference(
    *sometimes: Any, eventually: Sequence[Any] = (), executions: int | None = 40, **given: Any
) -> Callable[..., None]:
    """Orders with the reference: its own claims about tickets, and more about the end."""
    return simulate(
        schema=THE_REFERENCE.schema,
        always=[one for one in TICKETS if one.when == "always"],
        eventually=[*(one for one in TICKETS if one.when == "eventually"), *eventually],
        sometimes=sometimes,
        executions=executions,
    )(partial(orders, bot=THE_REFERENCE, **given))


EVERYBODY: dict[str, Any] = {"api": [webhook(), scheduler()], "bots": [order_processing()]}
TWO_ORDERS: dict[str, Any] = {"api": [webhook()], "bots": [order_processing(ANOTHER)]}
SOURCE = "setup guide"
