"""Stripe's events: signed, sent at least once and in any order, retried for three days, sometimes made twice.

What goes wrong is said from outside, not diced: how many copies of each event are sent, whether a twin Event object is
made for it, how late each is. In a world a scenario draws these; the order then is the schedule's business.

Not modelled: several endpoints with filters, thin events, API versions per endpoint, `v0` signatures, Stripe's source
addresses, `pending_webhooks` going down, the days after which an event can be resent no more. The intervals of the retries are unpublished: the default ladder is a guess at their shape within the documented
three days.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from typing import Any

from scenarios.services.deliveries import Deliveries, Delivery, Message, is_success
from scenarios.services.plumbing import Clock

THREE_DAYS_S = 3 * 86_400.0
LADDER_S = (300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, *(43_200.0,) * 5)
_TIMEOUT_S = 10.0  # unpublished; Checkout itself waits for ten seconds before it sends the customer on


def sign(body: bytes, secrets: Sequence[str], at: float) -> str:
    """The ``Stripe-Signature`` header: one ``v1`` for each secret, as while a secret is being rolled."""
    stamp = str(int(at))
    signed = stamp.encode() + b"." + body
    parts = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={stamp}", *(f"v1={part}" for part in parts)])


class Webhooks:
    """Events and their deliveries to one endpoint.

    Args:
        clock: unix seconds.
        new_id: makes ids of a kind.
        url: the endpoint's; None: events are made and sent nowhere.
        secrets: of the endpoint; two while one is rolled.
        api_version: for which the events are rendered.
        ladder: seconds between the tries.

    Attributes:
        events: every Event object, in order.
        copies: how often each event is sent without being asked; 1 is a well-behaved day.
        twins: how many further Event objects are made for the same change, with ids of their own.
        delay_s: by what an event is late; called with the event, so that one can overtake another.
        deliveries: who carries them asks here.
    """

    def __init__(
        self,
        clock: Clock,
        new_id: Callable[[str], str],
        *,
        url: str | None,
        secrets: Sequence[str],
        api_version: str,
        ladder: Sequence[float] = LADDER_S,
    ) -> None:
        self._clock = clock
        self._new_id = new_id
        self._url = url
        self._api_version = api_version
        self.secrets = list(secrets)
        self.copies = 1
        self.twins = 0
        self.delay_s: Callable[[dict[str, Any]], float] = lambda _event: 0.0
        self.events: list[dict[str, Any]] = []
        self.deliveries = Deliveries(
            clock, ladder=ladder, counts=is_success, timeout_s=_TIMEOUT_S, retries_for_s=THREE_DAYS_S
        )
        self.request: tuple[str, str | None] | None = (
            None  # (id, idempotency key) of the request that is at work
        )

    def emit(self, kind: str, obj: dict[str, Any]) -> None:
        """Something happened to an object; the event holds it as it is now."""
        for _ in range(1 + self.twins):
            request = self.request
            event = {
                "id": self._new_id("evt"),
                "object": "event",
                "api_version": self._api_version,
                "created": int(self._clock()),
                "data": {"object": copy.deepcopy(obj)},
                "livemode": False,
                "pending_webhooks": 1 if self._url else 0,
                "request": {"id": request and request[0], "idempotency_key": request and request[1]},
                "type": kind,
            }
            self.events.append(event)
            for _copy in range(self.copies if self._url else 0):
                self._send(event, after_s=self.delay_s(event))

    def resend(self, event_id: str) -> Delivery:
        """Somebody asks for an event again; the automatic retries go on all the same."""
        return self._send(next(event for event in self.events if event["id"] == event_id))

    def _send(self, event: dict[str, Any], *, after_s: float = 0.0) -> Delivery:
        return self.deliveries.add(
            f"{event['id']} {event['type']}", lambda _delivery: self._message(event), after_s=after_s
        )

    def _message(self, event: dict[str, Any]) -> Message:
        assert self._url is not None
        body = json.dumps(event, indent=2).encode()
        signature = sign(
            body, self.secrets, self._clock()
        )  # fresh with each attempt, so it identifies nothing
        headers = (("content-type", "application/json; charset=utf-8"), ("stripe-signature", signature))
        return Message(self._url, body, headers)
