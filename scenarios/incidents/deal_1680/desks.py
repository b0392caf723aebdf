"""One sales desk in several versions: as deployed, with each of the proposed fixes, and the reference.

A scenario talks to a `Desk` and knows none of them. Each brings its own tables and its own code; what is
judged is what Stripe and the customer see, which is the same for all (`account`).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from reference import DealStatus, DealUpdate, PaymentKind, RefusedError, Service, metadata
from reference.clients.stripe import StripeSessions
from scenarios.incidents.deal_1680.account import DEAL, Account
from scenarios.incidents.deal_1680.deployed.database import DATABASE, Deal, deployed_schema
from scenarios.incidents.deal_1680.deployed.deployment import Deployment
from scenarios.incidents.deal_1680.deployed.entry_points import EntryPoints
from scenarios.incidents.deal_1680.deployed.second_payment_scheduler import SecondPaymentScheduler
from scenarios.incidents.deal_1680.deployed.session_creation import SessionCreation, rest_form
from scenarios.incidents.deal_1680.deployed.stripe_api import StripeApi
from scenarios.incidents.deal_1680.fixes.deterministic_key import CreatedUnderOneKey
from scenarios.incidents.deal_1680.fixes.lease_lock import CreatedUnderALease
from scenarios.incidents.deal_1680.fixes.option_1 import ExpiredCounts
from scenarios.incidents.deal_1680.fixes.option_2 import OneTaskPerDeal
from scenarios.incidents.deal_1680.fixes.option_3 import CreatedUnderALock, CreatedUnderALockAskingStripe
from scenarios.wiring import Remote, engine, open_async_connection
from simulator import Process, World

CUSTOMER = 7
DEPOSIT_MINOR = REST_MINOR = 50_000
CLOSES = datetime(2026, 1, 10, tzinfo=UTC)  # so the rest has been due since 2025-12-11
DEPOSIT_PAID = datetime(2025, 11, 20, tzinfo=UTC)


class Paths(Protocol):
    """The ways to a session, as a process of the shop runs them."""

    def hourly(self) -> Awaitable[Any]: ...
    def crm_webhook(self, deal_id: int) -> Awaitable[Any]: ...
    def new_link_by_hand(self, deal_id: int) -> Awaitable[Any]: ...
    def expired_sessions(self) -> Awaitable[Any]: ...
    def relay(self) -> Awaitable[Any]: ...


class Desk(Protocol):
    """A version of the desk.

    Attributes:
        name: as parameters of tests show it.
        webhook_url: where it listens to Stripe; None: it does not.
        has_a_relay: whether somebody comes back to what was not finished.
    """

    @property
    def name(self) -> str: ...

    @property
    def webhook_url(self) -> str | None: ...

    @property
    def has_a_relay(self) -> bool: ...

    def schema(self, engine: Any, /) -> Any:
        """Its tables, for either engine."""

    def stock(self, world: World) -> None:
        """Puts deal 1680 into the tables: its deposit is paid and its rest is due."""

    def process(self, world: World, account: Account) -> Callable[[Process], Awaitable[Paths]]:
        """The factory of its processes."""


# As deployed, and with the proposed fixes ---------------------------------------------------------------------------


class _DeployedPaths(EntryPoints):
    async def relay(self) -> None:
        """Not called: as deployed nothing is left to be done later, which is a part of the trouble."""


class DeployedDesk:
    """The desk as it was deployed, or with one of its two classes replaced.

    Args:
        name: see `Desk`.
        scheduler: the cron.
        creation: what makes a session.
    """

    webhook_url = None
    has_a_relay = False

    def __init__(
        self,
        name: str,
        *,
        scheduler: type[SecondPaymentScheduler] = SecondPaymentScheduler,
        creation: type[SessionCreation] = SessionCreation,
    ) -> None:
        self.name = name
        self._scheduler = scheduler
        self._creation = creation

    def schema(self, engine: Any) -> str:
        """The deployed tables."""
        return deployed_schema(engine)

    def stock(self, world: World) -> None:
        """Deal 1680, and the lock that one of the fixes takes."""
        self.due(world, DEAL)
        world.database.insert("cron_locks", name="rest", holder="", held_until=0)

    def stock_others(self, world: World, account: Account, count: int) -> None:
        """More deals whose rest is due; each has an open page already."""
        for deal_id in range(DEAL + 1, DEAL + 1 + count):
            self.due(world, deal_id)
            deal = Deal(deal_id, f"Deal {deal_id}", CUSTOMER, REST_MINOR, "eur")
            form = rest_form(deal)
            price = {"currency": deal.currency, "unit_amount": deal.rest_minor}
            account.stripe.sessions.create(
                {
                    "mode": form["mode"],
                    "success_url": form["success_url"],
                    "line_items": [{"price_data": price, "quantity": 1}],
                    "metadata": {"deal_id": str(deal_id), "payment_type": "rest"},
                }
            )

    def process(self, world: World, account: Account) -> Callable[[Process], Awaitable[Paths]]:
        """A process of the deployed application."""

        async def start(_process: Process) -> Paths:
            deployment = Deployment(
                open_async_connection(world), stripe=StripeApi(account.http()), notifier=account.remote
            )
            return _DeployedPaths(deployment, scheduler=self._scheduler, creation=self._creation)

        return start

    def due(self, world: World, deal_id: int, *, closes: datetime | None = None) -> None:
        """A deal whose deposit is paid; its rest is due a month before it closes."""
        world.database.insert(
            "deals",
            id=deal_id,
            title=f"Deal {deal_id}",
            user_id=CUSTOMER,
            rest_minor=REST_MINOR,
            currency="eur",
            close_date=int((closes or CLOSES).timestamp()),
        )
        world.database.insert(
            "payments",
            deal_id=deal_id,
            session_id=f"cs_test_deposit_{deal_id}",
            payment_type="deposit",
            status="paid",
            amount_minor=DEPOSIT_MINOR,
            notified=1,
            created_at=int(DEPOSIT_PAID.timestamp()),
        )


class DeskWithARefusedConnection(DeployedDesk):
    """As deployed, with a database that refuses one connection, later than at the first moment."""

    def process(self, world: World, account: Account) -> Callable[[Process], Awaitable[Paths]]:
        """A process whose n-th later connection is refused; which one is drawn, 0 is none."""
        refused = world.choose("the connection that is refused", range(4))
        opened = [0]
        really_open = open_async_connection(world)

        def open_connection(path: str) -> Any:
            opened[0] += world.clock.now_s > 0
            if 0 < refused == opened[0]:
                world.note("refused")
                raise ConnectionRefusedError(f"{DATABASE}: connection refused")
            return really_open(path)

        async def start(_process: Process) -> Paths:
            deployment = Deployment(open_connection, StripeApi(account.http()), account.remote)
            return _DeployedPaths(deployment)

        return start


# The reference -----------------------------------------------------------------------------------------------------


class ReferenceDesk:
    """The reference, behind the same door, with its real client for Stripe."""

    name = "reference"
    webhook_url = "https://shop.example.com/stripe"
    has_a_relay = True

    def schema(self, _engine: Any) -> Any:
        """The reference's own metadata: its constraints are part of what is judged."""
        return metadata

    def stock(self, world: World) -> None:
        """Deal 1680 as the flows leave it when its deposit has been paid."""
        insert, paid_at = world.database.insert, int(DEPOSIT_PAID.timestamp())
        insert("users", id=CUSTOMER)
        insert(
            "deals",
            id=DEAL,
            title=f"Deal {DEAL}",
            user_id=CUSTOMER,
            amount_minor=DEPOSIT_MINOR + REST_MINOR,
            close_date=int(CLOSES.timestamp()),
            schedule="50/50",
            created_at=paid_at,
            updated_at=paid_at,
        )
        insert(
            "session_claims",
            id=f"deposit:{DEAL}:g1",
            deal_id=DEAL,
            kind="deposit",
            generation=1,
            state="paid",
            amount_minor=DEPOSIT_MINOR,
            currency="EUR",
            expires_at=paid_at + 3600,
            idempotency_key=f"turnstile:deposit:{DEAL}:g1",
            request_body="",
            request_hash="",
            session_id="cs_test_deposit",
            received_minor=DEPOSIT_MINOR,
            received_currency="EUR",
            claimed_at=paid_at,
            closed_at=paid_at,
        )
        insert(
            "settlements",
            deal_id=DEAL,
            kind="deposit",
            session_id="cs_test_deposit",
            amount_minor=DEPOSIT_MINOR,
            currency="EUR",
            settled_at=paid_at,
        )

    def process(self, world: World, account: Account) -> Callable[[Process], Awaitable[Paths]]:
        """A process of the reference: production engine, production client, the simulator's connector and network."""

        async def start(_process: Process) -> Paths:
            return _ReferencePaths(
                Service(
                    engine=engine(world),
                    providers={},
                    notifier=_Bot(account.remote),
                    key_servers=_NoServers(),
                    checkout_sessions=StripeSessions(
                        "sk_test_deal_1680", transport=account.network.transport()
                    ),
                )
            )

        return start


class _ReferencePaths:
    def __init__(self, service: Service) -> None:
        self._service = service

    async def hourly(self) -> None:
        await self._service.offer_what_is_due()

    async def crm_webhook(self, deal_id: int) -> None:
        await self._service.crm_webhook(
            DealUpdate(
                id=deal_id,
                title=f"Deal {deal_id}",
                status=DealStatus.OPEN,
                user_id=CUSTOMER,
                amount_minor=DEPOSIT_MINOR + REST_MINOR,
                currency="EUR",
                close_date=int(CLOSES.timestamp()),
                version=2,
            )
        )

    async def new_link_by_hand(self, deal_id: int) -> None:
        await self._service.new_payment_link(deal_id, PaymentKind.REST, operator="anna")

    async def expired_sessions(self) -> None:
        await self._service.watch_sessions()

    async def relay(self) -> None:
        await self._service.work_checkout_inbox()
        await self._service.relay()

    async def __call__(self, _scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """The endpoint for Stripe's events. That a signature is checked in front of it is not this story's."""
        await self._service.stripe_webhook(json.loads((await receive())["body"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class _Bot:
    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    async def send(self, user_id: int, text: str, _reference: str) -> None:
        if not await self._remote.send_message(user_id, text):
            raise RefusedError("403: the customer has blocked the bot")


class _NoServers:
    """Nobody buys a subscription here."""

    async def put(self, _server_id: str, _subscription_id: str, _traffic_limit_mb: int) -> None:
        raise AssertionError("no key is made in this story")

    async def remove(self, _server_id: str, _subscription_id: str) -> None:
        raise AssertionError("no key is taken away in this story")

    async def reset_traffic(self, _server_id: str, _subscription_id: str, _reference: str) -> None:
        raise AssertionError("no traffic is reset in this story")


AS_DEPLOYED = DeployedDesk("as_deployed")
REFUSED_CONNECTION = DeskWithARefusedConnection("as_deployed")
OPTION_1 = DeployedDesk("option_1", scheduler=ExpiredCounts)
OPTION_2 = DeployedDesk("option_2", scheduler=OneTaskPerDeal)
OPTION_3 = DeployedDesk("option_3", creation=CreatedUnderALock)
OPTION_3_ASKING_STRIPE = DeployedDesk("option_3_asking_stripe", creation=CreatedUnderALockAskingStripe)
LEASE_LOCK = DeployedDesk("lease_lock", creation=CreatedUnderALease)
BARE_KEY = DeployedDesk("bare_key", creation=CreatedUnderOneKey)
REFERENCE = ReferenceDesk()
