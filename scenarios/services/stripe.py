"""Stripe, API v1: Checkout Sessions, refunds and payment intents behind the idempotency layer, and webhooks.

A request passes, in this order: the rate limiter, authentication, the idempotency store, the checks of its parameters, the
endpoint. What comes out of the endpoint is kept under the key, errors and 500 included; what came before it is not.

Not modelled: API v2 and its other idempotency, connected accounts, test clocks (they do not steer sessions anyway), the
Search API (it does not cover sessions), object locks (`lock_timeout`), the concurrency limiter, `Stripe-Should-Retry`,
publishable and restricted keys, `expand`; and what `stripe_sessions`, `stripe_payments` and `stripe_webhooks` say of themselves.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from scenarios.services import stripe_parameters as parameters
from scenarios.services.kept_answers import DAY_S, Kept, KeptAnswers
from scenarios.services.plumbing import (
    Answer,
    Clock,
    RateLimit,
    Refused,
    Request,
    Service,
    Work,
    answer_json,
    no_work,
    route,
)
from scenarios.services.stripe_errors import (
    key_in_use,
    no_such,
    other_endpoint,
    other_parameters,
    rate_limited,
    something_went_wrong,
    stripe_error,
    unauthorized,
    unknown_url,
)
from scenarios.services.stripe_lists import page
from scenarios.services.stripe_payments import Payments
from scenarios.services.stripe_sessions import Sessions
from scenarios.services.stripe_webhooks import LADDER_S, Webhooks

API_VERSION = "2026-08-26.dahlia"  # of the OpenAPI description that tests/contract compares with
_KEY_MAX = 255
Endpoint = Callable[[Request, str], Callable[[], dict[str, Any]]]
"""Checks a request and returns what does the work; the text is the id in the path."""


class Stripe(Service):
    """One account.

    Args:
        clock: unix seconds.
        work: awaited while a POST is at work; another request with its key then meets a 409.
        webhook_url: where events go; None: nowhere.
        webhook_secrets: of the endpoint.
        ladder: seconds between the tries of a webhook.
        keeps_keys_s: how long a key is remembered; Stripe promises a day at least.
        requests_per_s: to one endpoint; None: no limit.

    Attributes:
        sessions: what customers do is done there (`pay`, `complete_unpaid`, `settle`, `recover`).
        payments: intents and refunds.
        webhooks: events and their deliveries.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        work: Work = no_work,
        webhook_url: str | None = None,
        webhook_secrets: Sequence[str] = ("whsec_test",),
        ladder: Sequence[float] = LADDER_S,
        keeps_keys_s: float = DAY_S,
        requests_per_s: int | None = None,
    ) -> None:
        super().__init__(clock, work=work)
        if keeps_keys_s < DAY_S:
            raise ValueError(f"Stripe keeps a key for 24 hours at least; got {keeps_keys_s} s")
        self._ids: dict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(1))
        self._kept = KeptAnswers(clock, keep_s=keeps_keys_s)
        self._rate = RateLimit(requests_per_s)
        self._failures: list[bool] = []
        self.webhooks = Webhooks(
            clock,
            self._new_id,
            url=webhook_url,
            secrets=webhook_secrets,
            api_version=API_VERSION,
            ladder=ladder,
        )
        self.payments = Payments(clock, self._new_id, self.webhooks.emit)
        self.sessions = Sessions(clock, self._new_id, self.webhooks.emit, self.payments)
        self.sessions.wake_at = lambda at: self.wake_at(at)
        self._endpoints: list[tuple[str, str, Endpoint]] = [
            ("POST", r"/v1/checkout/sessions", self._create_session),
            ("GET", r"/v1/checkout/sessions", self._list_sessions),
            ("GET", r"/v1/checkout/sessions/([^/]+)", self._retrieve_session),
            ("POST", r"/v1/checkout/sessions/([^/]+)/expire", self._expire_session),
            ("GET", r"/v1/payment_intents/([^/]+)", self._retrieve_intent),
            ("POST", r"/v1/refunds", self._create_refund),
            ("GET", r"/v1/refunds", self._list_refunds),
            ("GET", r"/v1/refunds/([^/]+)", self._retrieve_refund),
            ("GET", r"/v1/events/([^/]+)", self._retrieve_event),
        ]

    def fail_next(self, *, applied: bool) -> None:
        """The next POST that gets to work answers 500, which is kept; its effect has happened, or it has not."""
        self._failures.append(applied)

    def tick(self) -> None:
        """Sessions expire by the clock."""
        self.sessions.expire_due()

    def busy(self) -> Answer:
        """429, before the idempotency layer."""
        return rate_limited().answer

    def broken(self) -> Answer:
        """500 of what stands in front of the idempotency layer, so it is not kept; for one that is, `fail_next`."""
        return something_went_wrong().answer

    # From the door to the endpoint ---------------------------------------------------------------------------

    async def answer(self, request: Request) -> Answer:
        """Answers one request."""
        request_id = self._new_id("req")
        always = (
            ("request-id", request_id),
            ("stripe-version", request.headers.get("stripe-version", API_VERSION)),
        )
        try:
            self._limit_rate(request)
            _authenticate(request)
            endpoint, identifier = self._route(request)
            answer = await self._idempotently(request, request_id, lambda: endpoint(request, identifier))
        except Refused as refused:
            answer = refused.answer
        return answer.adding(*always)

    def _limit_rate(self, request: Request) -> None:
        if self._rate.exceeded(re.sub(r"/cs_[^/]+|/re_[^/]+|/pi_[^/]+", "/id", request.path), request.at):
            raise rate_limited()

    def _route(self, request: Request) -> tuple[Endpoint, str]:
        found = route(self._endpoints, request)
        if found is None:
            raise unknown_url(request.method, request.path)
        return found

    async def _idempotently(
        self, request: Request, request_id: str, check: Callable[[], Callable[[], dict[str, Any]]]
    ) -> Answer:
        key = request.headers.get("idempotency-key")
        if request.method != "POST" or key is None:
            return await self._execute(request, request_id, check())
        if not 0 < len(key) <= _KEY_MAX:
            raise stripe_error(f"Idempotency keys must be between 1 and {_KEY_MAX} characters long.")

        async def first() -> Answer:
            return await self._execute(request, request_id, check())

        answer = await self._kept.once(
            key,
            request.path,
            sorted(request.form()),
            first,
            again=lambda kept: _again(kept, key, request),
            request_id=request_id,
        )
        return answer.adding(("idempotency-key", key))

    async def _execute(self, request: Request, request_id: str, work: Callable[[], dict[str, Any]]) -> Answer:
        if request.method == "POST":
            await self.work()
        failure = self._failures.pop(0) if self._failures and request.method == "POST" else None
        self.webhooks.request = request_id, request.headers.get("idempotency-key")
        try:
            if failure is not False:
                answer = answer_json(work())
            return answer if failure is None else something_went_wrong().answer
        except Refused as refused:
            return refused.answer
        finally:
            self.webhooks.request = None

    def _new_id(self, kind: str) -> str:
        return f"{kind}_{next(self._ids[kind])}"

    # Endpoints -----------------------------------------------------------------------------------------------

    def _create_session(self, request: Request, _identifier: str) -> Callable[[], dict[str, Any]]:
        asked = parameters.read(
            request.form(), parameters.CREATE_SESSION, not_modelled=parameters.CREATE_SESSION_NOT_MODELLED
        )
        self.sessions.check(asked)
        return lambda: self.sessions.create(asked)

    def _list_sessions(self, request: Request, _identifier: str) -> Callable[[], dict[str, Any]]:
        asked = parameters.read(
            request.query, parameters.LIST_SESSIONS, not_modelled=parameters.LIST_SESSIONS_NOT_MODELLED
        )
        return lambda: self.sessions.list(asked)

    def _retrieve_session(self, request: Request, identifier: str) -> Callable[[], dict[str, Any]]:
        parameters.read(request.query, parameters.EXPAND_ONLY)
        return lambda: self.sessions.retrieve(identifier)

    def _expire_session(self, request: Request, identifier: str) -> Callable[[], dict[str, Any]]:
        parameters.read(request.form(), parameters.EXPAND_ONLY)
        return lambda: self.sessions.expire(identifier)

    def _retrieve_intent(self, request: Request, identifier: str) -> Callable[[], dict[str, Any]]:
        parameters.read(request.query, parameters.EXPAND_ONLY)
        return lambda: self.payments.retrieve(identifier)

    def _create_refund(self, request: Request, _identifier: str) -> Callable[[], dict[str, Any]]:
        asked = parameters.read(
            request.form(), parameters.CREATE_REFUND, not_modelled=parameters.CREATE_REFUND_NOT_MODELLED
        )
        self.payments.check(asked)
        return lambda: self.payments.refund(asked)

    def _list_refunds(self, request: Request, _identifier: str) -> Callable[[], dict[str, Any]]:
        asked = parameters.read(request.query, parameters.LIST_REFUNDS)
        refunds = list(self.payments.refunds.values())

        def matches(refund: dict[str, Any]) -> bool:
            return all(refund[name] == asked[name] for name in ("charge", "payment_intent") if name in asked)

        return lambda: page(refunds, asked, url="/v1/refunds", kind="refund", matches=matches)

    def _retrieve_refund(self, request: Request, identifier: str) -> Callable[[], dict[str, Any]]:
        parameters.read(request.query, parameters.EXPAND_ONLY)
        return lambda: self.payments.retrieve_refund(identifier)

    def _retrieve_event(self, request: Request, identifier: str) -> Callable[[], dict[str, Any]]:
        parameters.read(request.query, parameters.EXPAND_ONLY)
        event = next((one for one in self.webhooks.events if one["id"] == identifier), None)
        if event is None:
            raise no_such("event", identifier, "id")
        return lambda: event


def _authenticate(request: Request) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    basic = request.basic()
    key = basic[0] if basic is not None else key if scheme.lower() == "bearer" else ""
    if not key.startswith("sk_test_"):
        raise unauthorized()


def _again(kept: Kept, key: str, request: Request) -> Answer:
    if kept.endpoint != request.path:
        raise other_endpoint(key, request.path, kept.endpoint)
    if kept.body != sorted(request.form()):
        raise other_parameters(key)
    if kept.answer is None:
        raise key_in_use()
    return kept.answer.adding(("idempotent-replayed", "true"), ("original-request", kept.request_id))
