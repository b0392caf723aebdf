"""Asks a stand-in without a network and without an event loop: plain calls, one after the other or one inside another."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
HOUR, DAY = 3600.0, 86_400.0


class Now:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.s = NOW

    def __call__(self) -> float:
        return self.s


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: Any


class _Works:
    def __await__(self) -> Generator[None, None, None]:
        yield


def work() -> Awaitable[None]:
    """Work that takes time: a request stops here until `Pending.end`."""
    return _Works()


class Pending:
    """A request that is at work in the service."""

    def __init__(self, app: Any, scope: dict[str, Any], body: bytes) -> None:
        self._sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            self._sent.append(message)

        self._coroutine = app(scope, receive, send)
        self._ended = False
        self._step()

    def end(self) -> Reply:
        """Lets the service finish."""
        while not self._ended:
            self._step()
        start, body = self._sent
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        return Reply(start["status"], headers, json.loads(body["body"]))

    def _step(self) -> None:
        try:
            self._coroutine.send(None)
        except StopIteration:
            self._ended = True


class Caller:
    """Sends requests to one service.

    Args:
        app: an ASGI application.
        headers: with every request.
    """

    def __init__(self, app: Callable[..., Any], **headers: str) -> None:
        self._app = app
        self._headers = headers

    def begin(
        self,
        method: str,
        url: str,
        *,
        form: dict[str, Any] | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Pending:
        """Sends a request and returns when the service pauses or has answered."""
        split = urlsplit(url)
        kind = "application/json" if form is None else "application/x-www-form-urlencoded"
        sent = json.dumps(body) if body is not None and not isinstance(body, str) else body or ""
        sent = sent if form is None else urlencode(form)
        together = {"content-type": kind, **self._headers, **(headers or {})}
        scope = {
            "type": "http",
            "method": method,
            "path": split.path,
            "query_string": split.query.encode(),
            "headers": [
                (name.replace("_", "-").lower().encode(), value.encode()) for name, value in together.items()
            ],
        }
        return Pending(self._app, scope, sent.encode())

    def ask(self, method: str, url: str, **options: Any) -> Reply:
        """Sends a request and waits for its answer."""
        return self.begin(method, url, **options).end()

    def get(self, url: str, **options: Any) -> Reply:
        """GET."""
        return self.ask("GET", url, **options)

    def post(self, url: str, **options: Any) -> Reply:
        """POST."""
        return self.ask("POST", url, **options)
