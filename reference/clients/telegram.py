"""Telegram's ``sendMessage``: no key and no look-up, so a message without an answer is not sent again here.

Whether it is sent again at all is the outbox's policy for its topic. What is repeated here is what certainly was not sent: a 429,
after the time that Telegram names, and a connection that did not come about. 403 is for ever: the user has blocked the bot.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from reference.clients.errors import UnauthorizedError, of_status
from reference.clients.http import Question, Reply, Wire, as_json
from reference.clients.settings import Patience, TelegramBot
from reference.ports import RefusedError, RemoteError

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("reference.clients.telegram")


class TelegramNotices:
    """`reference.ports.Notifier` at Telegram."""

    def __init__(self, bot: TelegramBot, http: httpx.AsyncClient, *, patience: Patience) -> None:
        self._path = f"/bot{bot.token}/sendMessage"
        self._wire = Wire(
            "telegram",
            http,
            base_url=bot.base_url,
            judge=_judge,
            patience=patience,
            secrets=(bot.token,),
        )

    def __repr__(self) -> str:
        return f"TelegramNotices({self._wire!r})"

    async def send(self, user_id: int, text: str, reference: str) -> None:
        """See `Notifier.send`; Telegram has no place for the reference, so only the log has it."""
        body, headers = as_json({"chat_id": user_id, "text": text})
        question = Question("POST", self._path, repeatable=False, headers=headers, body=body)
        number = await self._wire.ask(question, lambda reply: int(reply.body["result"]["message_id"]))
        log.info("%s is message %d of chat %d", reference, number, user_id)


def _judge(reply: Reply) -> RemoteError | None:
    said = reply.fields.get("description")
    if reply.status < 300 or not isinstance(said, str):
        return of_status(reply.status, None, retry_after_s=reply.retry_after_s())
    code = str(reply.fields.get("error_code", reply.status))
    if reply.status == 403:
        return RefusedError(f"403 {said}", code=code)
    if reply.status == 404:  # not the chat, which would be a 400: there is no bot with this token
        return UnauthorizedError(f"404 {said}", code=code)
    parameters = reply.fields.get("parameters")
    wait_s = parameters.get("retry_after") if isinstance(parameters, Mapping) else None
    return of_status(
        reply.status, said, code=code, retry_after_s=float(wait_s) if isinstance(wait_s, int) else None
    )
