"""What all stand-ins have in common: ASGI, and messages that are tried again."""

from __future__ import annotations

from typing import Any

import pytest

from scenarios.services.deliveries import Deliveries, Message, is_success
from scenarios.services.kept_answers import KeptAnswers
from scenarios.services.plumbing import Answer, NotModelled, Request, Service, answer_json
from tests.services.caller import DAY, Caller, Now


class Echo(Service):
    """Answers with what it was asked."""

    async def answer(self, request: Request) -> Answer:
        """The body, backwards."""
        return answer_json({"body": request.body.decode()[::-1], "at": request.at})


async def test_a_server_can_start_and_stop_it(now: Now) -> None:
    """ASGI's lifespan is answered, so any server will do."""
    said = ["lifespan.startup", "lifespan.shutdown"]
    sent: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": said.pop(0)}

    async def send(message: dict[str, str]) -> None:
        sent.append(message["type"])

    await Echo(now)({"type": "lifespan"}, receive, send)

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_body_may_come_in_parts(now: Now) -> None:
    """As servers on a real network deliver it."""
    parts: list[dict[str, Any]] = [{"body": b"ab", "more_body": True}, {"body": b"c"}]
    sent: list[dict[str, Any]] = []
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}

    async def receive() -> dict[str, Any]:
        return parts.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await Echo(now)(scope, receive, send)

    assert sent[1]["body"] == b'{"body": "cba", "at": 1767225600.0}'
    assert (b"content-length", b"35") in sent[0]["headers"]


async def test_it_speaks_no_websocket(now: Now) -> None:
    """That is the test's mistake."""
    with pytest.raises(NotModelled, match="websocket"):
        await Echo(now)({"type": "websocket"}, None, None)


def test_it_remembers_what_arrived(now: Now) -> None:
    """Refused or not: oracles count it."""
    echo = Echo(now)
    Caller(echo, x_name="value").post("/a?b=c&b=d", body={"e": 1})

    (request,) = echo.arrived
    assert (request.path, request.query, request.json()) == ("/a", (("b", "c"), ("b", "d")), {"e": 1})
    assert request.headers["x-name"] == "value"


def hooks(now: Now, **options: Any) -> Deliveries:
    return Deliveries(now, ladder=(60, 120), counts=is_success, timeout_s=5, **options)


def test_what_is_due_is_taken_once_and_reported_once(now: Now) -> None:
    """In flight it is not due, and a second report is our own mistake."""
    deliveries = hooks(now)
    delivery = deliveries.add("paid", lambda _one: Message("https://shop.example.com/", b""), after_s=10)

    assert deliveries.due() == []
    assert deliveries.next_at() == now.s + 10
    now.s += 10
    assert deliveries.due() == [delivery]
    assert deliveries.due() == []
    deliveries.answered(delivery, 200)
    with pytest.raises(AssertionError, match="paid was answered and is delivered"):
        deliveries.answered(delivery, 200)


def test_whoever_carries_messages_is_told_when(now: Now) -> None:
    """At once for a new one, and for each retry."""
    deliveries = hooks(now)
    times: list[float] = []
    deliveries.wake_at = times.append
    delivery = deliveries.add("paid", lambda _one: Message("https://shop.example.com/", b""))
    deliveries.due()
    deliveries.answered(delivery, None)

    assert times == [now.s, now.s + 60]
    assert (delivery.attempt, delivery.state) == (2, "waiting")


def test_retries_end_with_the_ladder_or_with_the_time(now: Now) -> None:
    """Whichever comes first."""
    short = hooks(now, retries_for_s=60)
    delivery = short.add("paid", lambda _one: Message("https://shop.example.com/", b""))
    for _ in range(2):
        now.s = short.next_at() or 0.0
        short.due()
        short.answered(delivery, 500)

    assert (delivery.state, len(delivery.answers)) == ("given up", 2)


def test_a_key_in_flight_is_never_forgotten(now: Now) -> None:
    """However long the work takes."""
    kept = KeptAnswers(now)
    entry = kept.begin("k", "/", b"")
    now.s += 2 * DAY

    assert kept.find("k") is entry
    entry.answer = answer_json({})
    assert kept.find("k") is None
