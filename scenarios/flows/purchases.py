"""Scenarios of purchase and extension: each holds, and each is what notices when one of the guards is taken away."""

from __future__ import annotations

from datetime import timedelta

from reference import Invariant, ProviderStatus, Service, invariants
from reference.storage.schema import metadata
from scenarios.flows.shop import (
    ALWAYS,
    EVENTUALLY,
    MINUTE,
    PRICE_MINOR,
    USER,
    Shop,
    operator,
    polling,
    relay,
    sweep,
    webhook,
)
from simulator import Crash, World, restarted, simulate

HOUR = timedelta(hours=1)
ONE_ROW_PER_NOTIFICATION = Invariant(
    name="one_row_per_notification",
    claim="what a provider tells us any number of times is one row of the inbox",
    when="always",
    sql="SELECT provider, event, object_id, COUNT(*) AS n FROM inbox GROUP BY provider, event, object_id HAVING COUNT(*) > 1",
)
ONE_LINE_PER_KEY = Invariant(
    name="one_line_per_key",
    claim="a trial is given once to a user, a gift once for a ticket",
    when="always",
    sql="SELECT grant_key, COUNT(*) AS n FROM entitlement_grants GROUP BY grant_key HAVING COUNT(*) > 1",
)
WHAT_WAS_TAKEN_IS_DELIVERED = Invariant(
    name="what_was_taken_is_delivered",
    claim="a payment that the provider has taken is delivered in the end, whoever forgot to tell us",
    when="eventually",
    sql="SELECT id AS payment, status FROM payments WHERE status NOT IN ('completed', 'refund_due', 'refunded')",
)


@simulate(schema=metadata, always=[*ALWAYS, ONE_ROW_PER_NOTIFICATION], eventually=EVENTUALLY, executions=50)
async def one_payment(world: World) -> None:
    """A webhook, its duplicate and a poller over one payment; then the worker does what is left."""
    shop = Shop(world)
    shop.has_payment("p-1")
    shop.runs("api", webhook("p-1", deliveries=2))
    shop.runs("bot", polling("p-1"))
    shop.runs("worker", relay(ticks=2, after=HOUR))
    await world.quiesce()


@simulate(schema=metadata, always=ALWAYS, eventually=EVENTUALLY, sometimes=[restarted("api")], executions=50)
async def somebody_dies(world: World) -> None:
    """The process that serves the webhook is killed at any moment, and nobody tells it again: the worker finds out."""
    shop = Shop(world)
    shop.has_subscription()
    shop.has_payment("p-1")
    shop.runs("api", webhook("p-1"))
    shop.runs("worker", sweep(ticks=1), relay(ticks=4, after=HOUR))
    world.inject(Crash("api"))
    await world.quiesce()


@simulate(
    schema=metadata, always=ALWAYS, eventually=[*EVENTUALLY, WHAT_WAS_TAKEN_IS_DELIVERED], executions=50
)
async def nobody_tells(world: World) -> None:
    """The provider has the money and does not call, and nobody polls."""
    shop = Shop(world)
    shop.has_payment("p-1")
    shop.runs("worker", sweep(ticks=2), relay(ticks=2, after=HOUR))
    shop.runs("other worker", sweep(ticks=2))
    await world.quiesce()


@simulate(schema=metadata, always=ALWAYS, eventually=EVENTUALLY, executions=50)
async def two_payments(world: World) -> None:
    """Two payments of one user, who has no subscription yet."""
    shop = Shop(world)
    shop.has_payment("p-1")
    shop.has_payment("p-2")
    shop.runs("api", webhook("p-1"), webhook("p-2"))
    shop.runs("worker", relay(ticks=2, after=HOUR))
    await world.quiesce()


@simulate(schema=metadata, always=ALWAYS, eventually=EVENTUALLY, sometimes=[restarted("worker")])
async def two_relays(world: World) -> None:
    """Two workers over one outbox, and one of them may die."""
    shop = Shop(world)
    shop.has_payment("p-1")
    shop.runs("api", webhook("p-1"))
    shop.runs("worker", relay(ticks=3, after=HOUR, name="relay"))
    shop.runs("other worker", relay(ticks=3, after=HOUR, name="other relay"))
    world.inject(Crash("worker"))
    await world.quiesce()


@simulate(schema=metadata, eventually=[*ALWAYS, *EVENTUALLY])
async def put_back_by_hand(world: World) -> None:
    """A person sets a delivered payment back to `paid`, as one did to "repair" a missing notice."""
    await _put_back(world)


@simulate(schema=metadata, eventually=[invariants.one_notice_per_payment])
async def put_back_by_hand_and_told(world: World) -> None:
    """The same, and only what the buyer is told matters."""
    await _put_back(world)


async def _put_back(world: World) -> None:
    shop = Shop(world)
    shop.has_payment("p-1")
    shop.runs("api", webhook("p-1"), webhook("p-1", after=2 * HOUR))

    async def repair(service: Service) -> None:
        async with service.engine.begin() as connection:
            await connection.exec_driver_sql(
                "UPDATE payments SET status = 'paid', completed_at = NULL, subscription_id = NULL WHERE id = 'p-1'"
            )
            await connection.exec_driver_sql(
                "UPDATE outbox SET done_at = NULL, next_at = 0 WHERE dedupe_key = 'ensure:p-1'"
            )

    shop.runs("console", operator(repair, name="operator", after=HOUR))
    shop.runs("worker", relay(ticks=2, after=3 * HOUR))
    await world.quiesce()


@simulate(schema=metadata, always=ALWAYS, eventually=EVENTUALLY)
async def the_wrong_amount(world: World) -> None:
    """The provider has taken less than was asked for."""
    shop = Shop(world)
    shop.has_payment("p-1", received_minor=PRICE_MINOR - 100)
    shop.runs("api", webhook("p-1", deliveries=2))
    shop.runs("bot", polling("p-1"))
    shop.runs("worker", relay(ticks=2, after=HOUR))
    await world.quiesce()


@simulate(schema=metadata, always=[*ALWAYS, ONE_LINE_PER_KEY], eventually=EVENTUALLY, executions=50)
async def money_goes_back(world: World) -> None:
    """A payment is delivered, and refunded in two parts; all news come twice, or nearly."""
    shop = Shop(world)
    shop.has_payment("p-1")
    shop.has_payment("p-2")
    shop.runs("api", webhook("p-1", deliveries=2), webhook("p-2"))

    def refunded() -> None:
        record = shop.outside.records["p-1"]
        shop.outside.records["p-1"] = type(record)(
            ProviderStatus.REFUNDED, record.amount_minor, record.currency
        )

    async def refund(_service: Service) -> None:
        await world.call("provider refunds p-1", refunded)

    shop.runs("provider", operator(refund, name="refund"))
    parts = [
        webhook("p-1", deliveries=2, event="refund.succeeded", after=MINUTE, refund=part) for part in "ab"
    ]
    shop.runs("bot", *parts)
    shop.runs("worker", relay(ticks=2, after=HOUR))
    await world.quiesce()


@simulate(schema=metadata, always=[*ALWAYS, ONE_LINE_PER_KEY], eventually=EVENTUALLY, executions=50)
async def a_trial_and_a_payment(world: World) -> None:
    """Two trials and a gift of a user who pays at the same time."""
    shop = Shop(world)
    world.database.insert("tariffs", id=900, title="trial", kind="free", price_minor=0, duration_sec=259_200)
    shop.has_payment("p-1")

    async def trial(service: Service) -> None:
        await service.trial(USER, 900)

    async def gift(service: Service) -> None:
        await service.gift(ticket="T-1", user_id=USER, duration_sec=86_400)

    shop.runs("api", webhook("p-1"))
    shop.runs("bot", operator(trial, name="trial"), operator(trial, name="trial again"))
    shop.runs("desk", operator(gift, name="gift"), operator(gift, name="gift again"))
    shop.runs("worker", relay(ticks=2, after=HOUR))
    await world.quiesce()


ALL_OF_THEM = (
    one_payment,
    somebody_dies,
    nobody_tells,
    two_payments,
    two_relays,
    put_back_by_hand,
    put_back_by_hand_and_told,
    the_wrong_amount,
    money_goes_back,
    a_trial_and_a_payment,
)
