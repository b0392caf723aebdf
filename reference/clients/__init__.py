"""The clients that speak the providers' real APIs, and the function that makes all of them for production.

Nothing here imports httpx or Stripe's SDK before a client is made: both need the extra `services`, which the reference
itself does not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reference.clients.settings import (
    ClientSettings,
    KeyServer,
    MobizonAccount,
    Patience,
    PlategaAccount,
    ResendAccount,
    StripeAccount,
    TelegramBot,
    YooKassaAccount,
)
from reference.model import Provider
from reference.ports import CheckoutSessions, KeyServers, Mailer, Notifier, PaymentProvider, SmsGateway

if TYPE_CHECKING:
    import httpx

__all__ = [
    "ClientSettings",
    "Clients",
    "KeyServer",
    "MobizonAccount",
    "Patience",
    "PlategaAccount",
    "ResendAccount",
    "StripeAccount",
    "TelegramBot",
    "YooKassaAccount",
    "make_clients",
    "open_clients",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """What `reference.Service` takes, under the same names: ``Service(engine=..., providers=clients.providers, ...)``.

    Args:
        providers: those that the settings name.
        notifier: Telegram; without a bot, one that fails each call with a LookupError.
        key_servers: the V2Ray servers; one that the settings do not name fails with a LookupError.
        checkout_sessions: Stripe.
        sms: Mobizon.
        mailer: Resend.
    """

    providers: Mapping[Provider, PaymentProvider]
    notifier: Notifier
    key_servers: KeyServers
    checkout_sessions: CheckoutSessions | None
    sms: SmsGateway | None
    mailer: Mailer | None
    _http: tuple[httpx.AsyncClient, ...] = field(repr=False)

    async def aclose(self) -> None:
        """Let the connections go."""
        for http in self._http:
            await http.aclose()


@asynccontextmanager
async def open_clients(
    settings: ClientSettings, *, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[Clients]:
    """All clients of a process, each with connections of its own, closed at the end; see `make_clients`."""
    clients = make_clients(settings, transport=transport)
    try:
        yield clients
    finally:
        await clients.aclose()


def make_clients(settings: ClientSettings, *, transport: httpx.AsyncBaseTransport | None = None) -> Clients:
    """All clients of a process; nothing is sent yet. They belong to one trio run, and `Clients.aclose` lets their connections go.

    Args:
        settings: who is called.
        transport: where requests go instead of the network: a simulated world, a test.

    Raises:
        ModuleNotFoundError: the extra `services` is not installed.
        ValueError: a call could outlive the lease that it is made under.
    """
    from reference.clients.http import new_http
    from reference.clients.mobizon import MobizonSms
    from reference.clients.platega import PlategaPayments
    from reference.clients.resend import ResendMail
    from reference.clients.servers import V2RayServers
    from reference.clients.telegram import TelegramNotices
    from reference.clients.yookassa import YooKassaPayments

    patience = settings.patience
    opened: list[httpx.AsyncClient] = []

    def http() -> httpx.AsyncClient:
        opened.append(new_http(patience, transport))
        return opened[-1]

    providers: dict[Provider, PaymentProvider] = {}
    if settings.yookassa is not None:
        providers[Provider.YOOKASSA] = YooKassaPayments(settings.yookassa, http(), patience=patience)
    if settings.platega is not None:
        providers[Provider.PLATEGA] = PlategaPayments(settings.platega, http(), patience=patience)
    telegram, mobizon, resend = settings.telegram, settings.mobizon, settings.resend
    return Clients(
        providers=providers,
        notifier=TelegramNotices(telegram, http(), patience=patience) if telegram is not None else _NoBot(),
        key_servers=V2RayServers(settings.key_servers, http(), patience=patience),
        checkout_sessions=_stripe(settings.stripe, http, patience) if settings.stripe is not None else None,
        sms=MobizonSms(mobizon, http(), patience=patience) if mobizon is not None else None,
        mailer=ResendMail(resend, http(), patience=patience) if resend is not None else None,
        _http=tuple(opened),
    )


def _stripe(
    account: StripeAccount, http: Callable[[], httpx.AsyncClient], patience: Patience
) -> CheckoutSessions:
    from reference.clients.stripe import StripeSessions  # imports the SDK: half a second

    return StripeSessions(account.api_key, http=http(), timeout_s=patience.total_s, api_base=account.base_url)


class _NoBot:
    async def send(self, user_id: int, _text: str, reference: str) -> None:
        raise LookupError(f"no Telegram bot in the settings; {reference} to {user_id} was not sent")
