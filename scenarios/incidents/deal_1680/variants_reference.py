"""The reference in the same stories. Each of them finds out a version that was deployed or proposed."""

from __future__ import annotations

from functools import partial

from reference.invariants_rest import REST
from scenarios.incidents.deal_1680 import account, scenario
from scenarios.incidents.deal_1680.account import (
    STRIPE,
    nobody_pays_twice,
    one_page_per_deal,
    whoever_wants_to_pay_can,
)
from scenarios.incidents.deal_1680.desks import REFERENCE
from scenarios.incidents.variants import Variant
from simulator import Crash, restarted, simulate
from simulator.network_faults import LostReply

SOURCE = "docs/flows/rest_sessions.md"
_holds = partial(
    simulate,
    schema=REFERENCE.schema,
    always=[
        one_page_per_deal,
        nobody_pays_twice,
        whoever_wants_to_pay_can,
        *[claim for claim in REST if claim.when == "always"],
    ],
    eventually=[claim for claim in REST if claim.when == "eventually"],
)

REFERENCE_VARIANTS = (
    Variant(
        name="reference_at_once",
        role="reference",
        does="Two crons and the CRM's webhook offer the rest at once, and one worker may die at any step.",
        why="A claim is committed before Stripe hears anything, and a partial unique index allows one live "
        "claim for a deal and kind. Every attempt for it is the same request, with its key and to the byte; "
        "whoever finds it unfinished repeats it and gets the same session. A dead worker leaves a claim "
        "with a due job, not a session that nobody knows.",
        source=SOURCE,
        run=_holds(
            sometimes=[restarted("worker 1"), account.asked_again_with_one_key],
        )(partial(scenario.offered_at_once, desk=REFERENCE, crm=True, faults=(Crash("worker 1"),))),
    ),
    Variant(
        name="reference_after_an_expiry",
        role="reference",
        does="Nobody pays, the session expires, the process that hears of it may die, and a day later the "
        "customer pays.",
        why="The transaction that ends a claim inserts the next generation, with a key of its own, so there is "
        "a new page, and one: it is made by whoever is first to see the end of the old one, be it the "
        "event, its copy or a sweep.",
        source=SOURCE,
        run=_holds(
            sometimes=[account.paid_once, account.a_second_page_after_the_first, restarted("api")],
            early_timers_max=0,
            executions=50,
        )(partial(scenario.the_day_after, desk=REFERENCE, crash="api")),
    ),
    Variant(
        name="reference_delayed_payment",
        role="reference",
        does="The customer pays by bank debit; sweeps run while the money is on its way, and it arrives three "
        "days later.",
        why="Complete and unpaid is a state of its own, `processing`, and it is live: the index refuses another "
        "claim as long as money may still come. No key has to be remembered for three days, because the row "
        "is.",
        source=SOURCE,
        run=_holds(
            sometimes=[account.money_on_its_way, account.paid_once], early_timers_max=0, executions=50
        )(partial(scenario.by_bank, desk=REFERENCE)),
    ),
    Variant(
        name="reference_operator",
        role="reference",
        does="The notice fails, and 85 seconds later two people press 'new link now' at the same time.",
        why="The open page is closed at Stripe before there is a next one, and if it turns out to be paid there "
        "is none. Pressed twice it closes one page and opens one, or closes that one too and opens the "
        "next; never are two open.",
        source=SOURCE,
        run=_holds(sometimes=[account.a_second_page_after_the_first], executions=50)(
            partial(scenario.by_hand, desk=REFERENCE, operators=2)
        ),
    ),
    Variant(
        name="reference_lost_answer",
        role="reference",
        does="The CRM's webhook and, 85 seconds later, the cron; one answer of Stripe's does not arrive, "
        "whichever it is.",
        why="No answer is never read as 'no session': the claim stays, and the same request is made again under "
        "the same key.",
        source=SOURCE,
        run=_holds(sometimes=[account.asked_again_with_one_key], executions=50)(
            partial(scenario.with_an_error_of_stripes, desk=REFERENCE, fault=LostReply(STRIPE))
        ),
    ),
)
