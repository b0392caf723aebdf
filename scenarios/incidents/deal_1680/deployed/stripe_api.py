"""What the deployed code used of stripe-node: two calls, its timeout, and its habit of keying every POST.

The key is random and new with each call. It protects the library's own repetition of one request; two calls
of the application are two requests, whatever they ask for.
"""

import uuid
from collections.abc import Mapping
from typing import Any, Final

SESSIONS: Final = "https://api.stripe.com/v1/checkout/sessions"
TIMEOUT_S: Final = 80  # stripe-node's default


class StripeError(Exception):
    """Stripe answered with an error, or nothing could be heard of it."""


class StripeApi:
    """The account, over HTTP.

    Args:
        http: an ``httpx.AsyncClient``, or what has its ``request``.
        api_key: ``sk_test_...``.
    """

    def __init__(self, http: Any, api_key: str = "sk_test_deal_1680") -> None:
        self._http = http
        self._authorization = f"Bearer {api_key}"

    async def list_sessions(self, query: Mapping[str, str]) -> dict[str, Any]:
        """``stripe.checkout.sessions.list(...)``: one page.

        Raises:
            StripeError: there is no page.
        """
        return await self._request("GET", {}, params=dict(query))

    async def create_session(
        self, form: Mapping[str, str], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """``stripe.checkout.sessions.create(...)``.

        Raises:
            StripeError: it was refused, or nobody knows.
        """
        key = idempotency_key or f"stripe-node-retry-{uuid.uuid4()}"
        return await self._request("POST", {"idempotency-key": key}, data=dict(form))

    async def _request(self, method: str, headers: dict[str, str], **content: Any) -> dict[str, Any]:
        headers = {"authorization": self._authorization, **headers}
        try:
            response = await self._http.request(
                method, SESSIONS, headers=headers, timeout=TIMEOUT_S, **content
            )
            answer: dict[str, Any] = response.json()
        except Exception as error:  # StripeConnectionError: no connection, no answer, or one that is no JSON
            raise StripeError(f"{method} {SESSIONS}: {error}") from error
        if response.status_code >= 400:
            raise StripeError(f"{response.status_code}: {answer['error']['message']}")
        return answer
