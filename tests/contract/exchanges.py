"""What went over the wire between the official SDK and our stand-in, so that it can be shown to the real thing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import httpx

_TEMPLATES = (
    (r"/v1/checkout/sessions/[^/]+/expire", "/v1/checkout/sessions/{session}/expire"),
    (r"/v1/checkout/sessions/[^/]+", "/v1/checkout/sessions/{session}"),
    (r"/v1/payment_intents/[^/]+", "/v1/payment_intents/{intent}"),
    (r"/v1/refunds/[^/]+", "/v1/refunds/{refund}"),
    (r"/v1/events/[^/]+", "/v1/events/{id}"),
)


@dataclass(frozen=True)
class Exchange:
    """A request and its answer."""

    request: httpx.Request
    status: int
    body: Any

    @property
    def template(self) -> str:
        """The path as an OpenAPI description has it."""
        path = self.request.url.path
        return next((template for pattern, template in _TEMPLATES if re.fullmatch(pattern, path)), path)

    def __str__(self) -> str:
        return f"{self.request.method} {self.request.url.raw_path.decode()} -> {self.status}"


class Recording(httpx.AsyncBaseTransport):
    """Hands requests to an ASGI application and keeps what was said.

    Attributes:
        exchanges: in order.
    """

    def __init__(self, app: Any) -> None:
        self._transport = httpx.ASGITransport(app=app)
        self.exchanges: list[Exchange] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        response = await self._transport.handle_async_request(request)
        await response.aread()
        self.exchanges.append(Exchange(request, response.status_code, response.json()))
        return response
