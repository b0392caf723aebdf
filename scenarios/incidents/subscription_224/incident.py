"""Subscription #224 as a value: every variant of the purchase, and its verdict."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from scenarios.incidents.subscription_224.fixes.status_claim import ClaimingEntryPoints, ReapingEntryPoints
from scenarios.incidents.subscription_224.scenario import (
    GRANTED,
    nobody_can_be_told,
    notice_sweep,
    one_payment_seen_by_everyone,
    pending_sweep,
    platega,
    polling,
    seen_by,
    the_api_may_die,
    two_payments,
    webhook,
)
from scenarios.incidents.subscription_224.shops import (
    BEFORE,
    REFERENCE,
    V2_4_10,
    DeployedShop,
    Shop,
    expiry_is_sum_of_paid_durations,
    one_subscription_per_user,
)
from scenarios.incidents.variants import Incident, Variant
from simulator import World, restarted, simulate
from simulator.actors import Actor

CLAIM = DeployedShop("status_claim", ClaimingEntryPoints)
REAPER = DeployedShop("status_claim_with_reaper", ReapingEntryPoints)


def every_payment_is_completed(world: World) -> str | None:
    """Whoever paid is served in the end, and the payment says so."""
    stuck = world.database.rows("SELECT payment_id, status FROM payments WHERE status <> 'completed'")
    return f"{stuck[0]['payment_id']} stays {stuck[0]['status']} for ever" if stuck else None


def _violated(
    shop: DeployedShop, scenario: Callable[..., Any], finds: Any, **given: Any
) -> Callable[..., None]:
    return simulate(schema=shop.schema, finds=finds)(partial(scenario, shop=shop, **given))


def _pair(
    shop: DeployedShop,
    api: Callable[[], list[Actor]],
    bot: Callable[[], list[Actor]],
    finds: Any = expiry_is_sum_of_paid_durations,
    **given: Any,
) -> Callable[..., None]:
    async def meet(world: World) -> None:
        await seen_by(world, shop, api=api(), bot=bot(), **given)

    return simulate(schema=shop.schema, finds=finds)(meet)


def _holds(shop: Shop, scenario: Callable[..., Any], *sometimes: Any, **given: Any) -> Callable[..., None]:
    return simulate(
        schema=shop.schema,
        always=[claim for claim in shop.claims if getattr(claim, "when", "eventually") == "always"],
        eventually=[claim for claim in shop.claims if getattr(claim, "when", "eventually") == "eventually"],
        sometimes=sometimes,
    )(partial(scenario, shop=shop, **given))


_ANALYSIS = "analysis of the purchase process"
_CHECKS = "purchase process with its 28 checks"

_DEPLOYED = (
    Variant(
        name="before_v2_4_10",
        role="deployed",
        does="The purchase as it was in January 2026: a webhook, its duplicate, the poller and both sweeps see one payment.",
        why="Five entry points read `paid` and then extend; nothing between `paid` and `completed` is claimed (problem class 5).",
        source=f"{_ANALYSIS}: the case of subscription #224",
        run=_violated(BEFORE, one_payment_seen_by_everyone, expiry_is_sum_of_paid_durations),
    ),
    Variant(
        name="bottleneck_1_two_yookassa_webhooks",
        role="deployed",
        does="YooKassa delivers one notification twice; the handler asks for `completed` and then calls the purchase.",
        why="The question and the call are two statements: the second delivery asks before the first one answers it "
        "(problem classes 1 and 4).",
        source=f"{_ANALYSIS}: bottleneck 1",
        run=_pair(BEFORE, lambda: [webhook(deliveries=2)], list),
    ),
    Variant(
        name="bottleneck_2_two_platega_callbacks",
        role="deployed",
        does="Platega delivers one callback twice; its handler does not even ask for `completed`.",
        why="The purchase itself asks, and again before its effect: both deliveries pass (problem classes 1 and 4).",
        source=f"{_ANALYSIS}: bottleneck 2",
        run=_pair(BEFORE, lambda: [platega(deliveries=2)], list, provider="platega"),
    ),
    Variant(
        name="bottleneck_3_webhook_and_polling",
        role="deployed",
        does="The bot polls every five seconds while the webhook is being handled.",
        why="The poller reads `paid` in the gap between the webhook's extension and its `completed`.",
        source=f"{_ANALYSIS}: bottleneck 3",
        run=_pair(BEFORE, lambda: [webhook()], lambda: [polling()]),
    ),
    Variant(
        name="bottleneck_4_webhook_and_pending_sweep",
        role="deployed",
        does="The sweep over paid payments without a subscription runs while the webhook creates one.",
        why="The sweep has chosen the payment before the subscription is there, and makes another one.",
        source=f"{_ANALYSIS}: bottleneck 4",
        run=_pair(
            BEFORE,
            lambda: [webhook()],
            lambda: [pending_sweep()],
            one_subscription_per_user,
            granted=None,
            status="paid",
        ),
    ),
    Variant(
        name="bottleneck_5_webhook_and_notice_sweep",
        role="deployed",
        does="The sweep that repeats failed notices calls the whole purchase for whatever is `paid`.",
        why="A payment in the webhook's hands is `paid` too, so it is extended by both.",
        source=f"{_ANALYSIS}: bottleneck 5",
        run=_pair(BEFORE, lambda: [webhook()], lambda: [notice_sweep()], status="paid"),
    ),
    Variant(
        name="bottleneck_6_purchase_or_extension",
        role="deployed",
        does="Two runs of one sweep ask whether the user has a subscription, and both create one.",
        why="The question is asked outside the transaction that inserts (problem class 2).",
        source=f"{_ANALYSIS}: bottleneck 6",
        run=_pair(
            BEFORE,
            list,
            lambda: [pending_sweep(), pending_sweep()],
            one_subscription_per_user,
            granted=None,
            status="paid",
        ),
    ),
    Variant(
        name="bottleneck_7_an_extension_is_lost",
        role="deployed",
        does="Two payments of one user at once; each extension reads the expiry and writes its own sum.",
        why="100, 100, 130, 130: the second write overwrites the first one's extension (problem class 3).",
        source=f"{_ANALYSIS}: bottleneck 7",
        run=_violated(BEFORE, two_payments, expiry_is_sum_of_paid_durations, granted=GRANTED),
    ),
    Variant(
        name="v2_4_10",
        role="deployed",
        does="The purchase with the 28 checks that were added against exactly this.",
        why="Checks 4 to 8 read five times before the effect; reading more often narrows nothing, because all reads come before it.",
        source=_CHECKS,
        run=_violated(V2_4_10, one_payment_seen_by_everyone, expiry_is_sum_of_paid_durations),
    ),
    Variant(
        name="v2_4_10_a_failed_notice_extends_again",
        role="deployed",
        does="The user has blocked the bot: the notice fails, the payment stays `paid`, and the sweep comes every five minutes.",
        why="Check 18 makes a message a condition of completion, so each retry of the message is another extension. No second "
        "actor is needed.",
        source=f"{_CHECKS}: check 18",
        run=_violated(V2_4_10, nobody_can_be_told, expiry_is_sum_of_paid_durations),
    ),
    Variant(
        name="v2_4_10_two_payments_one_month",
        role="deployed",
        does="A new user pays twice at once.",
        why="The second payment finds the first one's new subscription at check 26, links itself to it and completes: money "
        "taken, nothing given.",
        source=f"{_CHECKS}: check 26",
        run=_violated(V2_4_10, two_payments, expiry_is_sum_of_paid_durations, granted=None),
    ),
)

_PROPOSED = (
    Variant(
        name="atomic_addition",
        role="proposed",
        does="`expires_at = expires_at + ?` in one statement; two payments of one user, while no operation is slow.",
        why="It cures the lost extension of bottleneck 7, and nothing else: for one payment seen twice it makes both "
        "extensions stick (see v2_4_10).",
        source=f"{_ANALYSIS}: recommendation 3",
        run=simulate(schema=V2_4_10.schema, eventually=[expiry_is_sum_of_paid_durations], early_timers_max=0)(
            partial(two_payments, shop=V2_4_10, granted=GRANTED)
        ),
    ),
    Variant(
        name="status_claim",
        role="proposed",
        does="`paid` becomes `processing` in one conditional update before the effect; the process may be killed.",
        why="Only one path goes on, but the claim dies with its holder: the payment stays `processing`, and nobody looks at it again.",
        source=f"{_ANALYSIS}: recommendation 1, carried through",
        run=_violated(CLAIM, the_api_may_die, every_payment_is_completed),
    ),
    Variant(
        name="status_claim_with_reaper",
        role="proposed",
        does="The same, and a sweep sets claims that are older than five minutes back to `paid`.",
        why="The reaper cannot know whether the holder is dead or slow, nor whether its extension was committed; when it was, the next "
        "run extends again.",
        source="the usual repair of a status claim",
        run=_violated(REAPER, the_api_may_die, expiry_is_sum_of_paid_durations),
    ),
)

_REFERENCE = (
    Variant(
        name="reference",
        role="reference",
        does="One payment, every entry path at once, the bot restarted and the API killed at any moment.",
        why="The grant's key is the payment's id, and grant, expiry, status and jobs are one transaction: a second run finds "
        "the grant and changes nothing.",
        run=_holds(REFERENCE, one_payment_seen_by_everyone, restarted("bot"), restarted("api")),
    ),
    Variant(
        name="reference_two_payments",
        role="reference",
        does="Two payments of one user at once, on top of a subscription that runs.",
        why="Two payments are two lines of the ledger; the expiry is folded from it under the user's lock.",
        run=_holds(REFERENCE, two_payments, granted=GRANTED),
    ),
    Variant(
        name="reference_first_purchase",
        role="reference",
        does="Two payments of a new user at once.",
        why="A unique index allows one live subscription per user; whether a payment buys or extends is a result, not a question.",
        run=_holds(REFERENCE, two_payments, granted=None),
    ),
    Variant(
        name="reference_nobody_can_be_told",
        role="reference",
        does="The user has blocked the bot, for an hour of sweeps.",
        why="A notice is a job of its own with attempts of its own; the payment was completed by its grant.",
        run=_holds(REFERENCE, nobody_can_be_told),
    ),
    Variant(
        name="reference_the_api_may_die",
        role="reference",
        does="The process that handles the webhook is killed between any two steps.",
        why="The grant commits with `completed`: there is no state in between, and what was not committed is done by whoever comes next.",
        run=_holds(REFERENCE, the_api_may_die, restarted("api")),
    ),
)

INCIDENT = Incident(
    name="subscription_224",
    title="Subscription #224: one payment, two extensions",
    when="2026-01-08",
    happened="A user with a free subscription paid for 30 days. The payment was noticed by a webhook, its duplicate, a poller and "
    "two background sweeps. The subscription ended on 2026-03-10 22:11:42 instead of 2026-02-08: it had been extended twice. "
    "Twenty-eight checks were added against this, and it still happens.",
    argument="Every path first reads (is the payment `paid`? is there a subscription? when does it end?) and then writes. However "
    "many reads there are, two paths can finish all of theirs before either writes. Three things hide in one: who may grant "
    "(nobody claims it), how much (the sum is made from what was read), and when it is done (`completed` is written last, in a "
    "transaction of its own, behind a message that may fail).\n\n"
    "What holds is a ledger: one row per payment, whose primary key is the payment's id. The row, the subscription, the "
    "payment's status and the jobs for notice and key are written by one transaction, under the user's lock. Whoever comes "
    "second conflicts on the key and has nothing to do. The five paths become one function of a payment's id, which may be "
    "called by anybody, any number of times. The expiry is the fold of the ledger, so it can be checked, and is, by "
    "`expiry_is_sum_of_paid_durations`. The argument in full is in [the purchase flow](../flows/purchase.md).",
    variants=(*_DEPLOYED, *_PROPOSED, *_REFERENCE),
)
