"""A shop with a door: the ASGI application over the shop's service, knocked at without a socket."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import func, select

import reference
from reference.http import HttpSettings, application

if TYPE_CHECKING:
    from conftest import Shop

    from reference.http.application import Application

YOOKASSA = "77.75.156.11"
STRANGER = "192.0.2.66"
BOT, ADMIN, CRM = "bot-token", "admin-token", "crm-token"
STRIPE_SECRET, NEXT_SECRET = "whsec_test_now", "whsec_test_next"
MERCHANT, PLATEGA_SECRET = "merchant-1", "platega-secret"
MOBIZON_SECRET = "mobizon-secret"

SETTINGS = HttpSettings(
    bot_token=BOT,
    admin_token=ADMIN,
    crm_token=CRM,
    stripe_secrets=(STRIPE_SECRET, NEXT_SECRET),
    platega_merchant_id=MERCHANT,
    platega_secret=PLATEGA_SECRET,
    mobizon_secret=MOBIZON_SECRET,
    trusted_proxies=(ip_network("10.0.0.0/8"),),
    body_max_bytes=8192,
)


class NoStripe:
    """Stands where Stripe's client would be, so that the routes which need one are there."""

    async def retrieve(self, session_id: str) -> None:
        raise AssertionError(f"the HTTP door asked Stripe about {session_id}")


@dataclass
class Door:
    """The application, and how each caller knocks."""

    shop: Shop
    settings: HttpSettings = SETTINGS
    app: Application = field(init=False)

    def __post_init__(self) -> None:
        self.open(self.settings)

    def open(self, settings: HttpSettings, *, stripe: Any = None) -> None:
        """Make the application, as a process would that has just started."""
        self.settings = settings
        sessions = stripe or self.shop.service.checkout_sessions or NoStripe()
        self.app = application(replace(self.shop.service, checkout_sessions=sessions), settings)

    async def knock(
        self,
        method: str,
        path: str,
        *,
        source: str = STRANGER,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=(source, 40_000))
        async with httpx.AsyncClient(transport=transport, base_url="https://shop.example") as client:
            return await client.request(method, path, headers=headers, content=content)

    async def get(self, path: str, *, token: str = "", source: str = STRANGER) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return await self.knock("GET", path, headers=headers, source=source)

    async def post(
        self, path: str, body: Any, *, token: str = "", source: str = STRANGER, **headers: str
    ) -> httpx.Response:
        """Post JSON, or bytes as they are; `content_type="..."` is a header."""
        sent = {"content-type": "application/json"}
        sent |= {"authorization": f"Bearer {token}"} if token else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.knock("POST", path, source=source, headers=sent, content=content)

    async def yookassa(self, body: Any, *, path: str = "/yookassa/webhook") -> httpx.Response:
        return await self.post(path, body, source=YOOKASSA)

    async def platega(self, body: Any) -> httpx.Response:
        secrets = {"x-merchantid": MERCHANT, "x-secret": PLATEGA_SECRET}
        return await self.post("/platega/webhook", body, **secrets)

    async def stripe(
        self, body: Any, *, at: int | None = None, secret: str = STRIPE_SECRET
    ) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        stamp = int(self.shop.clock.at) if at is None else at
        return await self.post("/stripe/webhook", content, stripe_signature=signed(content, stamp, secret))

    async def buy(self, key: str = "tap", *, user: int = 7, tariff: int = 1, **more: Any) -> httpx.Response:
        body = {"user_id": user, "tariff_id": tariff, "provider": "yookassa", **more}
        return await self.post("/v1/payments", body, token=BOT, idempotency_key=key)

    async def work(self) -> None:
        """Be the worker until nothing is due."""
        service = self.shop.service
        while await service.work_inbox() + await service.relay():
            pass

    async def row_counts(self) -> dict[str, int]:
        """How many rows each table has."""
        async with self.shop.engine.snapshot() as connection:
            return {
                table.name: (await connection.execute(select(func.count()).select_from(table))).scalar_one()
                for table in reference.metadata.sorted_tables
            }


def signed(body: bytes, at: int, *secrets: str) -> str:
    """Stripe's header, by its documentation."""
    parts = [
        hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest() for secret in secrets
    ]
    return ",".join([f"t={at}", *(f"v1={part}" for part in parts)])


@pytest.fixture
def door(shop: Shop) -> Door:
    """The door of a stocked shop on SQLite."""
    return Door(shop)


@pytest.fixture
def either_door(either_shop: Shop) -> Door:
    """The same on each of the two databases."""
    return Door(either_shop)


@pytest.fixture
def synchronous_door(synchronous_shop: Shop) -> Door:
    """The same for tests that run trio themselves, again and again."""
    return Door(synchronous_shop)
