"""What contract tests share: real stripe-mock, Stripe's description, and the official SDK in front of our stand-in."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract import stripe_mock

httpx = pytest.importorskip("httpx", reason="needs httpx: pip install 'turnstile[services]'")
pytest.importorskip("stripe", reason="needs Stripe's SDK: pip install 'turnstile[test]'")
pytest.importorskip("jsonschema", reason="needs jsonschema: pip install 'turnstile[test]'")

from scenarios.services.sdk import stripe_client  # noqa: E402
from scenarios.services.stripe import Stripe  # noqa: E402 - after the reasons to skip
from tests.contract.openapi import Description  # noqa: E402
from tests.services.caller import Now  # noqa: E402


@pytest.fixture(scope="session")
def description() -> Description:
    """Stripe's own description of its API; without Go, which fetches it, the test is skipped."""
    try:
        return Description(stripe_mock.description())
    except stripe_mock.UnavailableError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def real_stripe_mock() -> Iterator[Callable[..., Any]]:
    """Sends a request to real stripe-mock: ``real_stripe_mock(method, url, headers=..., content=...)``."""
    named = os.environ.get("TURNSTILE_STRIPE_MOCK", "")
    if named.startswith("http"):
        with httpx.Client(base_url=named, trust_env=False) as client:
            yield client.request
        return
    try:
        with (
            tempfile.TemporaryDirectory(prefix="stripe-mock") as folder,
            stripe_mock.running(Path(folder)) as socket,
            httpx.Client(
                transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://stripe-mock"
            ) as client,
        ):
            yield client.request
    except stripe_mock.UnavailableError as reason:
        pytest.skip(str(reason))


@pytest.fixture
def now() -> Now:
    """The stand-in's clock."""
    return Now()


@pytest.fixture
def standin(now: Now) -> Stripe:
    """Our Stripe, with an endpoint for its events."""
    return Stripe(now, webhook_url="https://shop.example.com/stripe/webhook")


@pytest.fixture(scope="session")
def sdk_of() -> Callable[..., Any]:
    """Makes the official SDK's asynchronous client talk to an ASGI application, or through a transport."""

    def make(app: Any = None, *, transport: Any = None, **options: Any) -> Any:
        return stripe_client(transport or httpx.ASGITransport(app=app), **options)

    return make
