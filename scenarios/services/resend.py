"""Resend: e-mail behind an idempotency key that is good for a day.

The same key with the same payload gives the same id and no second mail; with another payload, or while the first request
is at work, a 409. Without a key every call is a mail.

Not modelled: batches, templates, attachments, scheduled sending, domains, webhooks, suppression lists.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from scenarios.services.kept_answers import Kept, KeptAnswers
from scenarios.services.plumbing import (
    Answer,
    Clock,
    NotModelled,
    RateLimit,
    Refused,
    Request,
    Service,
    Work,
    answer_json,
    no_work,
)

_KEY_MAX = 256
_FIELDS = {"from", "to", "subject", "html", "text", "cc", "bcc", "reply_to", "headers", "tags"}
_NOT_MODELLED = {"attachments", "scheduled_at", "react", "template", "topic_id"}


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that was accepted: the truth about e-mail, whatever our tables say."""

    id: str
    to: tuple[str, ...]
    subject: str
    payload: dict[str, Any]
    at: float


def resend_error(status: int, name: str, message: str) -> Refused:
    """An error in Resend's shape."""
    return Refused(answer_json({"statusCode": status, "name": name, "message": message}, status))


class Resend(Service):
    """One account.

    Args:
        clock: unix seconds.
        api_key: for ``Authorization: Bearer``.
        requests_per_s: None: no limit.
        work: awaited while a mail is being accepted.

    Attributes:
        accepted: every mail that goes out, in order.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        api_key: str = "re_test",
        requests_per_s: int | None = None,
        work: Work = no_work,
    ) -> None:
        super().__init__(clock, work=work)
        self._api_key = api_key
        self._rate = RateLimit(requests_per_s)
        self._kept = KeptAnswers(clock)
        self.accepted: list[Mail] = []

    def to(self, address: str) -> list[Mail]:
        """What one person gets."""
        return [mail for mail in self.accepted if address in mail.to]

    async def answer(self, request: Request) -> Answer:
        """Answers one request."""
        authorization = request.headers.get("authorization", "")
        if not authorization:
            raise resend_error(401, "missing_api_key", "Missing API key in the authorization header.")
        if authorization != f"Bearer {self._api_key}":
            raise resend_error(403, "invalid_api_key", "API key is invalid.")
        if self._rate.exceeded("", request.at):
            return self.busy()
        if (request.method, request.path) == ("POST", "/emails"):
            return await self._idempotently(request)
        if request.method == "GET" and request.path.startswith("/emails/"):
            return answer_json(self._retrieve(request.path.removeprefix("/emails/")))
        raise resend_error(404, "not_found", "The requested endpoint does not exist.")

    def busy(self) -> Answer:
        """429; the header says for how long."""
        error = resend_error(429, "rate_limit_exceeded", "Too many requests. Slow down.")
        return error.answer.adding(("retry-after", "1"))

    def broken(self) -> Answer:
        """500."""
        return resend_error(500, "application_error", "An unexpected error occurred.").answer

    async def _idempotently(self, request: Request) -> Answer:
        key = request.headers.get("idempotency-key")
        if key is None:
            self._check(request)
            await self.work()
            return self._send(request)
        if not 1 <= len(key) <= _KEY_MAX:
            raise resend_error(400, "invalid_idempotency_key", f"The key must be between 1-{_KEY_MAX} chars.")
        payload = self._check(request)

        async def first() -> Answer:
            await self.work()
            return self._send(request)

        return await self._kept.once(
            key, request.path, payload, first, again=lambda kept: _again(kept, payload)
        )

    def _check(self, request: Request) -> dict[str, Any]:
        try:
            payload = request.json()
        except ValueError:
            raise resend_error(422, "validation_error", "The request body is not valid JSON.") from None
        if not isinstance(payload, dict):
            raise resend_error(422, "validation_error", "The request body is not an object.")
        for name in ("from", "to", "subject"):
            if not payload.get(name):
                raise resend_error(422, "missing_required_field", f"Missing `{name}` field.")
        if not payload.get("html") and not payload.get("text"):
            raise resend_error(422, "missing_required_field", "Missing `html` or `text` field.")
        for name in payload:
            if name in _NOT_MODELLED:
                raise NotModelled(f"Resend takes {name!r} and the stand-in does not model it")
            if name not in _FIELDS:
                raise resend_error(422, "validation_error", f"The field `{name}` is not known.")
        return payload

    def _send(self, request: Request) -> Answer:
        payload = json.loads(request.body)
        to = payload["to"] if isinstance(payload["to"], list) else [payload["to"]]
        identifier = f"{len(self.accepted) + 1:08x}-0000-4000-8000-000000000000"
        self.accepted.append(Mail(identifier, tuple(to), payload["subject"], payload, self.clock()))
        return answer_json({"id": identifier})

    def _retrieve(self, identifier: str) -> dict[str, Any]:
        for mail in self.accepted:
            if mail.id == identifier:
                return {
                    "object": "email",
                    "id": mail.id,
                    "last_event": "sent",
                    **mail.payload,
                    "to": list(mail.to),
                }
        raise resend_error(404, "not_found", "Email not found")


def _again(kept: Kept, payload: dict[str, Any]) -> Answer:
    if kept.body != payload:
        raise resend_error(
            409,
            "invalid_idempotent_request",
            "Same idempotency key used with a different request payload.",
        )
    if kept.answer is None:
        raise resend_error(
            409,
            "concurrent_idempotent_requests",
            "Same idempotency key used while the original request is in progress.",
        )
    return kept.answer
