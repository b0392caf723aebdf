"""What all stand-ins have in common: ASGI, and messages that are tried again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from scenarios.services.deadlines import Deadlines
from scenarios.services.deliveries import Deliveries, Message, is_success
from scenarios.services.kept_answers import KeptAnswers
from scenarios.services.plumbing import (
    Answer,
    Fault,
    NotModelled,
    RateLimit,
    Refused,
    Request,
    Service,
    answer_json,
    no_work,
)
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


async def test_a_key_in_flight_is_never_forgotten(now: Now) -> None:
    """However long the work takes; and a day after its first request it is a new one."""
    kept = KeptAnswers(now)
    went_through: list[str] = []

    async def answer(work: Callable[[], Awaitable[None]]) -> Answer:
        async def first() -> Answer:
            went_through.append("first")
            await work()
            return answer_json({"n": len(went_through)})

        return await kept.once("k", "/", b"", first, again=lambda one: one.answer or answer_json({}, 409))

    async def two_days() -> None:
        now.s += 2 * DAY
        assert (await answer(no_work)).status == 409

    assert (await answer(two_days)).status == 200
    assert went_through == ["first"]
    assert (await answer(no_work)).body == b'{"n": 2}'


async def test_a_key_of_which_nothing_came_is_not_kept(now: Now) -> None:
    """It may be used again."""
    kept = KeptAnswers(now)

    async def refused() -> Answer:
        raise Refused(answer_json({}, 400))

    async def fine() -> Answer:
        return answer_json({})

    with pytest.raises(Refused):
        await kept.once("k", "/", b"", refused, again=lambda _one: answer_json({}, 409))
    assert (await kept.once("k", "/", b"", fine, again=lambda _one: answer_json({}, 409))).status == 200


def test_deadlines_come_in_their_order_and_once(now: Now) -> None:
    """What was moved ends at its new moment, what was cleared does not end at all."""
    woken: list[float] = []
    deadlines = Deadlines(now, woken.append)
    for name, after_s in (("late", 30), ("moved", 10), ("cleared", 10), ("early", 10)):
        deadlines.set(name, now.s + after_s)
    deadlines.set("moved", now.s + 20)
    deadlines.clear("cleared")
    began = now.s

    ended = []
    for after_s in (9, 10, 10, 20, 30, 40):
        now.s = began + after_s
        ended.append(deadlines.take_due())

    assert ended == [[], ["early"], [], ["moved"], ["late"], []]
    assert woken == [began + after_s for after_s in (30, 10, 10, 10, 20)]


def test_a_rate_is_of_a_second_and_a_subject() -> None:
    """And there may be none."""
    rate = RateLimit(2)

    assert [rate.exceeded("a", at) for at in (0.0, 0.5, 0.9, 1.0)] == [False, False, True, False]
    assert not rate.exceeded("b", 0.9)
    assert not any(RateLimit(None).exceeded("a", 0.0) for _ in range(1000))


@pytest.mark.parametrize(("fault", "handled"), [(Fault.SILENT, 0), (Fault.SILENT_AFTER, 1)])
async def test_silence_lasts_until_the_caller_has_had_enough(now: Now, fault: Fault, handled: int) -> None:
    """Then the connection is let go, without a word."""
    echo, sent = Echo(now), []
    handled_before: list[Request] = []
    answer = echo.answer

    async def counted(request: Request) -> Answer:
        handled_before.append(request)
        return await answer(request)

    echo.answer = counted  # type: ignore[method-assign]
    echo.strike(fault)
    messages = [{"type": "http.request", "body": b"abc"}, {"type": "http.disconnect"}]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    await echo(scope, receive, send)

    assert (sent, messages, len(handled_before)) == ([], [], handled)
    assert Caller(echo).get("/").status == 200
