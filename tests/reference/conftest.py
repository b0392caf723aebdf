"""A shop to test in: the service on a real database, with stand-ins for what lies outside it that do as they are told."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
import trio
from sqlalchemy import text

import reference
from reference import Offer, Provider, ProviderPayment, ProviderStatus, Service, TariffKind
from reference.model_tickets import Contest
from reference.ports import SmsReceipt, SmsRecord
from reference.storage import schema

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from sqlalchemy import Row

    from reference import CreatedPayment, Invariant, PaymentRequest, TrioEngine

DAY = 86_400
NOON = 1_767_355_200  # 2026-01-02 12:00:00 UTC
STAFF = -100


@dataclass
class Clock:
    """Stands still until it is told otherwise."""

    at: float = NOON

    def __call__(self) -> float:
        return self.at


@dataclass
class Till:
    """A payment provider whose records the test writes."""

    records: dict[str, ProviderPayment] = field(default_factory=dict)
    requests: list[PaymentRequest] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)
    broken: Exception | None = None
    silent_for: int = 0  # so many questions are answered with "pending" first

    async def create(self, request: PaymentRequest) -> CreatedPayment:
        self.requests.append(request)
        if self.broken:
            raise self.broken
        return reference.CreatedPayment(
            f"remote-{request.idempotence_key}", f"https://pay.example/{request.idempotence_key}"
        )

    async def look_up(self, provider_payment_id: str) -> ProviderPayment | None:
        self.looked_up.append(provider_payment_id)
        if self.broken:
            raise self.broken
        record = self.records.get(provider_payment_id)
        if record is not None and len(self.looked_up) <= self.silent_for:
            return replace(record, status=ProviderStatus.PENDING)
        return record


@dataclass
class Telegram:
    """Counts what it accepts, and fails as long as it is told to."""

    sent: list[tuple[int, str, str]] = field(default_factory=list)
    broken: Exception | None = None
    accepts_then_breaks: bool = False

    async def send(self, user_id: int, text: str, reference: str) -> None:
        if self.broken and not self.accepts_then_breaks:
            raise self.broken
        self.sent.append((user_id, text, reference))
        if self.broken:
            raise self.broken


@dataclass
class Servers:
    """Key servers, some of which may be down."""

    calls: list[tuple[str, ...]] = field(default_factory=list)
    keys: dict[tuple[str, str], int] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)

    def _called(self, *call: str) -> None:
        self.calls.append(call)
        if call[1] in self.down:
            raise ConnectionError(f"{call[1]} is down")

    async def put(self, server_id: str, subscription_id: str, traffic_limit_mb: int) -> None:
        self._called("put", server_id, subscription_id)
        self.keys[server_id, subscription_id] = traffic_limit_mb

    async def remove(self, server_id: str, subscription_id: str) -> None:
        self._called("remove", server_id, subscription_id)
        self.keys.pop((server_id, subscription_id), None)

    async def reset_traffic(self, server_id: str, subscription_id: str, reference: str) -> None:
        self._called("reset", server_id, subscription_id, reference)


@dataclass
class Mobizon:
    """An SMS gateway: no keys, every call that it takes is an SMS; its list can be hidden, or out of order."""

    clock: Clock
    taken: list[SmsRecord] = field(default_factory=list)
    broken: Exception | None = None
    accepts_then_breaks: bool = False
    list_broken: Exception | None = None
    hidden: bool = False  # the index lags
    looked_up: int = 0
    before_taking: Callable[[], Awaitable[None]] | None = None

    async def send(self, recipient: str, text: str, reference: str) -> SmsReceipt:
        if self.before_taking is not None:
            await self.before_taking()
        if self.broken and not self.accepts_then_breaks:
            raise self.broken
        record = SmsRecord(f"sms-{len(self.taken) + 1}", recipient, text, reference, int(self.clock.at))
        self.taken.append(record)
        if self.broken:
            raise self.broken
        return SmsReceipt(record.message_id)

    async def find(self, recipient: str, text: str, since: int, until: int) -> list[SmsRecord]:
        self.looked_up += 1
        if self.list_broken:
            raise self.list_broken
        return [
            record
            for record in self.taken
            if recipient in record.recipient and record.text == text and since <= record.accepted_at <= until
        ] * (not self.hidden)


@dataclass
class Resend:
    """A mailer that knows its keys for a day."""

    clock: Clock
    keys: dict[str, tuple[str, float, tuple[str, ...]]] = field(default_factory=dict)
    mails: list[tuple[str, str]] = field(default_factory=list)
    calls: int = 0
    broken: Exception | None = None
    accepts_then_breaks: bool = False

    async def send(self, to: str, subject: str, body: str, key: str) -> str:
        self.calls += 1
        if self.broken and not self.accepts_then_breaks:
            raise self.broken
        known = self.keys.get(key)
        if known is not None and self.clock.at - known[1] >= DAY:
            known = None
        if known is None:
            self.mails.append((to, body))
            known = self.keys[key] = (f"mail-{len(self.mails)}", self.clock.at, (to, subject, body))
        assert known[2] == (to, subject, body), "the same key with another mail"
        if self.broken:
            raise self.broken
        return known[0]


@dataclass
class Shop:
    """The service, what surrounds it, and the few things that a test says about them."""

    service: Service
    clock: Clock
    yookassa: Till
    platega: Till
    telegram: Telegram
    servers: Servers
    mobizon: Mobizon
    resend: Resend

    @property
    def engine(self) -> TrioEngine:
        return self.service.engine

    async def stock(self, *servers: str) -> None:
        """Put a 30-day, a yearly and a free tariff on the shelf, and some servers in the rack."""
        shelf = [
            {
                "id": 1,
                "kind": "paid",
                "price_minor": 19_900,
                "duration_sec": 30 * DAY,
                "traffic_limit_mb": 100_000,
            },
            {
                "id": 2,
                "kind": "paid",
                "price_minor": 199_000,
                "duration_sec": 365 * DAY,
                "traffic_limit_mb": 0,
            },
            {
                "id": 3,
                "kind": TariffKind.FREE.value,
                "price_minor": 0,
                "duration_sec": 3 * DAY,
                "traffic_limit_mb": 1_000,
            },
        ]
        async with self.engine.begin() as connection:
            for tariff in shelf:
                await connection.execute(schema.tariffs.insert(), tariff)
            for server in servers:
                await connection.execute(schema.servers.insert(), {"id": server, "active": True})

    async def order(
        self, key: str = "tap", *, user: int = 7, tariff: int = 1, provider: Provider = Provider.YOOKASSA
    ) -> str:
        """Have a buyer press the button; returns the payment's id."""
        offer = Offer(create_key=key, user_id=user, tariff_id=tariff, provider=provider)
        return (await self.service.create_payment(offer)).id

    def pays(
        self,
        payment: str,
        *,
        amount: int = 19_900,
        currency: str = "RUB",
        status: ProviderStatus = ProviderStatus.SUCCEEDED,
    ) -> dict[str, Any]:
        """Have the buyer pay at YooKassa; returns the notification that this causes."""
        remote = f"remote-{payment}"
        self.yookassa.records[remote] = ProviderPayment(status, amount, currency, payment)
        return {
            "type": "notification",
            "event": f"payment.{status}",
            "object": {"id": remote, "status": status.value},
        }

    async def paid(self, key: str = "tap", *, user: int = 7, tariff: int = 1) -> str:
        """An order whose payment is confirmed and nothing else: status PAID."""
        payment = await self.order(key, user=user, tariff=tariff)
        amount = (await self.one("SELECT amount_minor FROM payments WHERE id = :p", p=payment)).amount_minor
        self.pays(payment, amount=amount)
        await reference.flows.payments.confirm(
            self.service, await reference.flows.payments.get(self.service, payment)
        )
        return payment

    async def bought(self, key: str = "tap", *, user: int = 7, tariff: int = 1) -> str:
        """An order that went all the way."""
        payment = await self.paid(key, user=user, tariff=tariff)
        await self.service.ensure(payment)
        return payment

    async def contest(
        self,
        name: str = "january",
        *,
        starts_at: int = NOON - DAY,
        ends_at: int = NOON + 30 * DAY,
        window_days: int = 30,
        tickets: Mapping[int, int] | None = None,
    ) -> Contest:
        """Open a contest that gives 5 tickets for a month and 60 for a year; returns its terms."""
        terms = Contest(name, starts_at, ends_at, window_days, {1: 5, 2: 60} if tickets is None else tickets)
        await self.service.open_contest(terms)
        return terms

    async def rows(self, sql: str, **parameters: Any) -> Sequence[Row[Any]]:
        async with self.engine.snapshot() as connection:
            return (await connection.execute(text(sql), parameters)).all()

    async def one(self, sql: str, **parameters: Any) -> Row[Any]:
        (row,) = await self.rows(sql, **parameters)
        return row

    async def write(self, sql: str, **parameters: Any) -> None:
        """Do by hand what no flow would do."""
        async with self.engine.begin() as connection:
            await connection.execute(text(sql), parameters)

    async def status(self, payment: str) -> str:
        return str((await self.one("SELECT status FROM payments WHERE id = :p", p=payment)).status)

    async def expires_at(self, user: int = 7) -> int:
        return int(
            (
                await self.one(
                    "SELECT expires_at FROM subscriptions WHERE user_id = :u AND is_active", u=user
                )
            ).expires_at
        )

    async def broken_claims(self, *invariants: Invariant) -> dict[str, list[dict[str, Any]]]:
        """The invariants that do not hold, with the rows that break them; all of them unless some are named."""
        found = {}
        for invariant in invariants or reference.ALL:
            rows = [dict(row._mapping) for row in await self.rows(invariant.sql)]
            if rows:
                found[invariant.name] = rows
        return found


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the reference's tables, to be copied: creating them takes longer than most tests."""
    path = tmp_path_factory.mktemp("reference") / "empty.db"
    trio.run(reference.create_tables, reference.open_engine(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture
def sqlite_engine(empty_file: Path, tmp_path: Path) -> TrioEngine:
    """The reference's tables in a new SQLite file."""
    path = shutil.copy(empty_file, tmp_path / "reference.db")
    return reference.open_engine(f"sqlite+aiosqlite:///{path}")


@pytest.fixture(scope="session")
def postgresql_tables(postgresql_url: str) -> str:
    """A PostgreSQL database with the reference's tables."""
    trio.run(reference.create_tables, reference.open_engine(postgresql_url))
    return postgresql_url


@pytest.fixture
async def postgresql_engine(postgresql_tables: str) -> TrioEngine:
    """The reference's tables on PostgreSQL, empty."""
    engine = reference.open_engine(postgresql_tables)
    async with engine.begin() as connection:
        await connection.execute(text(f"TRUNCATE {', '.join(reference.metadata.tables)}"))
    return engine


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> TrioEngine:
    """Each of the two databases in turn."""
    found: TrioEngine = request.getfixturevalue(f"{request.param}_engine")
    return found


def _shop(engine: TrioEngine) -> Shop:
    clock, yookassa, platega, telegram, servers = Clock(), Till(), Till(), Telegram(), Servers()
    providers = {Provider.YOOKASSA: yookassa, Provider.PLATEGA: platega}
    mobizon, resend = Mobizon(clock), Resend(clock)
    service = Service(
        engine=engine,
        providers=providers,
        notifier=telegram,
        key_servers=servers,
        clock=clock,
        sms=mobizon,
        mailer=resend,
        alerts_chat=STAFF,
    )
    return Shop(service, clock, yookassa, platega, telegram, servers, mobizon, resend)


@pytest.fixture
async def shop(sqlite_engine: TrioEngine) -> Shop:
    """A stocked shop on SQLite, with one server."""
    made = _shop(sqlite_engine)
    await made.stock("nl-1")
    return made


@pytest.fixture
def synchronous_shop(sqlite_engine: TrioEngine) -> Shop:
    """The same for tests that run trio themselves, again and again."""
    made = _shop(sqlite_engine)
    trio.run(made.stock, "nl-1")
    return made


@pytest.fixture
async def postgresql_shop(postgresql_engine: TrioEngine) -> Shop:
    """The same on PostgreSQL."""
    made = _shop(postgresql_engine)
    await made.stock("nl-1")
    return made


@pytest.fixture(params=["shop", "postgresql_shop"], ids=["sqlite", "postgresql"])
def either_shop(request: pytest.FixtureRequest) -> Shop:
    """A shop on each of the two databases in turn."""
    found: Shop = request.getfixturevalue(request.param)
    return found
