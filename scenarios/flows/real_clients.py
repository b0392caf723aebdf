"""The reference as it runs in production, in a world: its HTTP door, its clients over httpx and Stripe's SDK, and the stand-ins.

Nothing between the service and the providers is written for the simulation: the clients' timeouts, repetitions and reading of
answers are under test as much as the flows.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from reference import Service
from reference.clients import (
    Clients,
    ClientSettings,
    KeyServer,
    MobizonAccount,
    PlategaAccount,
    ResendAccount,
    StripeAccount,
    TelegramBot,
    YooKassaAccount,
    make_clients,
)
from reference.http import HttpSettings, application
from reference.invariants import ALL
from scenarios.services import sdk  # noqa: F401 - Stripe's SDK is imported and looks at this machine now, outside of every world
from scenarios.services.in_world import carry, unix_clock, wake
from scenarios.services.mobizon import Mobizon
from scenarios.services.platega import Platega
from scenarios.services.resend import Resend
from scenarios.services.servers import KeyServer as KeyServerStandIn
from scenarios.services.stripe import Stripe
from scenarios.services.telegram import Telegram
from scenarios.services.yookassa import SOURCE, YooKassa
from scenarios.wiring import DATABASE_ERRORS, engine
from simulator import Cron, Process, World
from simulator.network import Network
from simulator.network_http import HttpRequest, HttpResponse, NoReplyError, UnreachableError

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
STAFF = -100
BUYER = 7
TAPS_MAX = 4  # so often somebody tries who got no answer
MINUTE = timedelta(minutes=1)
ALWAYS = [invariant for invariant in ALL if invariant.when == "always"]
EVENTUALLY = [invariant for invariant in ALL if invariant.when == "eventually"]
DOOR = HttpSettings(
    bot_token="bot-token-of-32-characters-00000",
    crm_token="crm-token-of-32-characters-00000",
    stripe_secrets=("whsec_test",),
    platega_merchant_id="merchant-1",
    platega_secret="secret-1",
    mobizon_secret="mobizon-secret",
)
CLIENTS = ClientSettings(
    yookassa=YooKassaAccount(shop_id="100500", secret_key="test_key"),
    platega=PlategaAccount(merchant_id="merchant-1", secret="secret-1"),
    stripe=StripeAccount(api_key="sk_test_turnstile"),
    mobizon=MobizonAccount(api_key="test"),
    resend=ResendAccount(api_key="re_test", sender="shop@example.com"),
    telegram=TelegramBot(token="1:test"),
    key_servers={"nl-1": KeyServer(base_url="https://nl-1.example.com", token="test")},
)
_SHOP = "https://shop.example.com"
_TOWNS: WeakKeyDictionary[World, Town] = WeakKeyDictionary()


class Town:
    """One shop and everybody around it.

    Attributes:
        network: for faults: ``yookassa``, ``platega``, ``stripe``, ``mobizon``, ``resend``, ``telegram``, ``nl-1``.
        api: serves HTTP.
        worker: does the work; what it runs is the scenario's business.
    """

    def __init__(
        self,
        world: World,
        *,
        mobizon_lag_s: float = 0.0,
        changed: Callable[[Clients], Clients] = lambda clients: clients,
    ) -> None:
        """Build it.

        Args:
            world: a new one.
            mobizon_lag_s: how far Mobizon's lists lag behind.
            changed: puts something else in a client's place: an ablation.
        """
        world.begin_at(NOON)
        _TOWNS[world] = self
        self._world = world
        self._changed = changed
        clock = unix_clock(world)
        self.network = network = Network(world)
        self.yookassa = YooKassa(clock, notify_url=f"{_SHOP}/yookassa/webhook")
        self.platega = Platega(clock, callback_url=f"{_SHOP}/platega/webhook")
        self.stripe = Stripe(clock, webhook_url=f"{_SHOP}/stripe/webhook", work=network.pause)
        self.mobizon = Mobizon(
            clock,
            report_url=f"{_SHOP}/mobizon/webhook",
            report_secret="mobizon-secret",
            lag_s=mobizon_lag_s,
        )
        self.resend = Resend(clock)
        self.telegram = Telegram(clock)
        self.server = KeyServerStandIn(clock)
        for host, service, name in (
            ("api.yookassa.ru", self.yookassa, "yookassa"),
            ("app.platega.io", self.platega, "platega"),
            ("api.stripe.com", self.stripe, "stripe"),
            ("api.mobizon.kz", self.mobizon, "mobizon"),
            ("api.resend.com", self.resend, "resend"),
            ("api.telegram.org", self.telegram, "telegram"),
            ("nl-1.example.com", self.server, "nl-1"),
        ):
            network.serve(host, service, name=name)
            wake(world, service)
        self.api = world.process("api", self._serve)
        self.worker = world.process("worker", self.work)
        for name, deliveries, client in (
            ("yookassa", self.yookassa.payments.deliveries, SOURCE),
            ("platega", self.platega.deliveries, "192.0.2.1"),
            ("stripe", self.stripe.webhooks.deliveries, "192.0.2.1"),
            ("mobizon", self.mobizon.reports, "192.0.2.1"),
        ):
            carry(
                world,
                network,
                deliveries,
                self.api,
                name=f"{name} webhook",
                client=client,
                tolerates=DATABASE_ERRORS,
            )
        world.database.insert("servers", id="nl-1")

    async def work(self, _process: Process) -> Service:
        """The factory of a worker."""
        clients = self._changed(make_clients(CLIENTS, transport=self.network.transport()))
        return Service(
            engine=engine(self._world),
            providers=clients.providers,
            notifier=clients.notifier,
            key_servers=clients.key_servers,
            checkout_sessions=clients.checkout_sessions,
            return_url=f"{_SHOP}/thanks",
            sms=clients.sms,
            mailer=clients.mailer,
            alerts_chat=STAFF,
        )

    async def _serve(self, process: Process) -> Any:
        return application(await self.work(process), DOOR)

    async def ask(
        self, path: str, body: Any, *, token: str = "", headers: tuple[tuple[str, str], ...] = ()
    ) -> HttpResponse | None:
        """Somebody outside POSTs to the shop; None when no answer came within half a minute."""
        sent = [("content-type", "application/json"), *headers]
        if token:
            sent.append(("authorization", f"Bearer {token}"))
        request = HttpRequest("POST", path, headers=tuple(sent), body=json.dumps(body).encode())
        try:
            return await self.network.deliver(
                self.api, request, name="visitor", tolerates=DATABASE_ERRORS, timeout_s=30
            )
        except (NoReplyError, UnreachableError):
            return None


def town_of(world: World) -> Town:
    """The town that a scenario has built in its world, for claims about what providers saw."""
    return _TOWNS[world]


def turns(
    program: Callable[..., Awaitable[Any]], *, after: timedelta, every: timedelta, ticks: int, name: str
) -> Cron:
    """A worker's clock; a database that was locked costs a turn."""
    return Cron(program, after=after, every=every, ticks=ticks, tolerates=DATABASE_ERRORS, name=name)


def an_answer_was_lost_and_asked_for_again(world: World) -> str | None:
    """Reached when a provider was asked for the same thing twice."""
    town = town_of(world)
    for service in (town.yookassa, town.stripe, town.resend):
        keys = [
            one.headers.get("idempotence-key", one.headers.get("idempotency-key"))
            for one in service.arrived
            if one.method == "POST"
        ]
        if len(keys) > len(set(keys)):
            return "asked twice under one key"
    return None
