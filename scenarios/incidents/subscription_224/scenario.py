"""Subscription #224, 2026-01-08: one payment for 30 days, seen by everyone, extended twice.

The dates are the incident's. What is inferred: the subscription ended on 2026-03-10 22:11:42, which is 63 days after it
was made, so we take it for a grant of 3 days and two extensions of 30; one of them was paid for.
"""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any

from scenarios.incidents.subscription_224.shops import TRIAL, Paths, Shop
from scenarios.wiring import DATABASE_ERRORS, Remote
from simulator import Crash, Cron, Poller, Restart, Webhook, World
from simulator.actors import Actor

GRANTED = datetime(2026, 1, 6, 22, 11, 42, tzinfo=UTC)
PAID = datetime(2026, 1, 8, 20, 27, 23, tzinfo=UTC)
EXTENDED_ONCE = datetime(2026, 2, 8, 22, 11, 42, tzinfo=UTC)
EXTENDED_TWICE = datetime(2026, 3, 10, 22, 11, 42, tzinfo=UTC)
PAYMENT, SECOND_PAYMENT = "p-1", "p-2"
SWEEPS = 12  # an hour of them

_POLL = timedelta(seconds=5)
_SWEEP = timedelta(minutes=5)


def webhook(payment_id: str = PAYMENT, *, deliveries: int = 1) -> Actor:
    """YooKassa tells the shop."""
    return Webhook(_yookassa, payment_id, deliveries=deliveries, tolerates=DATABASE_ERRORS, name="webhook")


def platega(payment_id: str = PAYMENT, *, deliveries: int = 1) -> Actor:
    """Platega tells the shop."""
    return Webhook(_platega, payment_id, deliveries=deliveries, tolerates=DATABASE_ERRORS, name="platega")


def polling(payment_id: str = PAYMENT) -> Actor:
    """The bot asks the provider every five seconds."""
    return Poller(_poll, payment_id, every=_POLL, looks=2, tolerates=DATABASE_ERRORS, name="polling")


def pending_sweep() -> Actor:
    """``process_pending_paid_payments``, every five minutes."""
    return Cron(_pending, every=_SWEEP, tolerates=DATABASE_ERRORS, name="pending sweep")


def notice_sweep(*, runs: int = 1) -> Actor:
    """``retry_failed_subscription_notifications``, every five minutes."""
    return Cron(_notices, every=_SWEEP, ticks=runs, tolerates=DATABASE_ERRORS, name="notice sweep")


def later(payment_id: str, *, after: timedelta) -> Actor:
    """The provider tells the shop of a payment that is made later."""
    return Webhook(
        _yookassa, payment_id, deliveries=1, after=after, tolerates=DATABASE_ERRORS, name="later webhook"
    )


async def one_payment_seen_by_everyone(world: World, shop: Shop) -> None:
    """The incident: a subscription that runs, one payment, and every path that may notice it, all at once.

    The bot may be restarted and the API may crash at any moment, or never: the incident needs neither.
    """
    remote = open_shop(world, shop)
    shop.has_subscription(world, created_at=GRANTED, given=TRIAL)
    shop.has_payment(world, PAYMENT, at=PAID, status="pending", provider="yookassa")
    run(world, shop, remote, api=[webhook(deliveries=2)], bot=[polling(), pending_sweep(), notice_sweep()])
    world.inject(Restart("bot"), Crash("api"))
    await world.quiesce()


async def seen_by(
    world: World,
    shop: Shop,
    *,
    api: list[Actor],
    bot: list[Actor],
    granted: datetime | None = GRANTED,
    status: str = "pending",
    provider: str = "yookassa",
) -> Remote:
    """One payment, and whoever notices it.

    Args:
        world: the world.
        shop: the version of the shop.
        api: what runs in the process that serves webhooks.
        bot: what runs in the bot's process.
        granted: when subscription 224 was given; None: the user has none yet.
        status: of the payment when the story begins.
        provider: who took the money.
    """
    remote = open_shop(world, shop)
    if granted is not None:
        shop.has_subscription(world, created_at=granted, given=TRIAL)
    shop.has_payment(world, PAYMENT, at=PAID, status=status, provider=provider)
    run(world, shop, remote, api=api, bot=bot)
    await world.quiesce()
    return remote


async def two_payments(
    world: World, shop: Shop, *, granted: datetime | None, apart: timedelta = timedelta(0)
) -> None:
    """Two months are paid for, each told by one webhook.

    Args:
        world: the world.
        shop: the version of the shop.
        granted: when subscription 224 was given; None: the user has none yet.
        apart: the time between the two; zero: at once.
    """
    remote = open_shop(world, shop)
    if granted is not None:
        shop.has_subscription(world, created_at=granted, given=TRIAL)
    a_minute_ago = PAID - timedelta(minutes=1)
    for payment in (PAYMENT, SECOND_PAYMENT):
        shop.has_payment(world, payment, at=a_minute_ago, status="pending", provider="yookassa")
    second = later(SECOND_PAYMENT, after=apart) if apart else webhook(SECOND_PAYMENT)
    run(world, shop, remote, api=[webhook(PAYMENT), second], bot=[])
    await world.quiesce()


async def nobody_can_be_told(world: World, shop: Shop) -> None:
    """A webhook, and an hour of sweeps after it, while Telegram refuses."""
    remote = open_shop(world, shop)
    remote.bot_works = False
    shop.has_subscription(world, created_at=GRANTED, given=TRIAL)
    shop.has_payment(world, PAYMENT, at=PAID, status="pending", provider="yookassa")
    run(world, shop, remote, api=[webhook()], bot=[notice_sweep(runs=SWEEPS)])
    await world.quiesce()


async def the_api_may_die(world: World, shop: Shop) -> None:
    """One delivery, three runs of the notice sweep, and a process that may be killed between any two steps."""
    remote = open_shop(world, shop)
    shop.has_subscription(world, created_at=GRANTED, given=TRIAL)
    shop.has_payment(world, PAYMENT, at=PAID, status="pending", provider="yookassa")
    run(world, shop, remote, api=[webhook()], bot=[notice_sweep(runs=3)])
    world.inject(Crash("api"))
    await world.quiesce()


def open_shop(world: World, shop: Shop) -> Remote:
    """The shop's tables are filled, and it is 2026-01-08 20:27:23."""
    world.begin_at(PAID)
    shop.stock(world)
    return Remote(world)


def run(world: World, shop: Shop, remote: Remote, *, api: list[Actor], bot: list[Actor]) -> None:
    """Two processes of the shop."""
    factory = shop.process(world, remote)
    for name, actors in (("api", api), ("bot", bot)):
        if actors:
            world.process(name, start=factory).run(*actors)


def _yookassa(paths: Paths, payment_id: str) -> Awaitable[Any]:
    return paths.yookassa_webhook(payment_id)


def _platega(paths: Paths, payment_id: str) -> Awaitable[Any]:
    return paths.platega_webhook(payment_id)


def _poll(paths: Paths, payment_id: str) -> Awaitable[Any]:
    return paths.poll_payment(payment_id)


def _pending(paths: Paths) -> Awaitable[Any]:
    return paths.process_pending_paid_payments()


def _notices(paths: Paths) -> Awaitable[Any]:
    return paths.retry_failed_subscription_notifications()
