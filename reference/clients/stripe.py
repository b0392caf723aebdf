"""Stripe's Checkout Sessions through the official SDK: what it sends is ours to the byte, and what it raises becomes four words (`stripe_errors`).

The SDK builds the URL and the headers, reads the answers and names the errors. Taken from it are three things:

* **The body.** A claim's form was frozen as text; it is sent as that text, so that no release of the SDK can encode it otherwise
  between two attempts. The same key with other bytes would be refused, and the claim stuck.
* **The retries.** ``max_network_retries=0``. The outbox retries, durably and with a backoff of minutes; a second ladder inside of it
  would hold a lease for longer than the lease is, and draws its jitter from the global `random`.
* **The clock.** httpx times each phase by itself, and a server that sends a byte now and then is never too slow. One deadline is
  around the whole call, well below `policies_rest.CLAIM_LEASE_S`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import trio

from reference import policies_rest
from reference.clients.errors import MissingError, scrubbed
from reference.clients.stripe_errors import translated
from reference.model_rest import CheckoutSession, SessionPayment, SessionStatus
from reference.ports import AmbiguousError, SessionPage, SessionRequest

try:
    import httpx
    import stripe
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f"the client for Stripe needs {missing.name}: pip install 'turnstile[services]'", name=missing.name
    ) from missing

T = TypeVar("T")

TIMEOUT_S = 20.0
PAGE_MAX = 100  # Stripe's own limit
_FAILED_INTENTS = (
    "requires_payment_method",
    "canceled",
)  # what a delayed payment that did not come falls back to

logging.getLogger("stripe").setLevel(
    logging.WARNING
)  # it logs bodies, and on a bad day they hold more than money

# It writes an id into the home directory of whoever runs this and sends the durations of our calls along. There is no switch per
# client, only this one.
stripe.enable_telemetry = False


class _Wire(stripe.HTTPClient):
    """What the SDK sends with: httpx on trio, one deadline, and a body of ours in place of the SDK's if there is one."""

    name = "httpx"

    def __init__(self, http: httpx.AsyncClient, timeout_s: float, frozen_body: str | None = None) -> None:
        super().__init__()
        self._http = http
        self._timeout_s = timeout_s
        self._frozen_body = frozen_body

    def freezing(self, body: str) -> _Wire:
        """The same wire for one request with this body."""
        return _Wire(self._http, self._timeout_s, body)

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_usage: Any
    ) -> tuple[bytes, int, Mapping[str, str]]:
        content = self._frozen_body if self._frozen_body is not None else post_data
        try:
            with trio.fail_after(self._timeout_s):
                response = await self._http.request(method, url, headers=headers, content=content)
        except (httpx.HTTPError, trio.TooSlowError) as error:
            raise stripe.APIConnectionError(  # type: ignore[no-untyped-call]  # it has no annotations
                f"{method} {url}: {error!r}"
            ) from error
        return response.content, response.status_code, response.headers

    async def close_async(self) -> None:
        await self._http.aclose()


class StripeSessions:
    """`reference.ports.CheckoutSessions`, for real.

    Rules for its users:

    * It belongs to one trio run, like the connections it keeps; `aclose` lets them go.
    * It keeps nothing else. Two of them for one account are as good as one.
    """

    def __init__(
        self,
        api_key: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        http: httpx.AsyncClient | None = None,
        timeout_s: float = TIMEOUT_S,
        api_base: str | None = None,
    ) -> None:
        """Make a client; nothing is sent yet.

        Args:
            api_key: ``sk_test_...`` or a restricted key that may read and write Checkout Sessions and read payment intents.
            transport: where requests go instead of the network: a simulated world, a test.
            http: connections of somebody else's, in place of its own.
            timeout_s: for one call, from its first byte to its last.
            api_base: of another Stripe, such as a stand-in on loopback.
        """
        if timeout_s >= policies_rest.CLAIM_LEASE_S:
            raise ValueError(
                f"a call of {timeout_s} s outlives the lease of {policies_rest.CLAIM_LEASE_S} s that it is made under"
            )
        self._api_key = api_key
        self._base: Any = {"api": api_base} if api_base is not None else {}
        http = http or httpx.AsyncClient(transport=transport, timeout=timeout_s, trust_env=transport is None)
        self._wire = _Wire(http, timeout_s)

    def __repr__(self) -> str:
        return "StripeSessions()"  # no key in a log

    async def aclose(self) -> None:
        """Close the connections."""
        await self._wire.close_async()

    async def create(self, request: SessionRequest) -> CheckoutSession:
        """See `CheckoutSessions.create`."""
        # An object of the SDK per request, because it is the object that holds the wire, and the wire that holds the body (30 µs).
        client = self._client(self._wire.freezing(request.body))
        options: Any = {"idempotency_key": request.idempotency_key}
        return await self._understood(lambda: client.v1.checkout.sessions.create_async({}, options), _session)

    async def retrieve(self, session_id: str) -> CheckoutSession | None:
        """See `CheckoutSessions.retrieve`; of a session that is complete and unpaid the payment itself is looked at too."""
        sessions = self._client(self._wire).v1.checkout.sessions
        try:
            found = await self._understood(lambda: sessions.retrieve_async(session_id), _fields)
        except MissingError:
            return None
        failed = await self._has_failed(found)
        return _read(lambda: _session_from(found, failed=failed))

    async def _has_failed(self, session: Mapping[str, Any]) -> bool:
        """Whether a delayed payment has failed: the session goes on saying "complete" and "unpaid" for ever."""
        intent = session.get("payment_intent")
        if (session.get("status"), session.get("payment_status")) != ("complete", "unpaid") or not intent:
            return False
        intents = self._client(self._wire).v1.payment_intents
        found = await self._understood(lambda: intents.retrieve_async(str(intent)), _fields)
        return found.get("status") in _FAILED_INTENTS

    async def list_created(self, since: int, until: int, *, starting_after: str | None = None) -> SessionPage:
        """See `CheckoutSessions.list_created`."""
        wanted: Any = {"created": {"gte": since, "lte": until}, "limit": PAGE_MAX}
        if starting_after is not None:
            wanted["starting_after"] = starting_after
        sessions = self._client(self._wire).v1.checkout.sessions
        return await self._understood(lambda: sessions.list_async(wanted), _page)

    async def expire(self, session_id: str) -> CheckoutSession:
        """See `CheckoutSessions.expire`.

        Without a key of ours: the second call is refused because the session is not open, which is what we ask it for. With a
        fixed key a 500 would be replayed for a day, and the page stay open.
        """
        sessions = self._client(self._wire).v1.checkout.sessions
        return await self._understood(lambda: sessions.expire_async(session_id), _session)

    async def _understood(self, call: Callable[[], Awaitable[Any]], read: Callable[[Any], T]) -> T:
        """Make a call, and translate whatever comes of it; the chain of causes is cut where Stripe may have said our key back."""
        try:
            answer = await call()
        except stripe.StripeError as error:
            meant = translated(error)
            words = scrubbed(str(meant), (self._api_key,))
            raise type(meant)(words, code=meant.code and scrubbed(meant.code, (self._api_key,))) from None
        except (
            AttributeError,
            KeyError,
            TypeError,
            ValueError,
        ) as error:  # the SDK, reading what is no object of Stripe's
            raise AmbiguousError(f"an answer that cannot be read: {error!r}") from error
        return _read(lambda: read(answer))

    def _client(self, wire: _Wire) -> stripe.StripeClient:
        return stripe.StripeClient(
            self._api_key, http_client=wire, max_network_retries=0, base_addresses=self._base
        )


def _read(read: Callable[[], T]) -> T:
    try:
        return read()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AmbiguousError(f"an answer that cannot be read: {error!r}") from error


def _fields(answer: Any) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = answer.to_dict()
    return fields


def _page(answer: Any) -> SessionPage:
    """A page; sessions without a reference are nobody's we know, and may be of kinds that have no amount."""
    data = [_fields(each) for each in answer.data]
    ours = tuple(_session_from(fields) for fields in data if fields.get("client_reference_id"))
    return SessionPage(ours, next_after=str(data[-1]["id"]) if answer.has_more else None)


def _session(answer: Any) -> CheckoutSession:
    return _session_from(_fields(answer))


def _session_from(fields: Mapping[str, Any], *, failed: bool = False) -> CheckoutSession:
    payment = SessionPayment.FAILED if failed else SessionPayment(fields["payment_status"])
    return CheckoutSession(
        id=str(fields["id"]),
        status=SessionStatus(fields["status"]),
        payment=payment,
        amount_minor=int(fields["amount_total"] or 0),  # a set-up session, of some other system, has none
        currency=str(fields["currency"] or "").upper(),
        reference=fields.get("client_reference_id"),
        url=fields.get("url"),
        created=int(fields["created"]),
        expires_at=int(fields["expires_at"]),
    )
