"""One shop with tickets in many versions: the guide's, with each fix, and the reference; a scenario knows none of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from reference import Contest, Provider, ProviderPayment, ProviderStatus, Service
from reference.storage.schema import metadata
from scenarios.incidents.ticket_award.deployed.award_retry_scheduler import AwardRetryScheduler
from scenarios.incidents.ticket_award.deployed.bot_db import SCHEMA, BotDb
from scenarios.incidents.ticket_award.deployed.contest_utils import ContestUtils
from scenarios.incidents.ticket_award.deployed.order_processing import OrderProcessingService
from scenarios.incidents.ticket_award.deployed.payments import PaymentsRoute
from scenarios.incidents.ticket_award.outside import Outside
from scenarios.wiring import engine, open_async_connection
from simulator import Process, World

CONTEST, REFERRER, BUYER = "january", 5, 7
STARTS = datetime(2026, 1, 1, tzinfo=UTC)
ENDS = datetime(2026, 2, 1, tzinfo=UTC)
BOUND = datetime(2026, 1, 2, tzinfo=UTC)
PLAN, TARIFF, PRICE_MINOR, MONTH_S = "plan_1m", 1, 19_900, 30 * 86_400


class NotAnswered200(Exception):
    """Any other answer, after which YooKassa sends the notification again."""


class Paths(Protocol):
    """The three entry points, and the operator."""

    def webhook(self, order_id: str, ordered_at: datetime | None) -> Awaitable[None]:
        """YooKassa's notification; raises `NotAnswered200`."""

    def order_processed(self, order_id: str, ordered_at: datetime) -> Awaitable[None]:
        """The bot notices the payment."""

    def tick(self) -> Awaitable[None]:
        """The scheduler, every five minutes."""

    def open_contest(self) -> Awaitable[None]:
        """An operator opens it."""

    def close_contest(self) -> Awaitable[None]:
        """An operator closes it, to draw; raises when it may not be closed yet."""


class Bot(Protocol):
    """A version of the shop."""

    def schema(self, engine: Any, /) -> Any:
        """Its tables, for either engine."""

    def stock(self, world: World, *, contest_is_open: bool) -> None:
        """A contest, a buyer and who brought them."""

    def has_order(self, world: World, order_id: str, *, buyer: int, ordered_at: datetime) -> None:
        """An order that is being paid."""

    def process(self, world: World, outside: Outside) -> Callable[[Process], Awaitable[Paths]]:
        """The factory of its processes."""


class GuidesBot:
    """The guide's code, or with a part of it replaced.

    Args:
        contests: the class that awards.
        queue: whether the webhook has the retry queue (section 4.3), or only a comment in its place (2.1).
        synchronous: whether the driver is, as better-sqlite3.
        more_schema: what a fix adds to the tables.
    """

    def __init__(
        self,
        contests: type[ContestUtils] = ContestUtils,
        *,
        queue: bool = True,
        synchronous: bool = True,
        more_schema: str = "",
    ) -> None:
        self._contests = contests
        self._queue = queue
        self._synchronous = synchronous
        self._more_schema = more_schema

    def schema(self, _engine: Any) -> str:
        """The bot's tables."""
        return SCHEMA + self._more_schema

    def stock(self, world: World, *, contest_is_open: bool) -> None:
        """A contest, a buyer and who brought them."""
        world.database.insert(
            "contests",
            id=CONTEST,
            starts_at=STARTS.isoformat(),
            ends_at=ENDS.isoformat(),
            attribution_window_days=30,
            is_active=int(contest_is_open),
        )
        world.database.insert(
            "user_referrals", referred_id=BUYER, referrer_id=REFERRER, bound_at=BOUND.isoformat()
        )

    def has_order(self, world: World, order_id: str, *, buyer: int, ordered_at: datetime) -> None:
        """Orders are elsewhere: the award takes what it is told."""

    def process(self, world: World, outside: Outside) -> Callable[[Process], Awaitable[Paths]]:
        """A process: a database connection, a queue in memory."""

        async def start(_process: Process) -> Paths:
            db = BotDb(open_async_connection(world), outside.can_attach, synchronous=self._synchronous)
            contests = self._contests(db)
            scheduler = _Listening(contests.award_tickets_for_payment, outside)
            route = PaymentsRoute(contests, scheduler if self._queue else None, outside.activate)
            return _GuidesPaths(db, route, OrderProcessingService(contests, outside.activate), scheduler)

        return start


class _Listening(AwardRetryScheduler):
    """The guide's queue; what it is told is remembered for the oracle, as a log would."""

    def __init__(self, award: Any, outside: Outside) -> None:
        super().__init__(award)
        self._outside = outside

    def add_to_retry_queue(
        self, tg_id: int, order_id: str, plan_id: str, order_created_at: str | None, error: str | None
    ) -> None:
        self._outside.errors.append(error or "")
        super().add_to_retry_queue(tg_id, order_id, plan_id, order_created_at, error)


class _GuidesPaths:
    def __init__(
        self,
        db: BotDb,
        route: PaymentsRoute,
        orders: OrderProcessingService,
        scheduler: AwardRetryScheduler,
    ) -> None:
        self._db = db
        self._route = route
        self._orders = orders
        self._scheduler = scheduler

    async def webhook(self, order_id: str, ordered_at: datetime | None) -> None:
        metadata: dict[str, Any] = {"order_id": order_id, "telegram_id": buyer_of(order_id), "plan_id": PLAN}
        if ordered_at is not None:
            metadata["created_at"] = ordered_at.isoformat()
        body = {"event": "payment.succeeded", "object": {"id": f"pay-{order_id}", "metadata": metadata}}
        status = await self._route.webhook(body)
        if status != 200:
            raise NotAnswered200(str(status))

    async def order_processed(self, order_id: str, ordered_at: datetime) -> None:
        await self._orders.process_payment(buyer_of(order_id), order_id, PLAN, ordered_at.isoformat())

    async def tick(self) -> None:
        await self._scheduler.process_retry_queue()

    async def open_contest(self) -> None:
        await self._switch(1)

    async def close_contest(self) -> None:
        await self._switch(0)

    async def _switch(self, is_active: int) -> None:
        async with self._db.connection() as connection:
            await connection.execute("UPDATE contests SET is_active = ? WHERE id = ?", (is_active, CONTEST))
            await connection.commit()


def buyer_of(order_id: str) -> int:
    """`o-1` is the invited buyer's; others are bought by somebody whom nobody brought."""
    return BUYER if order_id == "o-1" else BUYER + int(order_id.removeprefix("o-"))


class ReferenceBot:
    """The reference, behind the same door."""

    def schema(self, _engine: Any) -> Any:
        """The reference's own metadata: its constraints are part of what is judged."""
        return metadata

    def stock(self, world: World, *, contest_is_open: bool) -> None:
        """A contest, a buyer and who brought them."""
        insert = world.database.insert
        insert("users", id=REFERRER)
        insert("users", id=BUYER)
        insert("tariffs", id=TARIFF, title="month", price_minor=PRICE_MINOR, duration_sec=MONTH_S)
        insert("servers", id="server-1")
        if contest_is_open:
            terms = {"starts_at": _TERMS.starts_at, "ends_at": _TERMS.ends_at, "attribution_window_days": 30}
            insert("contests", id=CONTEST, **terms)
            insert("contest_tickets", contest_id=CONTEST, tariff_id=TARIFF, tickets=1)
        insert("user_referrals", referred_id=BUYER, referrer_id=REFERRER, bound_at=int(BOUND.timestamp()))

    def has_order(self, world: World, order_id: str, *, buyer: int, ordered_at: datetime) -> None:
        """A pending payment of ours: what it is worth is in its row."""
        if buyer != BUYER:
            world.database.insert("users", id=buyer)
        world.database.insert(
            "payments",
            id=order_id,
            create_key=f"tap:{order_id}",
            provider="yookassa",
            provider_payment_id=f"pay-{order_id}",
            user_id=buyer,
            tariff_id=TARIFF,
            amount_minor=PRICE_MINOR,
            duration_sec=MONTH_S,
            status="pending",
            created_at=int(ordered_at.timestamp()),
        )

    def process(self, world: World, outside: Outside) -> Callable[[Process], Awaitable[Paths]]:
        """A process of the reference: the production engine with the simulator's connector."""

        async def start(_process: Process) -> Paths:
            return _ReferencePaths(
                Service(
                    engine=engine(world),
                    providers={Provider.YOOKASSA: _YooKassa(world)},
                    notifier=_Telegram(world),
                    key_servers=_KeyServers(outside),
                )
            )

        return start


_TERMS = Contest(CONTEST, int(STARTS.timestamp()), int(ENDS.timestamp()), 30, {TARIFF: 1})


class _ReferencePaths:
    def __init__(self, service: Service) -> None:
        self.service = service

    async def webhook(self, order_id: str, _ordered_at: datetime | None) -> None:
        body = {"type": "notification", "event": "payment.succeeded", "object": {"id": f"pay-{order_id}"}}
        await self.service.payments_webhook(body)

    async def order_processed(self, order_id: str, _ordered_at: datetime) -> None:
        await self.service.order_processed(order_id)

    async def tick(self) -> None:
        await self.service.process_pending_paid_payments()
        await self.service.relay()
        await self.service.award_undecided_orders()

    async def open_contest(self) -> None:
        await self.service.open_contest(_TERMS)

    async def close_contest(self) -> None:
        await self.service.close_contest(CONTEST)


class _YooKassa:
    def __init__(self, world: World) -> None:
        self._world = world

    async def create(self, _request: Any) -> Any:
        raise AssertionError("nobody creates payments in this story: they are there when it begins")

    async def look_up(self, provider_payment_id: str) -> ProviderPayment | None:
        def paid() -> ProviderPayment:
            return ProviderPayment(ProviderStatus.SUCCEEDED, PRICE_MINOR, "RUB")

        return await self._world.call(f"yookassa GET {provider_payment_id}", paid)


class _Telegram:
    def __init__(self, world: World) -> None:
        self._world = world

    async def send(self, _user_id: int, _text: str, _reference: str) -> None:
        await self._world.call("telegram sendMessage", lambda: None)


class _KeyServers:
    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    async def put(self, _server_id: str, _subscription_id: str, _traffic_limit_mb: int) -> None:
        await self._outside.activate(0, "key")

    async def remove(self, _server_id: str, _subscription_id: str) -> None:
        raise AssertionError("nobody loses a key in this story")

    async def reset_traffic(self, _server_id: str, _subscription_id: str, _reference: str) -> None:
        return
