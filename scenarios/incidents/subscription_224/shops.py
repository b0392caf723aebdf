"""One shop in three versions: as deployed before v2.4.10, v2.4.10 with its 28 checks, and the reference.

A scenario talks to a `Shop` and knows none of them; each version brings its own tables, its own code and its own way of
asking whether a subscription ends when it should.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from reference import Invariant, Provider, ProviderPayment, ProviderStatus, Service
from reference import invariants as reference_invariants
from reference.storage.schema import metadata
from scenarios.incidents.subscription_224.deployed import (
    entry_points_before_v2_4_10,
    entry_points_v2_4_10,
)
from scenarios.incidents.subscription_224.deployed.database import deployed_schema
from scenarios.incidents.subscription_224.deployed.deployment import Deployment
from scenarios.incidents.subscription_224.deployed.values import FREE_V2RAY_TARIFF_ID
from scenarios.wiring import Remote, engine, open_async_connection
from simulator import Process, World

USER = 7
MONTH = timedelta(days=30)
TRIAL = timedelta(days=3)
MONTH_TARIFF, TRIAL_TARIFF = 1, FREE_V2RAY_TARIFF_ID
PRICE_RUB = 199


class Paths(Protocol):
    """The five ways into the purchase, as a process of the shop runs them."""

    def yookassa_webhook(self, payment_id: str) -> Awaitable[Any]: ...
    def platega_webhook(self, payment_id: str) -> Awaitable[Any]: ...
    def poll_payment(self, payment_id: str) -> Awaitable[Any]: ...
    def process_pending_paid_payments(self) -> Awaitable[Any]: ...
    def retry_failed_subscription_notifications(self) -> Awaitable[Any]: ...


class Shop(Protocol):
    """A version of the shop.

    Attributes:
        name: as parameters of tests show it.
        claims: what must hold; the first is that an expiry is the sum of what was paid for.
    """

    @property
    def name(self) -> str: ...

    @property
    def claims(self) -> tuple[Any, ...]: ...

    def schema(self, engine: Any, /) -> Any:
        """Its tables, for either engine."""

    def stock(self, world: World) -> None:
        """Puts the user, the tariffs and a key server into the tables."""

    def has_subscription(self, world: World, *, created_at: datetime, given: timedelta) -> None:
        """Gives the user subscription 224, for nothing."""

    def has_payment(self, world: World, payment_id: str, *, at: datetime, status: str, provider: str) -> None:
        """Records a payment for a month."""

    def process(self, world: World, remote: Remote) -> Callable[[Process], Awaitable[Paths]]:
        """The factory of the shop's processes."""


# As deployed -------------------------------------------------------------------------------------------------------

_EXPIRIES = """
    SELECT s.id AS id, s.expires_at AS expires_at, s.created_at
        + COALESCE((SELECT CAST(SUM(g.duration_sec) AS BIGINT) FROM given_for_nothing g WHERE g.user_id = s.user_id), 0)
        + COALESCE((SELECT CAST(SUM(t.duration_sec) AS BIGINT) FROM payments p JOIN tariffs t ON t.id = p.tariff_id
                    WHERE p.user_id = s.user_id AND p.status = 'completed'), 0) AS should_expire_at
    FROM subscriptions s WHERE s.is_active = 1 ORDER BY s.id
"""


def expiry_is_sum_of_paid_durations(world: World) -> str | None:
    """A subscription ends when the time that was paid for, and given for nothing, is over; each payment counts once."""
    for row in world.database.rows(_EXPIRIES):
        surplus = timedelta(seconds=row["expires_at"] - row["should_expire_at"])
        if surplus:
            much = f"{abs(surplus)} too {'much' if surplus > timedelta(0) else 'little'}"
            return (
                f"subscription {row['id']} expires {_utc(row['expires_at'])} and should expire "
                f"{_utc(row['should_expire_at'])}: {much.replace(', 0:00:00', '')}"
            )
    return None


one_subscription_per_user = Invariant(
    name="one_subscription_per_user",
    claim="a user has at most one live subscription",
    when="eventually",
    sql="SELECT user_id, COUNT(*) AS live FROM subscriptions WHERE is_active = 1 GROUP BY user_id HAVING COUNT(*) > 1",
)


class DeployedShop:
    """The shop as it was deployed.

    The user's free days are written down in a table of the scenario's own (`given_for_nothing`): the deployed system kept
    no record of them, so nobody could tell afterwards when a subscription should have ended.
    """

    claims = (expiry_is_sum_of_paid_durations, one_subscription_per_user)

    def __init__(self, name: str, entry_points: Callable[[Deployment, str], Any]) -> None:
        self.name = name
        self._entry_points = entry_points

    def schema(self, engine: Any) -> str:
        """The deployed tables, and the scenario's own."""
        return f"{deployed_schema(engine)}\nCREATE TABLE given_for_nothing (user_id BIGINT, duration_sec BIGINT);"

    def stock(self, world: World) -> None:
        """One user, a month for money and three days for nothing, one server."""
        insert = world.database.insert
        insert("users", id=USER, is_vip=0)
        insert(
            "tariffs",
            id=MONTH_TARIFF,
            name="month",
            price_rub=PRICE_RUB,
            duration_sec=_s(MONTH),
            traffic_limit_mb=0,
        )
        insert(
            "tariffs", id=TRIAL_TARIFF, name="trial", price_rub=0, duration_sec=_s(TRIAL), traffic_limit_mb=0
        )
        insert("v2ray_servers", id=1, name="server-1", is_active=1)

    def has_subscription(self, world: World, *, created_at: datetime, given: timedelta) -> None:
        """As the trial would have made it."""
        began = int(created_at.timestamp())
        world.database.insert(
            "subscriptions",
            id=224,
            user_id=USER,
            subscription_token="token-224",
            created_at=began,
            expires_at=began + _s(given),
            tariff_id=TRIAL_TARIFF,
        )
        world.database.insert("given_for_nothing", user_id=USER, duration_sec=_s(given))

    def has_payment(self, world: World, payment_id: str, *, at: datetime, status: str, provider: str) -> None:
        """As ``create_payment`` wrote it."""
        world.database.insert(
            "payments",
            payment_id=payment_id,
            user_id=USER,
            tariff_id=MONTH_TARIFF,
            provider=provider,
            amount=PRICE_RUB,
            status=status,
            protocol="v2ray",
            metadata='{"key_type": "subscription"}',
            created_at=int(at.timestamp()),
        )

    def process(self, world: World, remote: Remote) -> Callable[[Process], Awaitable[Paths]]:
        """A process of the deployed application."""

        async def start(_process: Process) -> Paths:
            connections = open_async_connection(world)
            deployment = Deployment(connections, notifier=remote, provider=remote, servers=remote)
            paths: Paths = self._entry_points(deployment, "shop.db")
            return paths

        return start


# The reference -----------------------------------------------------------------------------------------------------


class ReferenceShop:
    """The reference, behind the same door."""

    name = "reference"
    claims = (
        reference_invariants.expiry_is_sum_of_paid_durations,
        reference_invariants.one_subscription_per_user,
        reference_invariants.one_grant_per_paid_payment,
        reference_invariants.one_notice_per_payment,
        reference_invariants.no_paid_payment_without_due_job,
    )

    def schema(self, _engine: Any) -> Any:
        """The reference's own metadata: its constraints are part of what is judged."""
        return metadata

    def stock(self, world: World) -> None:
        """One user, a month for money and three days for nothing, one server."""
        insert = world.database.insert
        insert("users", id=USER)
        insert("tariffs", id=MONTH_TARIFF, title="month", price_minor=PRICE_RUB * 100, duration_sec=_s(MONTH))
        insert("tariffs", id=TRIAL_TARIFF, title="trial", kind="free", price_minor=0, duration_sec=_s(TRIAL))
        insert("servers", id="server-1")

    def has_subscription(self, world: World, *, created_at: datetime, given: timedelta) -> None:
        """As the trial leaves it: a grant in the ledger, and the subscription that it opened."""
        began = int(created_at.timestamp())
        world.database.insert(
            "subscriptions",
            id="224",
            user_id=USER,
            token="token-224",
            expires_at=began + _s(given),
            tariff_id=TRIAL_TARIFF,
            created_at=began,
            updated_at=began,
        )
        world.database.insert(
            "entitlement_grants",
            grant_key=f"trial:{USER}",
            subscription_id="224",
            user_id=USER,
            kind="trial",
            duration_sec=_s(given),
            granted_at=began,
            seq=1,
        )

    def has_payment(self, world: World, payment_id: str, *, at: datetime, status: str, provider: str) -> None:
        """As ``create_payment`` leaves it; a paid one has its due job, as the flow that confirms payments makes it."""
        made = int(at.timestamp())
        world.database.insert(
            "payments",
            id=payment_id,
            create_key=f"tap:{payment_id}",
            provider=provider,
            provider_payment_id=payment_id,
            user_id=USER,
            tariff_id=MONTH_TARIFF,
            amount_minor=PRICE_RUB * 100,
            duration_sec=_s(MONTH),
            status=status,
            created_at=made,
            paid_at=made if status == "paid" else None,
        )
        if status == "paid":
            world.database.insert(
                "outbox",
                dedupe_key=f"ensure:{payment_id}",
                topic="ensure",
                payment_id=payment_id,
                next_at=made,
                created_at=made,
            )

    def process(self, world: World, remote: Remote) -> Callable[[Process], Awaitable[Paths]]:
        """A process of the reference: the production engine with the simulator's connector."""

        async def start(_process: Process) -> Paths:
            provider = _AskedProvider(remote)
            return _ReferencePaths(
                Service(
                    engine=engine(world),
                    providers={Provider.YOOKASSA: provider, Provider.PLATEGA: provider},
                    notifier=_Bot(remote),
                    key_servers=_Servers(remote),
                )
            )

        return start


class _ReferencePaths:
    def __init__(self, service: Service) -> None:
        self._service = service

    async def yookassa_webhook(self, payment_id: str) -> None:
        body = {"type": "notification", "event": "payment.succeeded", "object": {"id": payment_id}}
        await self._service.yookassa_webhook(body)

    async def platega_webhook(self, payment_id: str) -> None:
        await self._service.platega_webhook({"id": payment_id, "status": "CONFIRMED"})

    async def poll_payment(self, payment_id: str) -> bool:
        await self._service.poll_once(payment_id)
        return True

    async def process_pending_paid_payments(self) -> None:
        await self._service.process_pending_paid_payments()

    async def retry_failed_subscription_notifications(self) -> None:
        await self._service.retry_failed_subscription_notifications()


class _AskedProvider:
    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    async def create(self, _request: Any) -> Any:
        raise AssertionError("nobody creates payments in this story: they are there when it begins")

    async def look_up(self, provider_payment_id: str) -> ProviderPayment | None:
        paid = await self._remote.is_paid(provider_payment_id)
        return ProviderPayment(
            ProviderStatus.SUCCEEDED if paid else ProviderStatus.PENDING, PRICE_RUB * 100, "RUB"
        )


class _Bot:
    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    async def send(self, user_id: int, text: str, _reference: str) -> None:
        if not await self._remote.send_message(user_id, text):
            raise ConnectionError("Telegram does not answer")


class _Servers:
    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    async def put(self, _server_id: str, _subscription_id: str, _traffic_limit_mb: int) -> None:
        await self._remote.create_key(1, USER)

    async def remove(self, _server_id: str, _subscription_id: str) -> None:
        raise AssertionError("nobody loses a key in this story")

    async def reset_traffic(self, _server_id: str, _subscription_id: str, reference: str) -> None:
        await self._remote.reset_traffic(1, reference)


def _s(duration: timedelta) -> int:
    return int(duration.total_seconds())


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


BEFORE = DeployedShop("before_v2_4_10", entry_points_before_v2_4_10.EntryPoints)
V2_4_10 = DeployedShop("v2_4_10", entry_points_v2_4_10.EntryPoints)
REFERENCE = ReferenceShop()
