"""A sales desk to test in: the shop of the purchase flow with a Stripe that does as it is told, and a deal to be paid for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
import trio

from reference import (
    CheckoutSession,
    DealStatus,
    DealUpdate,
    PaymentKind,
    RefusedError,
    Service,
    SessionPage,
    SessionPayment,
    SessionRequest,
    SessionStatus,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Clock, Shop

    from reference import Offered

DAY = 86_400
HOUR = 3_600
DEAL = 1680
NOON = 1_767_355_200  # when the clock of a shop stands still


@dataclass
class Stripe:
    """An account: sessions, the answers that it keeps by key, and what goes wrong next.

    `before` and `after` are raised by the next calls of `create`, before or after the effect, in order; `broken` by every call of
    anything as long as it is set.
    """

    clock: Clock
    sessions: dict[str, CheckoutSession] = field(default_factory=dict)
    kept: dict[str, tuple[str, str]] = field(default_factory=dict)
    requests: list[SessionRequest] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    before: list[Exception] = field(default_factory=list)
    after: list[Exception] = field(default_factory=list)
    broken: Exception | None = None
    page_size: int = 2
    hold: trio.Event | None = None  # `create` waits here after its effect

    async def create(self, request: SessionRequest) -> CheckoutSession:
        self._called("create")
        self.requests.append(request)
        if self.before:
            raise self.before.pop(0)
        session = self._made(request)
        await trio.lowlevel.checkpoint()
        if self.hold is not None:
            await self.hold.wait()
        if self.after:
            raise self.after.pop(0)
        return session

    def _made(self, request: SessionRequest) -> CheckoutSession:
        if request.idempotency_key in self.kept:
            body, session_id = self.kept[request.idempotency_key]
            assert body == request.body, "the same key came with another body"
            # What is replayed is what was answered then.
            return replace(
                self.sessions[session_id], status=SessionStatus.OPEN, payment=SessionPayment.UNPAID
            )
        asked = {name: values[0] for name, values in parse_qs(request.body).items()}
        session = self.add(
            reference=asked["client_reference_id"],
            amount=int(asked["line_items[0][price_data][unit_amount]"]),
            currency=asked["line_items[0][price_data][currency]"].upper(),
            expires_at=int(asked["expires_at"]),
        )
        self.kept[request.idempotency_key] = (request.body, session.id)
        return session

    def add(
        self,
        *,
        reference: str | None,
        amount: int = 50_000,
        currency: str = "EUR",
        expires_at: int | None = None,
        created: int | None = None,
    ) -> CheckoutSession:
        """A session, made by whomever."""
        now = int(self.clock())
        name = f"cs_test_{len(self.sessions) + 1}"
        session = CheckoutSession(
            name,
            SessionStatus.OPEN,
            SessionPayment.UNPAID,
            amount,
            currency,
            reference,
            f"https://checkout.example/{name}",
            created if created is not None else now,
            expires_at if expires_at is not None else now + DAY,
        )
        self.sessions[name] = session
        return session

    async def retrieve(self, session_id: str) -> CheckoutSession | None:
        self._called(f"retrieve {session_id}")
        return self.sessions.get(session_id)

    async def list_created(self, since: int, until: int, *, starting_after: str | None = None) -> SessionPage:
        self._called(f"list {starting_after}")
        names = [name for name, one in self.sessions.items() if since <= one.created <= until][::-1]
        begin = names.index(starting_after) + 1 if starting_after is not None else 0
        page = names[begin : begin + self.page_size]
        more = begin + self.page_size < len(names)
        found = tuple(self.sessions[name] for name in page if self.sessions[name].reference)
        return SessionPage(found, page[-1] if more else None)

    async def expire(self, session_id: str) -> CheckoutSession:
        self._called(f"expire {session_id}")
        if self.sessions[session_id].status is not SessionStatus.OPEN:
            raise RefusedError('Only Checkout Sessions with a status in ["open"] can be expired.')
        return self.becomes(session_id, SessionStatus.EXPIRED)

    def becomes(
        self,
        session_id: str,
        status: SessionStatus,
        payment: SessionPayment = SessionPayment.UNPAID,
        **changes: Any,
    ) -> CheckoutSession:
        """What a customer, a bank or time does to a session."""
        url = self.sessions[session_id].url if status is SessionStatus.OPEN else None
        changed = replace(self.sessions[session_id], status=status, payment=payment, url=url, **changes)
        self.sessions[session_id] = changed
        return changed

    def open_pages(self) -> list[str]:
        """On which a customer can pay."""
        return [name for name, one in self.sessions.items() if one.status is SessionStatus.OPEN]

    def _called(self, call: str) -> None:
        self.calls.append(call)
        if self.broken is not None:
            raise self.broken


@dataclass
class Desk:
    """The service with a Stripe, and the few things that a test says about deals."""

    shop: Shop
    stripe: Stripe

    @property
    def service(self) -> Service:
        return self.shop.service

    @property
    def clock(self) -> Clock:
        return self.shop.clock

    def news(self, **changes: Any) -> DealUpdate:
        """What the CRM says: 1000 euros, closing in 60 days, unless the test says otherwise."""
        update = DealUpdate(DEAL, "Expo stand", DealStatus.OPEN, 7, 100_000, "EUR", NOON + 60 * DAY, 1)
        return replace(update, **changes)

    async def deal_with_deposit(self, **changes: Any) -> None:
        """A deal whose deposit is settled and whose rest is due."""
        await self.service.crm_webhook(self.news(**changes))
        await self.pays("deposit:1680:g1")
        await self.relay()
        self.clock.at += 31 * DAY

    async def pays(self, claim_id: str, **changes: Any) -> None:
        """The customer pays, and Stripe tells us."""
        session_id = await self.session_of(claim_id)
        self.stripe.becomes(session_id, SessionStatus.COMPLETE, SessionPayment.PAID, **changes)
        await self.tell("completed", session_id)

    async def tell(self, event: str, session_id: str, *, event_id: str = "evt_1") -> Any:
        """Deliver an event."""
        return await self.service.stripe_webhook(self.event(event, session_id, event_id=event_id))

    @staticmethod
    def event(event: str, session_id: str, *, event_id: str = "evt_1") -> dict[str, Any]:
        about = {"id": session_id, "object": "checkout.session"}
        return {"id": event_id, "type": f"checkout.session.{event}", "data": {"object": about}}

    async def session_of(self, claim_id: str) -> str:
        row = await self.shop.one("SELECT session_id FROM session_claims WHERE id = :id", id=claim_id)
        return str(row.session_id)

    async def offer(self, kind: PaymentKind = PaymentKind.REST) -> Offered:
        return await self.service.offer(DEAL, kind)

    async def new_link(self, operator: str = "anna") -> Offered:
        return await self.service.new_payment_link(DEAL, PaymentKind.REST, operator=operator)

    async def relay(self) -> None:
        """Do the jobs that are due now."""
        while await self.service.relay():
            pass

    async def relay_later(self, seconds: int = HOUR) -> None:
        self.clock.at += seconds
        await self.relay()

    async def claims(self, kind: str = "rest") -> list[tuple[int, str]]:
        """Generations and their states."""
        rows = await self.shop.rows(
            "SELECT generation, state FROM session_claims WHERE kind = :kind ORDER BY generation", kind=kind
        )
        return [(row.generation, row.state) for row in rows]

    async def attention(self) -> dict[str, str]:
        return {row.subject: row.why for row in await self.shop.rows("SELECT subject, why FROM attention")}

    async def at_once(self, *calls: Callable[[], Any]) -> list[Any]:
        """Run calls in tasks of their own; returns what they returned."""
        outcomes: list[Any] = []

        async def run(call: Callable[[], Any]) -> None:
            outcomes.append(await call())

        async with trio.open_nursery() as nursery:
            for call in calls:
                nursery.start_soon(run, call)
        return outcomes


def _desk(shop: Shop) -> Desk:
    stripe = Stripe(shop.clock)
    shop.service = replace(shop.service, checkout_sessions=stripe)
    return Desk(shop, stripe)


@pytest.fixture
async def desk(shop: Shop) -> Desk:
    """On SQLite, with a deal whose rest is due."""
    made = _desk(shop)
    await made.deal_with_deposit()
    return made


@pytest.fixture
async def postgresql_desk(postgresql_shop: Shop) -> Desk:
    """The same on PostgreSQL."""
    made = _desk(postgresql_shop)
    await made.deal_with_deposit()
    return made


@pytest.fixture(params=["desk", "postgresql_desk"], ids=["sqlite", "postgresql"])
def either_desk(request: pytest.FixtureRequest) -> Desk:
    """On each of the two databases in turn."""
    found: Desk = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def new_desk(shop: Shop) -> Desk:
    """On SQLite, without any deal."""
    return _desk(shop)


@pytest.fixture
def shop_without_stripe(desk: Desk) -> Desk:
    """A process that was put together without Stripe's client, on the same database."""
    desk.shop.service = replace(desk.shop.service, checkout_sessions=None)
    return desk
