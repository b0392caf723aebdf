"""Serves all stand-ins on loopback ports, in real time, in this process: for `reference demo`, the load run, and for curl.

The same applications as in a world. What a world draws by name is thrown here (`chances`), what it carries by its own clock is
carried by `couriers`, and customers are methods of `Control`, which is served as well.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from reference.clients.settings import (
    ClientSettings,
    MobizonAccount,
    Patience,
    PlategaAccount,
    ResendAccount,
    StripeAccount,
    TelegramBot,
    YooKassaAccount,
)
from reference.clients.settings import KeyServer as KeyServerAddress
from scenarios.services import mobizon_reports, platega, stripe_webhooks, yookassa, yookassa_payments
from scenarios.services.chances import Chances, Rates
from scenarios.services.control import Control
from scenarios.services.couriers import Courier
from scenarios.services.mobizon import Mobizon
from scenarios.services.plumbing import Service
from scenarios.services.resend import Resend
from scenarios.services.servers import KeyServer
from scenarios.services.stripe import Stripe
from scenarios.services.telegram import Telegram

STRIPE_SECRET = "whsec_loopback"  # noqa: S105 - made up
MOBIZON_SECRET = "mobizon-report"  # noqa: S105 - made up
_TICK_S = 1.0
_PATHS = {name: f"/{name}/webhook" for name in ("yookassa", "platega", "stripe", "mobizon")}


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIns:
    """Everybody around the service, as long as they are served.

    Attributes:
        urls: base URLs, by provider's name; key servers by their id; ``control``.
        settings: for the clients of the service under test. What its door needs besides: `STRIPE_SECRET` and `MOBIZON_SECRET`
            sign, Platega's callbacks carry its account, and YooKassa's notifications say in ``X-Forwarded-For`` that they come from
            one of its published addresses, so loopback must be a trusted proxy.
        control: what customers do.
        chances: what goes wrong.
        couriers: by provider's name; `Courier.answers` counts what our service said.
    """

    urls: Mapping[str, str]
    settings: ClientSettings
    control: Control
    chances: Chances
    couriers: Mapping[str, Courier]
    yookassa: yookassa.YooKassa
    platega: platega.Platega
    stripe: Stripe
    mobizon: Mobizon
    resend: Resend
    telegram: Telegram
    servers: Mapping[str, KeyServer]


@asynccontextmanager
async def stand_ins(
    *,
    service_url: str,
    rates: Rates | None = None,
    seed: int = 0,
    servers: Sequence[str] = ("nl-1",),
    ladder_scale: float = 1.0,
    work_s: float = 0.0,
    reports_after_s: float | None = 1.0,
    ports: Mapping[str, int] | None = None,
) -> AsyncIterator[StandIns]:
    """Serves them until the block is left.

    Args:
        service_url: of the service under test, to which webhooks go; it need not be there yet.
        rates: what goes wrong, and how often; nothing by default.
        seed: of the dice, which are thrown in the order in which requests arrive.
        servers: ids of the key servers.
        ladder_scale: by which the pauses between the tries of a webhook are multiplied; 0.01 makes five minutes three seconds.
        work_s: how long a request under an idempotency key is at work, up to.
        reports_after_s: when an SMS is delivered; None: never.
        ports: on which to listen, by the names of `StandIns.urls`; those that are not named get a free one.

    Raises:
        OSError: a port is taken.
    """
    chances = Chances(rates or Rates(), seed=seed)
    made = _make(service_url.rstrip("/"), chances, random.Random(seed + 1), servers, ladder_scale, work_s)
    services = made.services()
    for name, service in services.items():
        if name != "control":
            service.fault_of = chances.fault_of
    http = httpx.AsyncClient(
        trust_env=False,
        verify=False,  # noqa: S501 - plain HTTP on loopback, and reading the machine's certificates takes a while
        limits=httpx.Limits(max_connections=None),
    )
    couriers = made.couriers(http)
    async with http, trio.open_nursery() as nursery:
        urls = {
            name: await _serve(nursery, service, (ports or {}).get(name, 0))
            for name, service in services.items()
        }
        for courier in couriers.values():
            nursery.start_soon(courier.run)
        nursery.start_soon(_tick, list(services.values()))
        if reports_after_s is not None:
            nursery.start_soon(_deliver_sms, made.mobizon, reports_after_s)
        yield StandIns(
            urls=urls,
            settings=_settings(urls, made.servers),
            control=made.control,
            chances=chances,
            couriers=couriers,
            yookassa=made.yookassa,
            platega=made.platega,
            stripe=made.stripe,
            mobizon=made.mobizon,
            resend=made.resend,
            telegram=made.telegram,
            servers=made.servers,
        )
        nursery.cancel_scope.cancel()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    yookassa: yookassa.YooKassa
    platega: platega.Platega
    stripe: Stripe
    mobizon: Mobizon
    resend: Resend
    telegram: Telegram
    servers: dict[str, KeyServer]
    control: Control
    chances: Chances

    def services(self) -> dict[str, Service]:
        return {
            "yookassa": self.yookassa,
            "platega": self.platega,
            "stripe": self.stripe,
            "mobizon": self.mobizon,
            "resend": self.resend,
            "telegram": self.telegram,
            **self.servers,
            "control": self.control,
        }

    def couriers(self, http: httpx.AsyncClient) -> dict[str, Courier]:
        from_yookassa = [("x-forwarded-for", yookassa.SOURCE)]
        of = partial(Courier, clock=time.time, http=http, chances=self.chances)
        return {
            "yookassa": of(self.yookassa.payments.deliveries, headers=from_yookassa),
            "platega": of(self.platega.deliveries),
            "stripe": of(self.stripe.webhooks.deliveries),
            "mobizon": of(self.mobizon.reports),
        }


def _make(
    service_url: str,
    chances: Chances,
    dice: random.Random,
    servers: Sequence[str],
    ladder_scale: float,
    work_s: float,
) -> _Made:
    clock = time.time

    async def work() -> None:
        await trio.sleep(dice.uniform(0, work_s))

    def scaled(ladder: Sequence[float]) -> list[float]:
        return [seconds * ladder_scale for seconds in ladder]

    around: dict[str, Any] = {
        "yookassa": yookassa.YooKassa(
            clock,
            notify_url=service_url + _PATHS["yookassa"],
            ladder=scaled(yookassa_payments.LADDER_S),
            work=work,
        ),
        "platega": platega.Platega(
            clock, callback_url=service_url + _PATHS["platega"], ladder=scaled(platega.LADDER_S)
        ),
        "stripe": Stripe(
            clock,
            webhook_url=service_url + _PATHS["stripe"],
            webhook_secrets=(STRIPE_SECRET,),
            ladder=scaled(stripe_webhooks.LADDER_S),
            work=work,
        ),
        "mobizon": Mobizon(
            clock,
            report_url=service_url + _PATHS["mobizon"],
            report_secret=MOBIZON_SECRET,
            ladder=scaled(mobizon_reports.LADDER_S),
        ),
        "resend": Resend(clock, work=work),
        "telegram": Telegram(clock),
        "servers": {server: KeyServer(clock) for server in servers},
    }
    return _Made(**around, control=Control(clock, chances=chances, **around), chances=chances)


def _settings(urls: Mapping[str, str], servers: Mapping[str, KeyServer]) -> ClientSettings:
    """The accounts that the stand-ins have unless they are told otherwise, and a patience for loopback."""
    return ClientSettings(
        yookassa=YooKassaAccount(shop_id="100500", secret_key="test_key", base_url=urls["yookassa"]),
        platega=PlategaAccount(merchant_id="merchant-1", secret="secret-1", base_url=urls["platega"]),
        stripe=StripeAccount(api_key="sk_test_loopback", base_url=urls["stripe"]),
        mobizon=MobizonAccount(api_key="test", base_url=urls["mobizon"]),
        resend=ResendAccount(api_key="re_test", sender="shop@example.com", base_url=urls["resend"]),
        telegram=TelegramBot(token="1:test", base_url=urls["telegram"]),
        key_servers={name: KeyServerAddress(base_url=urls[name], token="test") for name in servers},
        patience=Patience(connect_s=1.0, attempt_s=2.0, total_s=6.0),
    )


async def _serve(nursery: trio.Nursery, app: Any, port: int) -> str:
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.loglevel = "WARNING"
    config.graceful_timeout = 0.0
    binds: list[str] = await nursery.start(partial(serve, app, config, mode="asgi"))
    return binds[0]


async def _tick(services: Sequence[Service]) -> None:
    while True:
        await trio.sleep(_TICK_S)
        for service in services:
            service.tick()


async def _deliver_sms(mobizon: Mobizon, after_s: float) -> None:
    """Every SMS arrives at its phone, in the order in which it was taken."""
    delivered = 0
    while True:
        await trio.sleep(min(after_s, _TICK_S) or _TICK_S)
        while (
            delivered < len(mobizon.accepted) and mobizon.accepted[delivered].at + after_s <= mobizon.clock()
        ):
            mobizon.deliver(mobizon.accepted[delivered])
            delivered += 1
