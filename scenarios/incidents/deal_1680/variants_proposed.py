"""The three fixes of the analysis, and two that one would think of next."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from scenarios.incidents.deal_1680 import account, scenario
from scenarios.incidents.deal_1680.account import (
    nobody_pays_twice,
    one_page_per_deal,
    whoever_wants_to_pay_can,
)
from scenarios.incidents.deal_1680.desks import (
    BARE_KEY,
    LEASE_LOCK,
    OPTION_1,
    OPTION_2,
    OPTION_3,
    OPTION_3_ASKING_STRIPE,
)
from scenarios.incidents.deal_1680.variants_deployed import SEED
from scenarios.incidents.variants import Variant
from scenarios.services.kept_answers import DAY_S
from simulator import Crash, restarted, simulate

# All of these desks have the deployed tables.
_two_pages = partial(simulate, schema=OPTION_1.schema, always=[one_page_per_deal], finds=one_page_per_deal)
_two_pages_by_one_fault = partial(_two_pages, scheduler="bounded", executions=200, early_timers_max=0)
_a_closed_door = partial(
    simulate,
    schema=OPTION_1.schema,
    always=[whoever_wants_to_pay_can],
    finds=whoever_wants_to_pay_can,
    early_timers_max=0,
)

PROPOSED = (
    Variant(
        name="option_1_cron_x_cron",
        role="proposed",
        does="Expired sessions count too, for 30 days; the cron runs in two workers at once.",
        why="The look is wider and as old as before when its result is used. When both look there is no session "
        "in any state.",
        source=f"{SEED}: option 1, its recommendation",
        run=_two_pages()(partial(scenario.offered_at_once, desk=OPTION_1)),
    ),
    Variant(
        name="option_1_after_an_expiry",
        role="proposed",
        does="Expired sessions count too, for 30 days; nobody pays, the session expires, and the customer comes "
        "back.",
        why="The expired session is in the way of the next one. For 30 days the customer has a link that leads "
        "to a closed page: a fault of liveness, which no check for duplicates will ever notice.",
        source=f"{SEED}: option 1, its recommendation",
        run=_a_closed_door()(partial(scenario.the_day_after, desk=OPTION_1)),
    ),
    Variant(
        name="option_2_cron_x_cron",
        role="proposed",
        does="`findExpiredSessionTasks` returns one task per deal; the cron of rest payments runs in two workers "
        "at once.",
        why="It is about what is said when both pages have expired: one reminder instead of two. Until then "
        "both can be paid on.",
        source=f"{SEED}: option 2",
        run=_two_pages()(partial(scenario.reminded, desk=OPTION_2)),
    ),
    Variant(
        name="option_3",
        role="proposed",
        does="Check, create and save in one transaction that holds a lock on the deal; two crons and the "
        "processor at once.",
        why="Whoever comes second waits, and then finds the row. It holds as long as nobody dies and every "
        "answer arrives; the price is a transaction that is open while Stripe works, up to 80 seconds. The "
        "lock has to be on the deal's row: FOR UPDATE over payments that do not exist yet locks nothing.",
        source=f"{SEED}: option 3",
        run=simulate(
            schema=OPTION_3.schema,
            always=[one_page_per_deal],
            sometimes=[account.two_had_the_lock],
        )(partial(scenario.offered_at_once, desk=OPTION_3, crm=True)),
    ),
    Variant(
        name="option_3_with_a_crash",
        role="proposed",
        does="The same; the process dies between the creation and the commit, and five minutes later the CRM "
        "reports a change.",
        why="The lock and the row vanish with the process and the session does not: mutual exclusion has no "
        "memory of the effect.",
        source=f"{SEED}: option 3",
        run=_two_pages_by_one_fault()(partial(scenario.crash_then_processor, desk=OPTION_3)),
    ),
    Variant(
        name="option_3_asking_stripe_with_a_crash",
        role="proposed",
        does="Option 3, and under the lock Stripe's list is asked as well; the process dies, and half a second "
        "later the CRM calls.",
        why="The dead process has let the lock go while Stripe is still at work on its request, so the list "
        "does not show the session yet. With minutes in between this variant holds, which is why it looks "
        "right in a test.",
        source=f"{SEED}: option 3, taken further",
        run=_two_pages_by_one_fault()(
            partial(scenario.crash_then_processor, desk=OPTION_3_ASKING_STRIPE, later=timedelta(seconds=0.5))
        ),
    ),
    Variant(
        name="lease_lock_and_a_slow_request",
        role="proposed",
        does="A lock in the manner of Redis that lapses after 30 seconds; its holder's request to Stripe needs "
        "45.",
        why="The library waits for 80 seconds, so a request outlives the lease. The next run takes the lapsed "
        "lock, finds nothing anywhere and creates; then the slow request arrives. A fence in the database "
        "would refuse the late save and not the late session: Stripe can be fenced by its own idempotency "
        "key only.",
        source="proposed in general",
        run=_two_pages_by_one_fault()(partial(scenario.slow_request_under_a_lease, desk=LEASE_LOCK)),
    ),
    Variant(
        name="bare_key",
        role="proposed",
        does="Every creation carries the key `deal-1680-rest`; two crons and the processor at once, and a worker "
        "may die.",
        why="Whoever asks, Stripe answers with the same session, or with 409 while it is being made. Within a "
        "day, and for the first session, that is enough. It says nothing of what comes after: the next two.",
        source="proposed in general",
        run=simulate(
            schema=BARE_KEY.schema,
            always=[one_page_per_deal],
            sometimes=[account.asked_again_with_one_key, restarted("worker 1")],
        )(partial(scenario.offered_at_once, desk=BARE_KEY, crm=True, faults=(Crash("worker 1"),))),
    ),
    Variant(
        name="bare_key_after_an_expiry",
        role="proposed",
        does="The same key; nobody pays, the session expires, and Stripe has not yet forgotten the key.",
        why="Stripe keeps a key for 24 hours at the least, and a session lives for 24 hours at the most. As "
        "long as the key is kept, asking for a new session gives the old one back, expired, and the "
        "customer is sent a link to a closed page. A key needs a generation, and a generation needs a row.",
        source="proposed in general",
        run=_a_closed_door()(partial(scenario.the_day_after, desk=BARE_KEY, keeps_keys_s=2 * DAY_S)),
    ),
    Variant(
        name="bare_key_after_a_day",
        role="proposed",
        does="The same key; the customer has paid by bank debit, and a day later the cron looks while the money "
        "is on its way.",
        why="After 24 hours Stripe may forget the key, and then the same request is a new one. The payment "
        "takes three days. What was asked for is remembered by nobody, and the customer pays twice.",
        source="proposed in general",
        run=simulate(
            schema=BARE_KEY.schema, always=[nobody_pays_twice], finds=nobody_pays_twice, early_timers_max=0
        )(partial(scenario.by_bank, desk=BARE_KEY)),
    ),
)
