"""What every stand-in is made of: an ASGI application that answers one request with one function, and remembers it.

It refuses to be a framework: no middleware, no dependency injection, and a wrong request is answered in the words of the
provider, which is each stand-in's own business.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar
from urllib.parse import parse_qsl

Clock = Callable[[], float]
"""Unix seconds."""
Work = Callable[[], Awaitable[None]]
"""Awaited where a service's work takes time: a world's `network.pause`, a sleep in a load run, or nothing."""


class NotModelled(Exception):
    """The provider has this and the stand-in does not: a mistake in the test, never an answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """What arrived.

    Attributes:
        at: when, in unix seconds.
        method: in capitals.
        path: decoded, without the query.
        query: in order, with repetitions.
        headers: names in lower case.
        body: as it came.
    """

    at: float
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def form(self) -> tuple[tuple[str, str], ...]:
        """The body as a form, in order, with repetitions and blank values."""
        return tuple(parse_qsl(self.body.decode(), keep_blank_values=True))

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.body or b"null")

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; no body is an empty one.

        Raises:
            ValueError: it is none.
        """
        body = {} if not self.body else self.json()
        if not isinstance(body, dict):
            raise ValueError(f"expected an object; got {type(body).__name__}")
        return body

    def basic(self) -> tuple[str, str] | None:
        """User and password of Basic authentication; None without."""
        scheme, _, value = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            user, _, password = base64.b64decode(value).decode().partition(":")
        except ValueError:
            return None
        return user, password


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)

    def adding(self, *headers: tuple[str, str]) -> Answer:
        """The same with more headers."""
        return Answer(self.status, self.body, (*self.headers, *headers))


def answer_json(body: Any, status: int = 200) -> Answer:
    """An answer in JSON, byte for byte the same for the same body."""
    return Answer(status, json.dumps(body, ensure_ascii=False).encode())


class Refused(Exception):
    """Raised inside a stand-in to end a request with an answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status, answer.body.decode())
        self.answer = answer


E = TypeVar("E")


def route(endpoints: Sequence[tuple[str, str, E]], request: Request) -> tuple[E, str] | None:
    """The endpoint of a request and the id in its path (empty without one); None when there is none.

    Args:
        endpoints: method, pattern of the whole path, endpoint.
        request: what arrived.
    """
    for method, pattern, endpoint in endpoints:
        match = re.fullmatch(pattern, request.path)
        if match and method == request.method:
            return endpoint, match.group(1) if match.groups() else ""
    return None


class RateLimit:
    """So many requests in each second of the clock, for each subject by itself.

    Args:
        per_s: None: no limit.
    """

    def __init__(self, per_s: int | None) -> None:
        self._per_s = per_s
        self._seen: dict[tuple[str, int], int] = {}

    def exceeded(self, subject: str, at: float) -> bool:
        """Counts a request; whether it is one too many."""
        if self._per_s is None:
            return False
        second = subject, int(at)
        self._seen[second] = self._seen.get(second, 0) + 1
        return self._seen[second] > self._per_s


class Fault(Enum):
    """What a service does to one request, on purpose; in a world the network has faults of its own (`simulator.network_faults`)."""

    BUSY = "429, and nothing was done"
    FAILED = "500, and nothing was done"
    FAILED_AFTER = "500, and it was done"
    SILENT = "no answer, and nothing was done"
    SILENT_AFTER = "no answer, and it was done"


async def no_work() -> None:
    """Work that takes no time."""


class Service:
    """An ASGI application.

    A subclass has `answer`; it decides everything and may raise `Refused`. Between two awaits of `work` it is one step.

    Attributes:
        arrived: every request, in order, also those that were refused: what oracles count.
        wake_at: called with the unix time at which `tick` has something to do; set by whoever runs the service.
        fault_of: asked for each request; set by whoever wants faults by chance.
    """

    def __init__(self, clock: Clock, *, work: Work = no_work) -> None:
        self.clock = clock
        self.work = work
        self.arrived: list[Request] = []
        self.wake_at: Callable[[float], None] = lambda _at: None
        self.fault_of: Callable[[Request], Fault | None] = lambda _request: None
        self._struck: list[Fault] = []

    def strike(self, *faults: Fault) -> None:
        """The next requests meet these faults, one each."""
        self._struck += faults

    async def answer(self, request: Request) -> Answer:
        """Answers one request.

        Raises:
            Refused: with the provider's own error.
        """
        raise NotImplementedError

    def busy(self) -> Answer:
        """The provider's 429."""
        raise NotImplementedError

    def broken(self) -> Answer:
        """The provider's 500."""
        raise NotImplementedError

    def tick(self) -> None:
        """Does what the passing of time alone brings about."""

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            raise NotModelled(f"{type(self).__name__} speaks HTTP; got a scope of type {scope['type']!r}")
        request = await self._read(scope, receive)
        self.arrived.append(request)
        self.tick()
        fault = self._struck.pop(0) if self._struck else self.fault_of(request)
        answer = await self._answer_with(fault, request)
        if answer is None:
            while (await receive())["type"] != "http.disconnect":
                """The connection stays open until the caller has had enough."""
            return
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
        headers.append((b"content-length", str(len(answer.body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer_with(self, fault: Fault | None, request: Request) -> Answer | None:
        """The answer, or None where none is given."""
        if fault is Fault.BUSY:
            return self.busy()
        if fault is Fault.FAILED:
            return self.broken()
        if fault is Fault.SILENT:
            return None
        try:
            answer = await self.answer(request)
        except Refused as refused:
            answer = refused.answer
        if fault is Fault.FAILED_AFTER:
            return self.broken()
        return answer if fault is None else None

    async def _read(self, scope: Mapping[str, Any], receive: Any) -> Request:
        parts = []
        more = True
        while more:
            message = await receive()
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        query = tuple(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        return Request(self.clock(), scope["method"], scope["path"], query, headers, b"".join(parts))


async def _live(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
