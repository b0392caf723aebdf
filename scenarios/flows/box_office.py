"""A box office on ports: the reference's tickets among webhooks, a bot, a scheduler, a relay and operators, all over one database.

What was announced (terms, invitations) is kept here beside our tables, so that `scenarios.flows.ticket_claims` can work out
what each order is worth without asking the code that decides it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from reference import (
    ContestNotDecidedError,
    ContestTermsError,
    Provider,
    ProviderPayment,
    ProviderStatus,
    Service,
    Topic,
)
from reference.model_tickets import Contest
from scenarios.wiring import DATABASE_ERRORS, engine
from simulator import Cron, Operator, Process, Webhook, World
from simulator.actors import Actor

NOON = datetime(2026, 1, 8, 12, tzinfo=UTC)
NOON_S = int(NOON.timestamp())
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DAY_S, MONTH_S = 86_400, 30 * 86_400
FORGIVEN_S = 300  # an order may be dated so much later than its payment
REFERRER, BUYER, ANOTHER, VIP = 3, 7, 8, 11
TARIFF, YEARLY, UNNAMED = 1, 2, 3  # a contest gives nothing for the last one
PRICE_MINOR = 19_900
JANUARY = Contest("january", NOON_S - 7 * DAY_S, NOON_S + 24 * DAY_S, 14, {TARIFF: 5, YEARLY: 60})
BACK = ("refunded", "charged_back")

_offices: WeakKeyDictionary[World, BoxOffice] = WeakKeyDictionary()


def office_of(world: World) -> BoxOffice:
    """The box office of this execution, for claims."""
    return _offices[world]


class BoxOffice:
    """One in a world, at noon of 2026-01-08, with four users, a VIP and three tariffs.

    Attributes:
        announced: the terms of contests, as whoever opened them was told that they hold.
        invitations: who invited a friend, and when, by the friend.
        records: what the provider says of a payment.
        unanswered: orders of which the bot learned nothing although they were completed: their award had failed.
        drawn: how many tickets there were when winners were drawn; None as long as they were not.
        left_out: orders that were completed when the story began, and had no tickets at the draw.
    """

    def __init__(self, world: World) -> None:
        world.begin_at(NOON)
        _offices[world] = self
        self.world = world
        self.announced: list[Contest] = []
        self.invitations: dict[int, tuple[int, int]] = {}
        self.records: dict[str, ProviderPayment] = {}
        self.unanswered: list[str] = []
        self.drawn: int | None = None
        self.left_out: list[str] = []
        for user in (REFERRER, BUYER, ANOTHER, 9):
            world.database.insert("users", id=user)
        world.database.insert("users", id=VIP, vip=True)
        for tariff in (TARIFF, YEARLY, UNNAMED):
            world.database.insert("tariffs", id=tariff, price_minor=PRICE_MINOR, duration_sec=MONTH_S)

    # What there is when a story begins ---------------------------------------------------------------------------

    def has_contest(self, contest: Contest = JANUARY) -> None:
        """A contest that was opened before."""
        self.announced.append(contest)
        insert = self.world.database.insert
        insert(
            "contests",
            id=contest.id,
            starts_at=contest.starts_at,
            ends_at=contest.ends_at,
            attribution_window_days=contest.attribution_window_days,
        )
        for tariff, tickets in sorted(contest.tickets.items()):
            insert("contest_tickets", contest_id=contest.id, tariff_id=tariff, tickets=tickets)

    def has_invitation(
        self, *, referrer: int = REFERRER, friend: int = BUYER, bound_at: int = NOON_S - DAY_S
    ) -> None:
        """A friend who followed somebody's link."""
        self.invitations[friend] = (referrer, bound_at)
        self.world.database.insert(
            "user_referrals", referred_id=friend, referrer_id=referrer, bound_at=bound_at
        )

    def has_order(self, order_id: str, *, user: int = BUYER, tariff: int = TARIFF, **columns: Any) -> None:
        """An order whose money the provider has, and of which we do not know it."""
        self.records[order_id] = ProviderPayment(ProviderStatus.SUCCEEDED, PRICE_MINOR, "RUB")
        row = {
            "id": order_id,
            "create_key": f"tap:{order_id}",
            "provider": Provider.YOOKASSA.value,
            "provider_payment_id": order_id,
            "user_id": user,
            "tariff_id": tariff,
            "amount_minor": PRICE_MINOR,
            "duration_sec": MONTH_S,
            "created_at": NOON_S,
        }
        self.world.database.insert("payments", **{**row, **columns})

    def has_bought(
        self,
        order_id: str,
        *,
        user: int = BUYER,
        tariff: int = TARIFF,
        ordered_at: int = NOON_S - 60,
        completed_at: int = NOON_S - 30,
        imported: bool = False,
        status: str = "completed",
    ) -> None:
        """An order as `ensure` leaves it, its award's job due; or, imported, as another system did: without job and grant."""
        insert, subscription = self.world.database.insert, f"sub:{user}"
        sold = self.world.database.rows("SELECT id FROM subscriptions WHERE id = '" + subscription + "'")
        if not sold:
            times = {"expires_at": NOON_S + MONTH_S, "created_at": completed_at, "updated_at": completed_at}
            insert("subscriptions", id=subscription, user_id=user, token=f"token-{user}", **times)
        dates = {"created_at": ordered_at, "paid_at": completed_at, "completed_at": completed_at}
        self.has_order(
            order_id, user=user, tariff=tariff, status=status, subscription_id=subscription, **dates
        )
        if imported:
            return
        before = self.world.database.rows("SELECT grant_key FROM entitlement_grants")
        insert(
            "entitlement_grants",
            grant_key=f"pay:{order_id}",
            subscription_id=subscription,
            user_id=user,
            payment_id=order_id,
            kind="extension" if sold else "purchase",
            duration_sec=MONTH_S,
            granted_at=completed_at,
            seq=len(before) + 1,
        )
        job = {"created_at": completed_at, "next_at": completed_at}
        insert("outbox", dedupe_key=f"award:{order_id}", topic="award", payment_id=order_id, **job)

    def gives_back(self, order_id: str) -> None:
        """The provider's record says so from here on."""
        record = self.records[order_id]
        self.records[order_id] = ProviderPayment(
            ProviderStatus.REFUNDED, record.amount_minor, record.currency
        )

    def runs(self, name: str, *actors: Actor) -> None:
        """A process, started anew after each death."""
        self.world.process(name, start=self._start).run(*actors)

    async def _start(self, _process: Process) -> Service:
        return Service(
            engine=engine(self.world), providers={Provider.YOOKASSA: self}, notifier=self, key_servers=self
        )

    # What is not ours: the provider; Telegram and the key servers are asked for nothing in these stories ---------

    async def look_up(self, provider_payment_id: str) -> ProviderPayment | None:
        """What the provider has on record."""
        return await self.world.call(
            f"provider look-up {provider_payment_id}", lambda: self.records.get(provider_payment_id)
        )

    async def create(self, _request: Any) -> Any:
        """No story orders anything at the provider."""
        raise AssertionError("the orders are there when a story begins")

    async def send(self, _user_id: int, _text: str, _reference: str) -> None:
        """No story sends a notice."""
        raise AssertionError("the relay of these stories does no notices")

    async def put(self, *_given: Any) -> None:
        """No story makes a key."""
        raise AssertionError("the relay of these stories makes no keys")

    remove = reset_traffic = put


def tickets_given(world: World) -> int:
    """The sum of the ledger."""
    return int(world.database.rows("SELECT COALESCE(SUM(delta), 0) AS n FROM ticket_ledger")[0]["n"])


# Actors ------------------------------------------------------------------------------------------------------------


def webhook(
    order_id: str,
    *,
    event: str = "payment.succeeded",
    deliveries: int = 2,
    retries: int = 1,
    after: timedelta = timedelta(0),
) -> Actor:
    """YooKassa tells us, at the address of the ticket flow."""
    about = {"id": order_id} if event.startswith("payment.") else {"id": f"r-{order_id}"}
    body = {"type": "notification", "event": event, "object": {**about, "payment_id": order_id}}
    return Webhook(
        Service.payments_webhook,
        body,
        deliveries=deliveries,
        retries=retries,
        after=after,
        tolerates=DATABASE_ERRORS,
        name=f"{event} {order_id}",
    )


def processing(office: BoxOffice, order_id: str, *, after: timedelta = timedelta(0)) -> Actor:
    """The bot looks what became of an order, and would tell the buyer about tickets."""

    async def look(service: Service) -> None:
        if not await service.order_processed(order_id):
            office.unanswered.append(order_id)

    return operator(look, name=f"order {order_id}", after=after)


def relay(
    *, ticks: int = 2, every: timedelta = 10 * MINUTE, after: timedelta = timedelta(0), name: str = "relay"
) -> Actor:
    """The worker: the inbox, deliveries and awards."""

    async def work(service: Service) -> None:
        await service.work_inbox()
        await service.relay(topics=[Topic.ENSURE, Topic.AWARD])

    return Cron(work, every=every, ticks=ticks, after=after, tolerates=DATABASE_ERRORS, name=name)


def scheduler(*, ticks: int = 1, after: timedelta = timedelta(0)) -> Actor:
    """Every five minutes, whatever is undecided."""
    return Cron(
        Service.award_undecided_orders,
        every=5 * MINUTE,
        ticks=ticks,
        after=after,
        tolerates=DATABASE_ERRORS,
        name="scheduler",
    )


_LEFT_OUT = f"""
    SELECT id FROM payments p WHERE completed_at < {NOON_S}
    AND NOT EXISTS (SELECT 1 FROM ticket_ledger l WHERE l.order_id = p.id) ORDER BY id
"""


def opening(office: BoxOffice, contest: Contest, *, name: str, after: timedelta = timedelta(0)) -> Actor:
    """An operator opens a contest; unless it is refused, everybody is told of these terms."""

    async def opens(service: Service) -> None:
        await service.open_contest(contest)
        office.announced.append(contest)

    return operator(opens, name=name, after=after, tolerates=ContestTermsError)


def closing(office: BoxOffice, *, after: timedelta = timedelta(0), name: str = "closes and draws") -> Actor:
    """An operator closes January and draws the winners, unless it is refused."""

    async def closes(service: Service) -> None:
        await service.close_contest(JANUARY.id)
        if office.drawn is None:
            office.drawn = tickets_given(office.world)
            office.left_out = [row["id"] for row in office.world.database.rows(_LEFT_OUT)]

    return operator(closes, name=name, after=after, tolerates=ContestNotDecidedError)


def operator(
    does: Callable[[Service], Awaitable[Any]],
    *,
    name: str,
    after: timedelta = timedelta(0),
    tolerates: type[Exception] | None = None,
) -> Actor:
    """A person, or whatever happens once."""
    errors = DATABASE_ERRORS if tolerates is None else (*DATABASE_ERRORS, tolerates)
    return Operator(does, name=name, after=after, tolerates=errors)
