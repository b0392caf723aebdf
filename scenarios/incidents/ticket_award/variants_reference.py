"""The ticket awards: the reference, in the same situations."""

from __future__ import annotations

from datetime import timedelta

from scenarios.incidents.ticket_award.scenario import (
    ANOTHER,
    BEFORE_THE_CONTEST,
    every_eligible_order_is_awarded,
    it_was_drawn,
    no_other_order_is_awarded,
    nothing_is_awarded_after_the_draw,
    order_processing,
    scheduler,
    the_order_was_decided,
    tickets_were_given,
    webhook,
)
from scenarios.incidents.ticket_award.versions import (
    reference,
)
from scenarios.incidents.variants import Variant
from simulator import Crash, Restart, restarted

REFERENCE = (
    Variant(
        name="reference",
        role="reference",
        does="Webhook, bot and scheduler at once; the key server fails once, the API is restarted and the bot killed at any moment.",
        why="The decision about an order in a contest is a row with that key, and its tickets are written with it. The job that "
        "makes it was born in the transaction that completed the order.",
        run=reference(
            restarted("api"),
            restarted("bot"),
            tickets_were_given,
            executions=None,
            eventually=[every_eligible_order_is_awarded],
            api=[webhook(retries=3), scheduler(ticks=4)],
            bots=[order_processing()],
            faults=(Restart("api"), Crash("bot")),
            vpn_fails=1,
        ),
    ),
    Variant(
        name="reference_activation_fails",
        role="reference",
        does="The key server fails three times.",
        why="Activation and award are jobs of their own: the one that comes back does not bring the other.",
        run=reference(
            tickets_were_given,
            eventually=[every_eligible_order_is_awarded],
            api=[webhook(), scheduler(ticks=3)],
            vpn_fails=3,
        ),
    ),
    Variant(
        name="reference_two_orders",
        role="reference",
        does="Two orders of two buyers at once.",
        why="A conflict is not an error: the transaction is repeated, and if that is not enough, the job.",
        run=reference(
            tickets_were_given,
            eventually=[every_eligible_order_is_awarded],
            api=[webhook(), scheduler(ticks=2)],
            bots=[order_processing(ANOTHER)],
        ),
    ),
    Variant(
        name="reference_contest_opened_late",
        role="reference",
        does="The contest is opened when the order's job is done.",
        why="Without an open contest nothing is decided, and that is no failure; the sweep finds what is undecided.",
        run=reference(
            tickets_were_given,
            eventually=[every_eligible_order_is_awarded],
            api=[webhook(), scheduler(ticks=6)],
            opens_after=timedelta(minutes=22),
        ),
    ),
    Variant(
        name="reference_not_eligible",
        role="reference",
        does="The order is from before the contest, and the webhook's metadata has no date.",
        why='The date is our own row\'s. "Not eligible" is a decision like the other, made once.',
        run=reference(
            eventually=[no_other_order_is_awarded, the_order_was_decided],
            api=[webhook(ordered_at=None), scheduler(ticks=2)],
            bots=[order_processing()],
            ordered_at=BEFORE_THE_CONTEST,
        ),
    ),
    Variant(
        name="reference_contest_closes_meanwhile",
        role="reference",
        does="An operator closes the contest, and draws, while the order is being completed and awarded.",
        why="Open contests are read under a lock that closing needs, and a contest does not close over an order of its period that is "
        "completed and undecided. An order that is completed later comes too late.",
        run=reference(
            it_was_drawn,
            tickets_were_given,
            eventually=[nothing_is_awarded_after_the_draw],
            api=[webhook(), scheduler()],
            closes=True,
        ),
    ),
)
