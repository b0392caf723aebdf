"""How every client but Stripe's sends a request: timeouts, repetition where it is safe, and errors of four kinds without secrets.

A client says what it asks and how its provider says no (a `Judge`). Whether a failed attempt is repeated follows from two things:
what the failure means (`reference.clients.errors`) and whether the request is `repeatable`, which is to say a read, a state
that is set, or under a key that the provider honours. A request that is not is repeated only if nothing was done.

It refuses to be durable: what is not answered within a call's patience is the outbox's business.
"""

from __future__ import annotations

import json
import logging
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlencode

import trio

from reference.clients.errors import UnauthorizedError, scrubbed
from reference.clients.settings import Patience
from reference.ports import AmbiguousError, LaterError, RemoteError

try:
    import httpx
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f"the clients need {missing.name}: pip install 'turnstile[services]'", name=missing.name
    ) from missing

T = TypeVar("T")

# They write the URL of every request into the log, and two providers want their secret in the URL.
for _talkative in ("httpx", "httpcore"):
    logging.getLogger(_talkative).setLevel(logging.WARNING)

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer.

    Args:
        status: of HTTP.
        body: parsed JSON, with decimal numbers as `Decimal`; None when it is no JSON.
        headers: any case.
    """

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def fields(self) -> Mapping[str, Any]:
        """The body if it is an object; empty otherwise."""
        return self.body if isinstance(self.body, Mapping) else {}

    def retry_after_s(self) -> float | None:
        """The header ``Retry-After`` in its form of seconds; a date is not read."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.isdigit() else None


Judge = Callable[[Reply], RemoteError | None]
"""Says what an answer means as an error, or None when it is none."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request, the same at each attempt.

    Args:
        method: in capitals.
        path: below the base URL, percent-encoded.
        repeatable: a second time does no harm.
        query: after the question mark.
        headers: besides those of every request.
        body: None: without one.
    """

    method: str
    path: str
    repeatable: bool
    query: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None
    body: bytes | None = None


def word(value: Any) -> str:
    """A name, an address or an id out of an answer; `str` alone would make one of anything.

    Raises:
        TypeError: it is neither a text nor a whole number.
        ValueError: it is empty.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"expected a text or a whole number; got {value!r}")
    if value == "":
        raise ValueError("expected a text; got an empty one")
    return str(value)


def as_json(value: Any) -> tuple[bytes, dict[str, str]]:
    """A body and its header; byte for byte the same for the same value."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), {
        "content-type": "application/json"
    }


def as_form(pairs: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
    """A body and its header."""
    return urlencode(pairs).encode(), {"content-type": "application/x-www-form-urlencoded"}


def new_http(patience: Patience, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """Connections for one client: no redirects, which no API here answers with, and proxies only on a real network."""
    timeout = httpx.Timeout(patience.attempt_s, connect=patience.connect_s, pool=patience.connect_s)
    if transport is not None:
        return httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False)
    return httpx.AsyncClient(verify=_certificates(), timeout=timeout)


@cache
def _certificates() -> ssl.SSLContext:
    """One for all clients of the process: reading the machine's certificates takes 30 ms and more."""
    return httpx.create_ssl_context()


class Wire:
    """One provider, as far as HTTP goes.

    Args:
        provider: its name, for errors.
        http: connections; whoever made them closes them.
        base_url: without a slash at the end.
        judge: the provider's way to say no.
        patience: timeouts and repetition.
        headers: of every request.
        secrets: what must not stand in an error.
    """

    def __init__(
        self,
        provider: str,
        http: httpx.AsyncClient,
        *,
        base_url: str,
        judge: Judge,
        patience: Patience,
        headers: Mapping[str, str] | None = None,
        secrets: tuple[str, ...] = (),
    ) -> None:
        self._provider = provider
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._judge = judge
        self._patience = patience
        self._headers = dict(headers or {})
        self._secrets = secrets

    def __repr__(self) -> str:
        return f"Wire({self._provider!r}, {self._base_url!r})"  # no secret in a log

    async def ask(self, question: Question, read: Callable[[Reply], T]) -> T:
        """Send a request, again if that is safe, and read its answer.

        Args:
            question: the request.
            read: takes what is wanted out of the answer; what it raises because the answer has another shape is an
                `AmbiguousError`: somebody has answered, and nobody knows what.

        Raises:
            RemoteError: one of its four kinds. After an attempt without an answer "later" is not said any more: the later
                attempt did nothing, the earlier one may have.
        """
        ends_at = trio.current_time() + self._patience.total_s
        doubt: AmbiguousError | None = None
        attempt = 1
        while True:
            try:
                return await self._attempt(question, read, ends_at)
            except RemoteError as error:
                failed = error
            doubt = failed if isinstance(failed, AmbiguousError) else doubt
            pause_s = self._pause_s(failed, attempt) if _may_repeat(failed, question) else None
            if pause_s is not None and self._has_time(ends_at, pause_s):
                await trio.sleep(pause_s)
                if self._has_time(ends_at):  # a busy process oversleeps
                    attempt += 1
                    continue
            raise doubt if isinstance(failed, LaterError) and doubt is not None else failed

    def _has_time(self, ends_at: float, pause_s: float = 0.0) -> bool:
        """An attempt that has less time than a connection may take is not begun."""
        return trio.current_time() + pause_s + self._patience.connect_s <= ends_at

    def _pause_s(self, error: RemoteError, attempt: int) -> float | None:
        if attempt >= self._patience.attempts_max:
            return None
        if error.retry_after_s is not None:
            return error.retry_after_s
        longest = min(self._patience.pause_first_s * 2 ** (attempt - 1), self._patience.pause_max_s)
        return random.uniform(longest / 2, longest)

    async def _attempt(self, question: Question, read: Callable[[Reply], T], ends_at: float) -> T:
        what = f"{self._provider} {question.method} {question.path}"
        reply = await self._exchange(what, question, ends_at)
        error = self._judge(reply)
        if error is not None:
            # Said anew rather than passed on, so that nothing of the provider's words is in it that should not be.
            words = scrubbed(f"{what}: {error}", self._secrets)
            code = error.code and scrubbed(error.code, self._secrets)
            raise type(error)(words, code=code, retry_after_s=error.retry_after_s)
        try:
            return read(reply)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as unread:
            words = scrubbed(f"{what}: an answer that cannot be read: {unread!r}", self._secrets)
            raise AmbiguousError(words) from None

    async def _exchange(self, what: str, question: Question, ends_at: float) -> Reply:
        within_s = min(self._patience.attempt_s, ends_at - trio.current_time())
        try:
            # httpx times each phase by itself, and a server that sends a byte now and then is never too slow.
            with trio.fail_after(within_s):
                response = await self._http.request(
                    question.method,
                    self._base_url + question.path,
                    params=question.query,
                    headers={**self._headers, **(question.headers or {})},
                    content=question.body,
                )
        except _NOT_SENT as error:
            raise LaterError(self._about(what, "no connection", error)) from None
        except (httpx.HTTPError, trio.TooSlowError) as error:
            raise AmbiguousError(self._about(what, "no answer", error)) from None
        try:
            body = json.loads(response.content, parse_float=Decimal)
        except (RecursionError, ValueError):
            body = None
        return Reply(response.status_code, body, response.headers)

    def _about(self, what: str, happened: str, error: Exception) -> str:
        """The chain of causes is cut (`from None`), because a cause holds the request; its words are kept."""
        return scrubbed(f"{what}: {happened}: {type(error).__name__}: {error}", self._secrets)


def _may_repeat(error: RemoteError, question: Question) -> bool:
    if isinstance(error, UnauthorizedError):
        return False
    if isinstance(error, LaterError):
        return True
    return isinstance(error, AmbiguousError) and question.repeatable
