"""Resend's e-mail: under our key, which makes a repetition within a day the same mail.

So a mail whose answer was lost is sent again at once, within the call's patience, and by the reconciler later. The sender's
address is part of the mail: to change it while mails are being repeated makes them other mails, which Resend refuses (409).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference.clients.errors import of_status
from reference.clients.http import Question, Reply, Wire, as_json, word
from reference.clients.settings import Patience, ResendAccount
from reference.ports import KeyConflictError, LaterError, RemoteError

if TYPE_CHECKING:
    import httpx


class ResendMail:
    """`reference.ports.Mailer` at Resend."""

    def __init__(self, account: ResendAccount, http: httpx.AsyncClient, *, patience: Patience) -> None:
        self._sender = account.sender
        self._wire = Wire(
            "resend",
            http,
            base_url=account.base_url,
            judge=_judge,
            patience=patience,
            headers={"authorization": f"Bearer {account.api_key}"},
            secrets=(account.api_key,),
        )

    def __repr__(self) -> str:
        return f"ResendMail({self._wire!r})"

    async def send(self, to: str, subject: str, body: str, key: str) -> str:
        """See `Mailer.send`."""
        content, headers = as_json({"from": self._sender, "to": [to], "subject": subject, "text": body})
        headers["idempotency-key"] = key
        question = Question("POST", "/emails", repeatable=True, headers=headers, body=content)
        return await self._wire.ask(question, lambda reply: word(reply.body["id"]))


def _judge(reply: Reply) -> RemoteError | None:
    name = reply.fields.get("name")
    if reply.status < 300 or not isinstance(name, str):
        return of_status(reply.status, None, retry_after_s=reply.retry_after_s())
    words = f"{name} {reply.fields.get('message', '')}"
    if name == "concurrent_idempotent_requests":
        return LaterError(f"{reply.status} {words}", code=name)
    if name == "invalid_idempotent_request":
        return KeyConflictError(f"{reply.status} {words}", code=name)
    return of_status(reply.status, words, code=name, retry_after_s=reply.retry_after_s())
