"""Telegram's Bot API as far as notices go: ``sendMessage``, and no idempotency at all.

A message that was sent before the connection broke was sent; whoever repeats the call sends it again. 403 is for ever, 429
says how long to wait. An ambiguous timeout is the network's business (`LostReply`), not this service's.

Not modelled: every other method, formatting, keyboards, topics, migrations of groups, webhooks and updates. The limits are
defaults of the documentation's FAQ and parameters here, because Telegram states none exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from scenarios.services.plumbing import Answer, Clock, NotModelled, Refused, Request, Service, answer_json

_TEXT_MAX = 4096
_NOT_MODELLED = {
    *("getme", "getupdates", "getchat", "setwebhook", "deletewebhook", "editmessagetext", "deletemessage"),
    *("sendphoto", "senddocument", "sendinvoice", "answercallbackquery", "sendchataction", "copymessage"),
}


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that reached a chat: the truth about notices, whatever our tables say."""

    chat_id: int
    text: str
    at: float


def telegram_error(status: int, description: str, *, retry_after: int | None = None) -> Refused:
    """An error in Telegram's shape."""
    body: dict[str, Any] = {"ok": False, "error_code": status, "description": description}
    if retry_after is not None:
        body["parameters"] = {"retry_after": retry_after}
    return Refused(answer_json(body, status))


class Telegram(Service):
    """One bot.

    Args:
        clock: unix seconds.
        bot: its token, as it stands in paths.
        chats: the chats that exist; None: all do.
        chat_every_s: how long after one message to a chat the next is let through; 0: no limit.

    Attributes:
        sent: messages that were delivered, in order.
        blocked: chats whose user has blocked the bot.
    """

    def __init__(
        self, clock: Clock, *, bot: str = "1:test", chats: set[int] | None = None, chat_every_s: float = 0.0
    ) -> None:
        super().__init__(clock)
        self._bot = bot
        self._chats = chats
        self._chat_every_s = chat_every_s
        self._floods: list[int] = []
        self.blocked: set[int] = set()
        self.sent: list[Sent] = []

    def texts(self, chat_id: int) -> list[str]:
        """What one user has read."""
        return [one.text for one in self.sent if one.chat_id == chat_id]

    def busy(self) -> Answer:
        """429 for a second."""
        return telegram_error(429, "Too Many Requests: retry after 1", retry_after=1).answer

    def broken(self) -> Answer:
        """502, which is what the Bot API answers while a data centre is away."""
        return telegram_error(502, "Bad Gateway").answer

    def flood_next(self, retry_after: int) -> None:
        """The next message is refused with 429."""
        self._floods.append(retry_after)

    async def answer(self, request: Request) -> Answer:
        """Answers one request; a method is the same by GET and POST, and parameters may come in any of three ways."""
        bot, _, method = request.path.removeprefix("/bot").partition("/")
        if not request.path.startswith("/bot") or not method:
            raise telegram_error(404, "Not Found")
        if bot != self._bot:
            raise telegram_error(401, "Unauthorized")
        if method.lower() in _NOT_MODELLED:
            raise NotModelled(f"Telegram has {method}; the stand-in has sendMessage only")
        if method.lower() != "sendmessage":
            raise telegram_error(404, "Not Found")
        return self._send(_parameters(request))

    def _send(self, asked: dict[str, Any]) -> Answer:
        try:
            chat_id = int(asked.get("chat_id", ""))
        except (TypeError, ValueError):
            raise telegram_error(400, "Bad Request: chat_id is empty") from None
        text = str(asked.get("text", ""))
        if not text.strip():
            raise telegram_error(400, "Bad Request: message text is empty")
        if len(text) > _TEXT_MAX:
            raise telegram_error(400, "Bad Request: message is too long")
        if self._chats is not None and chat_id not in self._chats:
            raise telegram_error(400, "Bad Request: chat not found")
        if chat_id in self.blocked:
            raise telegram_error(403, "Forbidden: bot was blocked by the user")
        self._limit(chat_id)
        self.sent.append(Sent(chat_id, text, self.clock()))
        chat = {"id": chat_id, "type": "private"}
        message = {"message_id": len(self.sent), "chat": chat, "date": int(self.clock()), "text": text}
        return answer_json({"ok": True, "result": message})

    def _limit(self, chat_id: int) -> None:
        wait_s = self._floods.pop(0) if self._floods else math.ceil(self._open_at(chat_id) - self.clock())
        if wait_s > 0:
            raise telegram_error(429, f"Too Many Requests: retry after {wait_s}", retry_after=wait_s)

    def _open_at(self, chat_id: int) -> float:
        """When the next message to a chat is let through."""
        if not self._chat_every_s:
            return 0.0
        return max((one.at + self._chat_every_s for one in self.sent if one.chat_id == chat_id), default=0.0)


def _parameters(request: Request) -> dict[str, Any]:
    asked: dict[str, Any] = dict(request.query)
    if "json" in request.headers.get("content-type", ""):
        try:
            body = request.json()
        except ValueError:
            raise telegram_error(400, "Bad Request: can't parse JSON") from None
        return asked | (body if isinstance(body, dict) else {})
    return asked | dict(request.form())
