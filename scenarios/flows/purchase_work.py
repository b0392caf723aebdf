"""Scenarios of the work around a purchase: the sale, the outbox, the inbox and the keys. Each holds as it stands."""

from __future__ import annotations

from datetime import timedelta

from reference import Invariant, Offer, Provider, ProviderStatus, Service
from reference.storage.schema import metadata
from scenarios.flows.purchases import HOUR, WHAT_WAS_TAKEN_IS_DELIVERED
from scenarios.flows.shop import (
    ALWAYS,
    EVENTUALLY,
    MINUTE,
    TARIFF,
    USER,
    Shop,
    notices,
    operator,
    outside_of,
    polling,
    relay,
    webhook,
)
from scenarios.wiring import DATABASE_ERRORS
from simulator import Crash, Operator, Pause, Poller, Webhook, World, restarted, simulate

ONE_PAYMENT_PER_TAP = Invariant(
    name="one_payment_per_tap",
    claim="one intention to buy is one payment",
    when="always",
    sql="SELECT create_key, COUNT(*) AS payments FROM payments GROUP BY create_key HAVING COUNT(*) > 1",
)
EVERY_NOTIFICATION_IS_WORKED_OFF = Invariant(
    name="every_notification_is_worked_off",
    claim="what a provider has told us is worked off in the end",
    when="eventually",
    sql="SELECT provider, event, object_id FROM inbox WHERE done_at IS NULL",
)
SECOND_SERVER = "de-1"


def one_remote_payment_per_tap(world: World) -> str | None:
    """The provider has made one payment for one intention to buy."""
    created = outside_of(world).created
    return f"the provider has made {len(created)} payments" if len(created) > 1 else None


def told_once(world: World) -> str | None:
    """Nobody died and nobody slept: the buyer has one message."""
    told = outside_of(world).told
    return next((f"{ref} was sent {count} times" for ref, count in told.items() if count > 1), None)


def the_buyer_is_told(world: World) -> str | None:
    """Whoever paid hears of it in the end."""
    rows = world.database.rows("SELECT id FROM payments WHERE status = 'completed'")
    silent = [row["id"] for row in rows if not outside_of(world).told[f"notice:{row['id']}"]]
    return f"nobody was told about {', '.join(silent)}" if silent else None


def traffic_is_reset_once(world: World) -> str | None:
    """Traffic is set to zero once for a payment on each server."""
    resets = outside_of(world).resets
    return next((f"{what} was reset {count} times" for what, count in resets.items() if count > 1), None)


def nothing_for_nothing(world: World) -> str | None:
    """Only money that the provider has is worth time."""
    rows = world.database.rows("SELECT payment_id AS id FROM entitlement_grants WHERE payment_id IS NOT NULL")
    records = outside_of(world).records
    free = [row["id"] for row in rows if records[row["id"]].status is not ProviderStatus.SUCCEEDED]
    return f"{free[0]} was granted, and the provider has no money for it" if free else None


@simulate(
    schema=metadata,
    always=[*ALWAYS, ONE_PAYMENT_PER_TAP],
    eventually=[*EVENTUALLY, one_remote_payment_per_tap],
    sometimes=[restarted("bot")],
)
async def two_taps(world: World) -> None:
    """An impatient buyer taps twice, the bot may die between the provider's answer and the note of it, and a third tap comes."""
    shop = Shop(world)

    async def tap(service: Service) -> None:
        offer = Offer(create_key="message-1", user_id=USER, tariff_id=TARIFF, provider=Provider.YOOKASSA)
        await service.create_payment(offer)

    again = operator(tap, name="third tap", after=HOUR)
    shop.runs("bot", operator(tap, name="tap"), operator(tap, name="second tap"))
    shop.runs("other bot", again)
    world.inject(Crash("bot"))
    await world.quiesce()


@simulate(schema=metadata, always=ALWAYS, eventually=[*EVENTUALLY, told_once, the_buyer_is_told])
async def two_relays_alive(world: World) -> None:
    """Two workers share an outbox, and neither dies."""
    shop = Shop(world)
    shop.has_payment("p-1")
    shop.runs("api", webhook("p-1"))
    shop.runs("worker", relay(ticks=3, after=HOUR, name="relay"))
    shop.runs("other worker", relay(ticks=3, after=HOUR, name="other relay"))
    await world.quiesce()


@simulate(schema=metadata, always=ALWAYS, eventually=[the_buyer_is_told], sometimes=[restarted("worker")])
async def a_worker_dies(world: World) -> None:
    """With a notice in hand, at any moment; the buyer may be told twice, and not never."""
    shop = Shop(world)
    shop.has_payment("p-1")
    shop.runs("api", webhook("p-1"))
    shop.runs("worker", notices(after=HOUR))
    shop.runs("other worker", notices(after=2 * HOUR, name="other notices"))
    world.inject(Crash("worker"))
    await world.quiesce()


@simulate(schema=metadata, always=ALWAYS, eventually=[*EVENTUALLY, the_buyer_is_told])
async def telegram_is_down(world: World) -> None:
    """For an hour; then it is back."""
    shop = Shop(world)
    shop.has_payment("p-1")
    shop.outside.bot_works = False

    def back() -> None:
        shop.outside.bot_works = True

    async def return_(_service: Service) -> None:
        await world.call("telegram is back", back)

    shop.runs("api", webhook("p-1"), polling("p-1"))
    shop.runs("chat", operator(return_, name="telegram", after=2 * HOUR))
    shop.runs("worker", relay(ticks=2, after=HOUR), relay(ticks=3, after=3 * HOUR, name="later relay"))
    await world.quiesce()


# Nothing is said of what arrives: a worker that slept may send a second notice (docs/flows/purchase.md). It may not report.
@simulate(schema=metadata, always=ALWAYS)
async def an_overtaken_worker(world: World) -> None:
    """It was refused, and sleeps before it says so; another worker tries again meanwhile and is heard."""
    shop = Shop(world)
    shop.has_payment("p-1")
    shop.outside.refusals = 1
    shop.runs("api", webhook("p-1"))
    shop.runs("worker", notices(after=MINUTE))
    shop.runs("other worker", notices(after=2 * MINUTE + timedelta(seconds=30), name="other notices"))
    world.inject(Pause("worker", 91.0))
    await world.quiesce()


@simulate(schema=metadata, always=ALWAYS, eventually=[*EVENTUALLY, traffic_is_reset_once], executions=30)
async def a_server_is_down(world: World) -> None:
    """One of two key servers is down for an hour; the other one is not bothered twice."""
    shop = Shop(world)
    world.database.insert("servers", id=SECOND_SERVER)
    shop.has_payment("p-1")
    shop.outside.down.add(SECOND_SERVER)

    async def repaired(_service: Service) -> None:
        await world.call(f"{SECOND_SERVER} is back", lambda: shop.outside.down.discard(SECOND_SERVER))

    shop.runs("api", webhook("p-1"), polling("p-1"))
    shop.runs("rack", operator(repaired, name="repair", after=2 * HOUR))
    shop.runs("worker", relay(ticks=2, after=HOUR), relay(ticks=3, after=3 * HOUR, name="later relay"))
    await world.quiesce()


@simulate(
    schema=metadata,
    always=ALWAYS,
    eventually=[*EVENTUALLY, WHAT_WAS_TAKEN_IS_DELIVERED, EVERY_NOTIFICATION_IS_WORKED_OFF],
)
async def told_at_the_door(world: World) -> None:
    """The door writes down and answers; workers do the rest."""
    shop = Shop(world)
    shop.has_payment("p-1")
    body = {"type": "notification", "event": "payment.succeeded", "object": {"id": "p-1"}}
    shop.runs(
        "api",
        Webhook(
            Service.yookassa_webhook_received, body, deliveries=2, tolerates=DATABASE_ERRORS, name="door"
        ),
    )
    shop.runs("worker", relay(ticks=3, after=MINUTE))
    shop.runs("other worker", relay(ticks=3, after=MINUTE, name="other relay"))
    await world.quiesce()


@simulate(schema=metadata, always=[*ALWAYS, nothing_for_nothing], eventually=EVENTUALLY)
async def a_forged_notification(world: World) -> None:
    """Somebody who knows our address says that a payment has succeeded; the provider knows better."""
    shop = Shop(world)
    shop.has_payment("p-1", status=ProviderStatus.PENDING)
    shop.has_payment("p-2")
    shop.runs("api", webhook("p-1", deliveries=2), webhook("p-2"))
    shop.runs("worker", relay(ticks=2, after=HOUR))
    await world.quiesce()


@simulate(schema=metadata, always=ALWAYS, eventually=EVENTUALLY, early_timers_max=0)
async def nobody_is_turned_away(world: World) -> None:
    """Three at once, and none of them is told that the database is busy."""
    shop = Shop(world)
    shop.has_payment("p-1")
    body = {"type": "notification", "event": "payment.succeeded", "object": {"id": "p-1"}}

    async def look(service: Service) -> bool:
        await service.poll_once("p-1")
        return True

    shop.runs("api", Webhook(Service.yookassa_webhook, body, deliveries=2, name="webhook"))
    shop.runs("bot", Poller(look, looks=1, name="polling"))
    shop.runs("desk", Operator(Service.process_pending_paid_payments, name="sweep"))
    await world.quiesce()


ALL_OF_THEM = (
    two_taps,
    two_relays_alive,
    a_worker_dies,
    telegram_is_down,
    an_overtaken_worker,
    a_server_is_down,
    told_at_the_door,
    a_forged_notification,
    nobody_is_turned_away,
)
