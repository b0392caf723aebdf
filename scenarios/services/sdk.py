"""The official Stripe SDK, unmodified, in front of whatever a transport leads to: a world, a stand-in, or the real thing.

Two of its habits escape a world and are met here: it reads the machine's certificates for each client (30 ms), and it asks
the operating system what machine this is, through a child process, at the first request of a Python process.

httpx deprecates the way in which the SDK hands it a form; where warnings are errors, the SDK then reports a connection
error. `FILTER` is what pytest has to be told.
"""

from __future__ import annotations

import copy
import platform
from functools import cache
from typing import Any

import httpx
import stripe

FILTER = "ignore:Use 'content=<...>' to upload raw:DeprecationWarning"
platform.platform()  # now, outside of every world; the module keeps the answer


def stripe_client(
    transport: httpx.AsyncBaseTransport, *, api_key: str = "sk_test_turnstile", **options: Any
) -> Any:
    """An asynchronous client of the SDK.

    Args:
        transport: a world's (`Network.transport`), or ``httpx.ASGITransport(stand_in)``.
        api_key: any that begins with ``sk_test_``.
        options: of ``stripe.StripeClient``, such as ``max_network_retries`` (0 unless given, unlike the module's 2).
    """
    http_client = copy.copy(_http_client())
    # A private name: the public constructor takes no transport. The alternative, a client class of our own, would leave
    # out the SDK's translation of errors and timeouts, which is what we want to see at work.
    http_client._client_async = httpx.AsyncClient(transport=transport, trust_env=False)
    return stripe.StripeClient(api_key, http_client=http_client, **options)


@cache
def _http_client() -> Any:
    return stripe.HTTPXClient()
