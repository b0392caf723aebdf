"""The code as it was deployed: four ways to a second session that fit the clock, and two things that it did right."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from scenarios.incidents.deal_1680 import account, scenario
from scenarios.incidents.deal_1680.account import STRIPE, nobody_pays_twice, one_page_per_deal
from scenarios.incidents.deal_1680.desks import AS_DEPLOYED, REFUSED_CONNECTION
from scenarios.incidents.variants import Variant
from simulator import simulate
from simulator.network_faults import LostReply, ServerError

SEED = "the team's analysis"
_two_pages = partial(simulate, schema=AS_DEPLOYED.schema, always=[one_page_per_deal], finds=one_page_per_deal)
# The moment of one fault is all that has to be found, and this search tries the moments one after the other.
_two_pages_by_one_fault = partial(_two_pages, scheduler="bounded", executions=200, early_timers_max=0)


def _as_deployed(story: Callable[..., Awaitable[None]], **parameters: Any) -> Callable[..., Awaitable[None]]:
    return partial(story, desk=AS_DEPLOYED, **parameters)


DEPLOYED = (
    Variant(
        name="cron_x_cron",
        role="deployed",
        does="The hourly cron runs in two workers at once: each first lists the deals that need a session, then "
        "creates.",
        why="Both have their list before either creates. The list of a hundred deals takes minutes, because "
        "each deal is looked for in all of Stripe's sessions of a week; so the window is minutes wide, and "
        "the second run need not begin with the first.",
        source=f"{SEED}: possible cause 1",
        run=_two_pages()(_as_deployed(scenario.offered_at_once)),
    ),
    Variant(
        name="cron_x_processor",
        role="deployed",
        does="The cron has looked, and not yet saved what it creates, when the CRM reports a change of the deal.",
        why="`createCheckoutSessionForDeal` asks the database only, and until the cron's save the database "
        "knows nothing. The other way round it fails too: the cron asks Stripe only, and by the time it "
        "creates the answer may be old.",
        source=f"{SEED}: section 3 and possible cause 2",
        run=_two_pages()(_as_deployed(scenario.offered_at_once, workers=1, crm=True)),
    ),
    Variant(
        name="operator_by_hand",
        role="deployed",
        does="The session is there, its notice fails, and 85 seconds later a person makes a new link by hand.",
        why="No race is needed. Nobody closes the first page, and whoever has its address can pay on it for a "
        "day.",
        source=f"not in {SEED}; fits its clock times",
        run=_two_pages()(_as_deployed(scenario.by_hand)),
    ),
    Variant(
        name="failed_look_at_stripe",
        role="deployed",
        does="The processor has made a session. 85 seconds later the cron asks Stripe for the list and is "
        "answered 503.",
        why="The check fails open: an error is caught and read as 'no session'. One request of the week's "
        "paging is enough, and Stripe's rate limit is met by exactly the code that pages once per deal.",
        source=f"not in {SEED}; fits its clock times",
        run=_two_pages_by_one_fault()(
            _as_deployed(scenario.with_an_error_of_stripes, fault=ServerError(STRIPE, 503))
        ),
    ),
    Variant(
        name="failed_look_at_the_database",
        role="deployed",
        does="The CRM reports two changes, 85 seconds apart, and the second time one connection to the database "
        "is refused.",
        why="The client returns `{ data: null, error }` and does not raise; no data is taken for no payments.",
        source=f"not in {SEED}; fits its clock times",
        run=_two_pages()(partial(scenario.with_an_error_of_the_database, desk=REFUSED_CONNECTION)),
    ),
    Variant(
        name="lost_answer",
        role="deployed",
        does="Stripe makes the session and its answer is lost; the CRM delivers its webhook again.",
        why="The session has no row. The cron, which asks Stripe, finds it; the processor, which asks the "
        "database, makes another. The key that the library sends with each POST is random: it is good for "
        "the library's own repetition of one call, and not for the application's second one.",
        source=f"{SEED}: possible cause 2",
        run=_two_pages_by_one_fault()(
            _as_deployed(scenario.with_an_error_of_stripes, fault=LostReply(STRIPE, reset=True))
        ),
    ),
    Variant(
        name="crash_before_the_save",
        role="deployed",
        does="The process dies between the creation and the save; five minutes later the CRM reports a change of "
        "the deal.",
        why="As with a lost answer: the session is at Stripe and nowhere else.",
        source=f"{SEED}: possible cause 2",
        run=_two_pages_by_one_fault()(_as_deployed(scenario.crash_then_processor)),
    ),
    Variant(
        name="delayed_payment",
        role="deployed",
        does="The customer pays by bank debit; while the money is on its way the cron looks, makes a second "
        "session and sends its link.",
        why="A session that is complete and unpaid is neither open nor paid, so it counts as none. The customer "
        "pays what she is sent, and two days later the first payment arrives: she has paid twice. No "
        "concurrency is needed.",
        source=f"{SEED}: line 146 of hasSecondPaymentSession",
        run=simulate(
            schema=AS_DEPLOYED.schema, always=[nobody_pays_twice], finds=nobody_pays_twice, early_timers_max=0
        )(_as_deployed(scenario.by_bank)),
    ),
    Variant(
        name="one_run_after_the_other",
        role="deployed",
        does="One run of the cron has ended when the next begins, 85 seconds later: what the analysis takes for "
        "the cause.",
        why="It does not happen. 85 seconds after its creation a session is open (Stripe lets none expire "
        "before 30 minutes are over), the second run finds it, and makes none.",
        source=f"{SEED}: recommendation",
        run=simulate(
            schema=AS_DEPLOYED.schema,
            always=[one_page_per_deal],
            sometimes=[account.looked_twice_and_made_one],
        )(_as_deployed(scenario.eighty_five_seconds_later)),
    ),
    Variant(
        name="after_an_expiry",
        role="deployed",
        does="Nobody pays, the session expires, and an hour later the cron runs again.",
        why="That an expired session does not count, which the analysis calls the defect, is what lets the "
        "customer have a new page. Option 1 takes it away.",
        source=f"{SEED}: section 2",
        run=simulate(
            schema=AS_DEPLOYED.schema,
            always=[one_page_per_deal, account.whoever_wants_to_pay_can],
            sometimes=[account.paid_once, account.a_second_page_after_the_first],
            early_timers_max=0,
            executions=50,
        )(_as_deployed(scenario.the_day_after)),
    ),
)
