"""YooKassa: payments and refunds behind an idempotence key, and notifications that have neither an id nor a signature.

A key is good for a day after its first request; after that the same key makes a new payment. A 500 says nothing: the
request is to be repeated with the same key and body until it is none.

Not modelled: receipts (54-FZ), saved methods, splits, payouts, deals, invoices, partial captures, webhooks by OAuth, methods
of payment (all are cards: what is held is held for seven days), the longest description. Not
documented, so chosen here: what a second request with a key gets while the first is at work (202 "processing"), how long a
payment waits for its buyer (an hour), the ladder of retries within the day (every ten minutes), the words of most errors.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from scenarios.services.kept_answers import Kept, KeptAnswers
from scenarios.services.plumbing import (
    Answer,
    Clock,
    Request,
    Service,
    Work,
    answer_json,
    no_work,
    route,
)
from scenarios.services.yookassa_parameters import invalid, key_of, yookassa_error
from scenarios.services.yookassa_payments import LADDER_S, Payments

SOURCE = "77.75.156.11"  # one of the published addresses, the only thing by which a notification can be told
_PROCESSING = {
    "type": "processing",
    "description": "Request accepted, but not processed yet",
    "retry_after": 1800,
}


class YooKassa(Service):
    """One shop.

    Args:
        clock: unix seconds.
        account: shop id and secret key, for Basic authentication.
        notify_url: where notifications go; None: nowhere.
        ladder: seconds between the tries of a notification, within a day.
        confirm_within_s: how long a payment waits for its buyer.
        work: awaited while a POST is at work.

    Attributes:
        payments: what buyers do is done there (`pay`, `decline`), and notifications go out from there.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        account: tuple[str, str] = ("100500", "test_key"),
        notify_url: str | None = None,
        ladder: Sequence[float] = LADDER_S,
        confirm_within_s: float = 3600.0,
        work: Work = no_work,
    ) -> None:
        super().__init__(clock, work=work)
        self._account = account
        self._kept = KeptAnswers(clock)
        self._stalled: list[bool] = []
        self.payments = payments = Payments(
            clock, notify_url=notify_url, ladder=ladder, confirm_within_s=confirm_within_s
        )
        payments.wake_at = lambda at: self.wake_at(at)
        self._endpoints: list[tuple[str, str, Callable[[Request, str], Any]]] = [
            ("POST", r"/v3/payments", payments.create),
            ("GET", r"/v3/payments", payments.list),
            ("GET", r"/v3/payments/([^/]+)", payments.retrieve),
            ("POST", r"/v3/payments/([^/]+)/capture", payments.capture),
            ("POST", r"/v3/payments/([^/]+)/cancel", payments.cancel),
            ("POST", r"/v3/refunds", payments.refund),
            ("GET", r"/v3/refunds", payments.list_refunds),
            ("GET", r"/v3/refunds/([^/]+)", payments.retrieve_refund),
        ]

    def stall_next(self, *, cancels: bool = True) -> None:
        """The next payment takes more than thirty seconds: 500, and YooKassa cancels it, or tries and cannot."""
        self._stalled.append(cancels)

    def busy(self) -> Answer:
        """429."""
        return yookassa_error(429, "too_many_requests", "Too many requests").answer

    def broken(self) -> Answer:
        """500: the request is to be repeated with the same key and body."""
        return yookassa_error(
            500, "internal_server_error", "Technical problems, repeat the request later"
        ).answer

    def tick(self) -> None:
        """Payments that nobody confirmed or captured in time are cancelled."""
        self.payments.end_due()

    async def answer(self, request: Request) -> Answer:
        """Answers one request."""
        if request.basic() != self._account:
            raise yookassa_error(401, "invalid_credentials", "Basic authentication failed")
        found = route(self._endpoints, request)
        if found is None:
            raise yookassa_error(404, "not_found", f"There is no {request.method} {request.path}")
        endpoint, identifier = found
        if request.method == "GET":
            return answer_json(endpoint(request, identifier))
        return await self._idempotently(request, lambda: answer_json(endpoint(request, identifier)))

    async def _idempotently(self, request: Request, endpoint: Callable[[], Answer]) -> Answer:
        key = key_of(request)
        stalled = False

        async def first() -> Answer:
            nonlocal stalled
            await self.work()
            answer = endpoint()
            stalled = bool(self._stalled) and request.path == "/v3/payments"
            return self._after_a_stall(answer) if stalled else answer

        def again(kept: Kept) -> Answer:
            if (kept.endpoint, kept.body) != (request.path, request.body):
                raise invalid("Idempotence-Key", "Idempotence key duplicated")
            return kept.answer or answer_json(_PROCESSING, 202)

        answer = await self._kept.once(key, request.path, request.body, first, again=again)
        return self.broken() if stalled else answer

    def _after_a_stall(self, answer: Answer) -> Answer:
        """What a repeated request is told."""
        payment = self.payments.all[json.loads(answer.body)["id"]]
        if self._stalled.pop(0):
            self.payments.end(payment["id"], "yoo_money", "internal_timeout")
        return answer_json(payment)
