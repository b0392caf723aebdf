"""HTTP as plain values, and an ASGI application called without a server. No sockets, no HTTP syntax, no httpx.

httpx has an ASGI transport of its own; it is not used because it hands over the answer when the application *returns*,
while a server sends it as soon as the body is complete (what runs after that is a background task), and because a
webhook's sender has no httpx.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import trio

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request.

    Attributes:
        method: in capitals.
        path: percent-decoded, without the query.
        host: to which service.
        query: as it stands after the question mark.
        headers: names in lower case.
        body: all of it.
        client: the sender's address, which some receivers check.
    """

    method: str
    path: str
    host: str = "localhost"
    query: str = ""
    headers: Headers = ()
    body: bytes = b""
    client: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer; names of headers are in lower case."""

    status: int
    headers: Headers = ()
    body: bytes = b""


class UnreachableError(Exception):
    """Nothing was sent: nobody listens, or no connection came about in time."""

    def __init__(self, reason: str, *, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.timed_out = timed_out


class NoReplyError(Exception):
    """The request went out and no answer came: its effect may or may not have happened."""

    def __init__(self, reason: str, *, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.timed_out = timed_out


async def call_application(
    application: Application, request: HttpRequest, answer: Callable[[HttpResponse], Awaitable[None]]
) -> None:
    """Calls an ASGI application with one request, and goes on until it returns.

    Args:
        application: ASGI 3, plain HTTP.
        request: sent in one piece.
        answer: called with the response as soon as its body is complete; the application may go on after that.

    Raises:
        RuntimeError: the application returned without a complete response.
    """
    exchange = _Exchange(request, answer)
    await application(_scope(request), exchange.receive, exchange.send)
    if not exchange.complete.is_set():
        raise RuntimeError(f"the application returned without answering {request.method} {request.path}")


class _Exchange:
    """What an ASGI server keeps for one request."""

    def __init__(self, request: HttpRequest, answer: Callable[[HttpResponse], Awaitable[None]]) -> None:
        self._body: bytes | None = request.body
        self._method = request.method
        self._answer = answer
        self._status = 0
        self._headers: Headers = ()
        self._parts: list[bytes] = []
        self.complete = trio.Event()

    async def receive(self) -> Message:
        if self._body is None:
            await self.complete.wait()
            return {"type": "http.disconnect"}
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            pairs = message.get("headers", ())
            self._headers = tuple(
                (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in pairs
            )
            return
        if message["type"] != "http.response.body" or not self._status or self.complete.is_set():
            raise RuntimeError(f"the application sent {message['type']!r} where ASGI has no place for it")
        if self._method != "HEAD":
            self._parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            self.complete.set()
            await self._answer(HttpResponse(self._status, self._headers, b"".join(self._parts)))


def _scope(request: HttpRequest) -> MutableMapping[str, Any]:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
    known = {name for name, _ in headers}
    if b"host" not in known:
        headers.insert(0, (b"host", request.host.encode("latin-1")))
    if b"content-length" not in known and request.body:
        headers.append((b"content-length", str(len(request.body)).encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "https",
        "path": request.path,
        "raw_path": request.path.encode("utf-8"),
        "query_string": request.query.encode("latin-1"),
        "root_path": "",
        "headers": headers,
        "client": (request.client, 0),
        "server": (request.host, 443),
        "state": {},
    }
