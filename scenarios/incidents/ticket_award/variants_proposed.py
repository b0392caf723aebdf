"""The ticket awards: what was proposed, or would come to mind, and why it does not hold, or what it does not hold."""

from __future__ import annotations

from scenarios.incidents.ticket_award.scenario import (
    every_eligible_order_is_awarded,
    one_award_per_order_and_reason,
    scheduler,
    webhook,
)
from scenarios.incidents.ticket_award.versions import (
    ASKED_AS_WRITER,
    ASKED_BEFORE,
    ASKED_WITHIN,
    EVERYBODY,
    IDS,
    MUTEX,
    SOURCE,
    TWO_ORDERS,
    UNIQUE_KEY,
    holds,
    violated,
)
from scenarios.incidents.variants import Variant
from simulator import Crash

PROPOSED = (
    Variant(
        name="mutex_in_the_process",
        role="proposed",
        does="A mutex around the award; webhook, bot and scheduler as before.",
        why="The bot is another process. And the same award twice, one after the other, passes any mutex.",
        source="what comes to mind",
        run=violated(MUTEX, one_award_per_order_and_reason, **EVERYBODY),
    ),
    Variant(
        name="asked_before_the_transaction",
        role="proposed",
        does="The ledger is asked whether the order was awarded; if not, the transaction begins.",
        why="Two ask, both are told no, both write.",
        source="what comes to mind",
        run=violated(ASKED_BEFORE, one_award_per_order_and_reason, **EVERYBODY),
    ),
    Variant(
        name="asked_within_a_deferred_transaction",
        role="proposed",
        does="The question is part of the transaction, which is DEFERRED, as the guide recommends. Two orders of two buyers at once.",
        why="On SQLite a transaction that has read cannot become a writer after somebody else has written: SQLITE_BUSY_SNAPSHOT, at "
        "once, whatever the busy timeout. The bot logs it as non-critical, and a buyer has no tickets. No order was awarded twice, "
        "and one not at all. On PostgreSQL, where READ COMMITTED lets both ask before either commits, one order is awarded twice.",
        source=f"{SOURCE}, 3.3",
        run=violated(ASKED_WITHIN, every_eligible_order_is_awarded, engines=["sqlite"], **TWO_ORDERS),
    ),
    Variant(
        name="asked_within_an_immediate_transaction",
        role="proposed",
        does="The same with BEGIN IMMEDIATE, on SQLite; the activation fails once as well.",
        why="From the question on nobody else writes, so the answer is still true when it is used. PostgreSQL has no such mode: moved there, "
        "it awards twice. And what gets lost on the way (see "
        "restart_loses_the_queue) it does not bring back.",
        source=f"{SOURCE}, 3.3",
        run=holds(ASKED_AS_WRITER, engines=["sqlite"], vpn_fails=1, **EVERYBODY),
    ),
    Variant(
        name="deterministic_ids",
        role="proposed",
        does="A line's id is made of contest, order and reason; the activation fails once as well.",
        why="The primary key refuses the second line, and the transaction with it. The refusal is an error like any other, so the queue "
        "tries again what is done.",
        source="what comes to mind",
        run=holds(IDS, vpn_fails=1, **EVERYBODY),
    ),
    Variant(
        name="unique_key",
        role="proposed",
        does="A unique key on contest, order, reason and person, and ON CONFLICT DO NOTHING; the activation fails once as well.",
        why="The second award finds the first one's line and leaves it.",
        source="what comes to mind",
        run=holds(UNIQUE_KEY, vpn_fails=1, **EVERYBODY),
    ),
    Variant(
        name="unique_key_loses_with_the_queue",
        role="proposed",
        does="The same; the award fails once, and the process is killed.",
        why="A key keeps an award from being made twice. That it is made at all was in the memory of a process.",
        source="what comes to mind",
        run=violated(
            UNIQUE_KEY,
            every_eligible_order_is_awarded,
            early_timers_max=0,
            api=[webhook(), scheduler(ticks=3)],
            attach_fails=1,
            faults=(Crash("api"),),
        ),
    ),
)
