"""The real clients in front of the stand-ins, in one process and without a network; time jumps whenever everybody waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

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
from reference.model import Provider
from reference.ports import PaymentRequest, SessionRequest
from scenarios.services.mobizon import Mobizon
from scenarios.services.platega import Platega
from scenarios.services.plumbing import Service
from scenarios.services.resend import Resend
from scenarios.services.servers import KeyServer as KeyServerStandIn
from scenarios.services.stripe import Stripe
from scenarios.services.telegram import Telegram
from scenarios.services.yookassa import YooKassa

httpx = pytest.importorskip("httpx", reason='pip install "turnstile[services]"')
pytest.importorskip("stripe", reason='pip install "turnstile[services]"')

NOW = 1_767_355_200.0  # 2026-01-02 12:00:00 UTC
SECRETS = {
    "yookassa": "live_yookassa",
    "platega": "platega-secret",
    "stripe": "sk_test_secret",
    "mobizon": "mobizon-secret",
    "resend": "re_secret",
    "telegram": "7:telegram-secret",
    "nl-1": "server-secret",
}
SALE = (
    '{"amount_minor": 19950, "currency": "RUB", "metadata": {"payment_id": "p-1"}, '
    '"return_url": "https://shop.example.com/back", "user_id": 7}'
)
PAYMENT = PaymentRequest("p-1", SALE)
SESSION = SessionRequest(
    "turnstile:rest:1680:g1",
    "mode=payment&client_reference_id=rest%3A1680%3Ag1&success_url=https%3A%2F%2Fshop.example.com&line_items[0][quantity]=1"
    "&line_items[0][price_data][currency]=eur&line_items[0][price_data][unit_amount]=50000"
    "&line_items[0][price_data][product_data][name]=rest&expires_at=1767438000",
)
SETTINGS = ClientSettings(
    yookassa=YooKassaAccount(
        shop_id="100500", secret_key=SECRETS["yookassa"], base_url="https://yookassa.test"
    ),
    platega=PlategaAccount(merchant_id="m-1", secret=SECRETS["platega"], base_url="https://platega.test"),
    stripe=StripeAccount(api_key=SECRETS["stripe"], base_url="https://stripe.test"),
    mobizon=MobizonAccount(api_key=SECRETS["mobizon"], sender="Shop", base_url="https://mobizon.test"),
    resend=ResendAccount(
        api_key=SECRETS["resend"], sender="shop@example.com", base_url="https://resend.test"
    ),
    telegram=TelegramBot(token=SECRETS["telegram"], base_url="https://telegram.test"),
    key_servers={"nl-1": KeyServer(base_url="https://nl-1.test", token=SECRETS["nl-1"])},
)


class Hosts(httpx.AsyncBaseTransport):
    """Hands each request to the service that is called like its host's first part; keeps what went by."""

    def __init__(self, services: dict[str, Any]) -> None:
        self._transports = {name: httpx.ASGITransport(app=app) for name, app in services.items()}
        self.requests: list[Any] = []

    async def handle_async_request(self, request: Any) -> Any:
        self.requests.append(request)
        return await self._transports[request.url.host.partition(".")[0]].handle_async_request(request)


@dataclass
class Around:
    """Everybody whom we call, and the clients that call them."""

    yookassa: YooKassa
    platega: Platega
    stripe: Stripe
    mobizon: Mobizon
    resend: Resend
    telegram: Telegram
    server: KeyServerStandIn
    now: list[float]

    def __post_init__(self) -> None:
        self.services: dict[str, Service] = {
            "yookassa": self.yookassa,
            "platega": self.platega,
            "stripe": self.stripe,
            "mobizon": self.mobizon,
            "resend": self.resend,
            "telegram": self.telegram,
            "nl-1": self.server,
        }
        self.hosts = Hosts(self.services)

    def clients(self, settings: ClientSettings = SETTINGS, **changes: Any) -> Clients:
        return make_clients(replace(settings, **changes), transport=self.hosts)


@pytest.fixture
def around() -> Around:
    """Stand-ins with our accounts."""
    now = [NOW]

    def clock() -> float:
        return now[0]

    return Around(
        YooKassa(clock, account=("100500", SECRETS["yookassa"])),
        Platega(clock, account=("m-1", SECRETS["platega"])),
        Stripe(clock),
        Mobizon(clock, api_key=SECRETS["mobizon"]),
        Resend(clock, api_key=SECRETS["resend"]),
        Telegram(clock, bot=SECRETS["telegram"]),
        KeyServerStandIn(clock, bearer=SECRETS["nl-1"]),
        now,
    )


@dataclass(frozen=True)
class Call:
    """One of our calls.

    Attributes:
        of: which provider.
        make: makes the call.
        effects: how often it has had its effect; None for a read.
        repeatable: whether a client may make it again by itself.
    """

    of: str
    make: Callable[[Clients], Awaitable[Any]]
    effects: Callable[[Around], int] | None
    repeatable: bool


async def _find(clients: Clients) -> Any:
    assert clients.sms is not None
    return await clients.sms.find("77010000000", "Your result", int(NOW) - 60, int(NOW) + 60)


async def _sms(clients: Clients) -> Any:
    assert clients.sms is not None
    return await clients.sms.send("77010000000", "Your result", "lead-1:sms")


async def _mail(clients: Clients) -> Any:
    assert clients.mailer is not None
    return await clients.mailer.send("ann@example.com", "Your result", "Here it is", "lead-1:email")


async def _session(clients: Clients) -> Any:
    assert clients.checkout_sessions is not None
    return await clients.checkout_sessions.create(SESSION)


CALLS = {
    "yookassa create": Call(
        "yookassa",
        lambda clients: clients.providers[Provider.YOOKASSA].create(PAYMENT),
        lambda around: len(around.yookassa.payments.all),
        True,
    ),
    "yookassa look_up": Call(
        "yookassa", lambda clients: clients.providers[Provider.YOOKASSA].look_up("none"), None, True
    ),
    "platega create": Call(
        "platega",
        lambda clients: clients.providers[Provider.PLATEGA].create(PAYMENT),
        lambda around: len(around.platega.transactions),
        False,
    ),
    "platega look_up": Call(
        "platega", lambda clients: clients.providers[Provider.PLATEGA].look_up("none"), None, True
    ),
    "mobizon send": Call("mobizon", _sms, lambda around: len(around.mobizon.accepted), False),
    "mobizon find": Call("mobizon", _find, None, True),
    "resend send": Call("resend", _mail, lambda around: len(around.resend.accepted), True),
    "telegram send": Call(
        "telegram",
        lambda clients: clients.notifier.send(7, "Paid until tomorrow", "notice:p-1"),
        lambda around: len(around.telegram.sent),
        False,
    ),
    "server put": Call(
        "nl-1",
        lambda clients: clients.key_servers.put("nl-1", "s-1", 1000),
        lambda around: len(around.server.keys),
        True,
    ),
    "server remove": Call("nl-1", lambda clients: clients.key_servers.remove("nl-1", "s-1"), None, True),
    # Not repeated by the client: the outbox does that (`reference.clients.stripe`), with the same key.
    "stripe create": Call("stripe", _session, lambda around: len(around.stripe.sessions.all), False),
}
