"""A shop on ports: the reference's purchases among webhooks, a poller, sweeps, a relay and operators, all over one database.

The providers are as short as they can be (`scenarios.services` has the long ones), so that an execution costs milliseconds: a
scenario that removes a guard needs many of them. What arrived outside is counted here, whatever our tables say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from reference import PaymentRequest, Provider, ProviderPayment, ProviderStatus, RefusedError, Service
from reference.invariants import ALL
from reference.invariants_messages import MESSAGES
from reference.invariants_rest import REST
from reference.invariants_tickets import TICKETS
from reference.ports import CreatedPayment
from scenarios.wiring import DATABASE_ERRORS, engine
from simulator import Cron, Operator, Poller, Process, Webhook, World
from simulator.actors import Actor

NOON = datetime(2026, 1, 8, 12, tzinfo=UTC)
MONTH = timedelta(days=30)
MINUTE = timedelta(minutes=1)
USER, TARIFF, PRICE_MINOR = 7, 1, 19900
SERVER = "nl-1"
PURCHASES = [invariant for invariant in ALL if invariant not in (*REST, *TICKETS, *MESSAGES)]
ALWAYS: list[Any] = [invariant for invariant in PURCHASES if invariant.when == "always"]
EVENTUALLY: list[Any] = [invariant for invariant in PURCHASES if invariant.when == "eventually"]


_outsides: WeakKeyDictionary[World, Outside] = WeakKeyDictionary()


class Outside:
    """The provider, Telegram and the key servers, as far as a purchase sees them.

    Attributes:
        records: what the provider says of a payment, by its own id.
        created: the provider's payments by our idempotency key.
        told: texts that reached a user, by reference.
        keys: (server, subscription) that have a key.
        resets: how often traffic was set to zero, by (server, reference).
        bot_works: whether Telegram delivers.
        down: key servers that do not answer.
        refusals: so many of the next texts are refused for good.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.records: dict[str, ProviderPayment] = {}
        self.created: dict[str, str] = {}
        self.told: Counter[str] = Counter()
        self.keys: set[tuple[str, str]] = set()
        self.resets: Counter[tuple[str, str]] = Counter()
        self.bot_works = True
        self.down: set[str] = set()
        self.refusals = 0
        _outsides[world] = self

    async def create(self, request: PaymentRequest) -> CreatedPayment:
        """The provider makes a payment, one for each key."""

        def make() -> CreatedPayment:
            known = self.created.setdefault(request.idempotence_key, f"remote-{len(self.created) + 1}")
            self.records.setdefault(known, ProviderPayment(ProviderStatus.PENDING, PRICE_MINOR, "RUB"))
            return CreatedPayment(known, f"https://pay.example.com/{known}")

        return await self._world.call("provider create", make)

    async def look_up(self, provider_payment_id: str) -> ProviderPayment | None:
        """What the provider has on record."""
        return await self._world.call(
            f"provider look-up {provider_payment_id}", lambda: self.records.get(provider_payment_id)
        )

    async def send(self, _user_id: int, _text: str, reference: str) -> None:
        """Telegram."""

        def deliver() -> type[Exception] | None:
            if self.refusals:
                self.refusals -= 1
                return RefusedError
            if not self.bot_works:
                return ConnectionError
            self.told[reference] += 1
            return None

        failure = await self._world.call("telegram sendMessage", deliver)
        if failure is not None:
            raise failure("Telegram did not take it")

    async def put(self, server_id: str, subscription_id: str, _traffic_limit_mb: int) -> None:
        """A key server makes a key, or changes it."""
        await self._at(server_id, "put", lambda: self.keys.add((server_id, subscription_id)))

    async def remove(self, server_id: str, subscription_id: str) -> None:
        """A key server takes a key away."""
        await self._at(server_id, "remove", lambda: self.keys.discard((server_id, subscription_id)))

    async def reset_traffic(self, server_id: str, _subscription_id: str, reference: str) -> None:
        """A key server sets traffic to zero."""

        def reset() -> None:
            self.resets[server_id, reference] += 1

        await self._at(server_id, "reset traffic", reset)

    async def _at(self, server_id: str, what: str, does: Callable[[], None]) -> None:
        def answer() -> bool:
            if server_id in self.down:
                return False
            does()
            return True

        if not await self._world.call(f"server {server_id} {what}", answer):
            raise ConnectionError(f"{server_id} is down")


def outside_of(world: World) -> Outside:
    """What is not ours in this world; for claims."""
    return _outsides[world]


class Shop:
    """One shop in a world: stocked, at noon of 2026-01-08.

    Attributes:
        outside: what is not ours.
    """

    def __init__(self, world: World, **ports: Any) -> None:
        """Stocks a shop.

        Args:
            world: where.
            ports: further ports of `Service`, for scenarios that go beyond purchases.
        """
        world.begin_at(NOON)
        self.world = world
        self.outside = Outside(world)
        self._ports = ports
        insert = world.database.insert
        insert("users", id=USER)
        insert("tariffs", id=TARIFF, title="month", price_minor=PRICE_MINOR, duration_sec=_s(MONTH))
        insert("servers", id=SERVER)

    def has_payment(
        self,
        payment_id: str,
        *,
        status: ProviderStatus = ProviderStatus.SUCCEEDED,
        received_minor: int = PRICE_MINOR,
        user: int = USER,
    ) -> None:
        """A payment that was created a moment ago, and what the provider says of it."""
        made = int(NOON.timestamp())
        self.world.database.insert(
            "payments",
            id=payment_id,
            create_key=f"tap:{payment_id}",
            provider=Provider.YOOKASSA.value,
            provider_payment_id=payment_id,
            user_id=user,
            tariff_id=TARIFF,
            amount_minor=PRICE_MINOR,
            duration_sec=_s(MONTH),
            created_at=made,
        )
        self.outside.records[payment_id] = ProviderPayment(status, received_minor, "RUB")

    def has_subscription(self) -> None:
        """The user got three days for nothing, a day ago."""
        began = int(NOON.timestamp()) - 86_400
        self.world.database.insert(
            "subscriptions",
            id="sub:trial:7",
            user_id=USER,
            token="token",
            expires_at=began + 3 * 86_400,
            created_at=began,
            updated_at=began,
        )
        self.world.database.insert(
            "entitlement_grants",
            grant_key="trial:7",
            subscription_id="sub:trial:7",
            user_id=USER,
            kind="trial",
            duration_sec=3 * 86_400,
            granted_at=began,
            seq=1,
        )

    def runs(self, name: str, *actors: Actor) -> None:
        """A process of the shop, started anew after each death."""
        self.world.process(name, start=self._start).run(*actors)

    async def _start(self, _process: Process) -> Service:
        outside = self.outside
        return Service(
            engine=engine(self.world),
            providers={Provider.YOOKASSA: outside, Provider.PLATEGA: outside},
            notifier=outside,
            key_servers=outside,
            **self._ports,
        )


# Actors ------------------------------------------------------------------------------------------------------------


def webhook(
    payment_id: str,
    *,
    deliveries: int = 1,
    after: timedelta = timedelta(0),
    event: str = "payment.succeeded",
    refund: str = "r",
) -> Actor:
    """YooKassa tells us of a payment, or of a refund, which has an id of its own."""
    about = {"id": payment_id}
    name = f"webhook {payment_id}"
    if not event.startswith("payment."):
        about = {"id": f"{refund}-{payment_id}", "payment_id": payment_id}
        name = f"{event} {refund}-{payment_id}"
    return Webhook(
        Service.yookassa_webhook,
        {"type": "notification", "event": event, "object": about},
        deliveries=deliveries,
        after=after,
        tolerates=DATABASE_ERRORS,
        name=name,
    )


def polling(payment_id: str) -> Actor:
    """The bot asks."""

    async def look(service: Service) -> bool:
        await service.poll_once(payment_id)
        return True

    return Poller(look, looks=2, tolerates=DATABASE_ERRORS, name=f"polling {payment_id}")


def relay(*, ticks: int = 2, after: timedelta = timedelta(0), name: str = "relay") -> Actor:
    """The worker does the outbox's jobs, and the inbox's."""

    async def work(service: Service) -> None:
        await service.work_inbox()
        await service.relay()

    return Cron(work, every=10 * MINUTE, ticks=ticks, after=after, tolerates=DATABASE_ERRORS, name=name)


def notices(*, after: timedelta = timedelta(0), name: str = "notices") -> Actor:
    """A worker tells the buyers, and does nothing else."""
    return Cron(
        Service.retry_failed_subscription_notifications,
        every=10 * MINUTE,
        after=after,
        tolerates=DATABASE_ERRORS,
        name=name,
    )


def sweep(*, ticks: int = 1, after: timedelta = timedelta(0)) -> Actor:
    """What is paid and undelivered, or pending for a while."""
    return Cron(
        Service.process_pending_paid_payments,
        every=5 * MINUTE,
        ticks=ticks,
        after=after,
        tolerates=DATABASE_ERRORS,
        name="sweep",
    )


def operator(
    does: Callable[[Service], Awaitable[Any]], *, name: str, after: timedelta = timedelta(0)
) -> Actor:
    """A person."""
    return Operator(does, name=name, after=after, tolerates=DATABASE_ERRORS)


def _s(duration: timedelta) -> int:
    return int(duration.total_seconds())
