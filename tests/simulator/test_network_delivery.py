"""Requests to our own ASGI applications: a lane of their process, whose 200 is a point of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from simulator import Crash, Operator, World
from simulator.network import Network
from simulator.network_http import HttpRequest, HttpResponse, NoReplyError, UnreachableError


def steps_of(outcome: Any) -> list[str]:
    return [f"{lane}: {point}" for lane, point, _ in outcome.trace.steps]


@dataclass
class Shop:
    """An application of ours: it records a webhook at a point of its own, and can be told to fail."""

    world: World
    recorded: list[bytes]
    error: Exception | None = None

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        await self.world.point("INSERT inbox")
        self.recorded.append(body)
        if self.error is not None:
            raise self.error
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


HOOK = HttpRequest("POST", "/webhook", body=b"paid")


def delivering(
    recorded: list[bytes],
    heard: list[Any],
    *,
    times: int = 1,
    crash: bool = False,
    pause_s: float = 0.0,
    error: Exception | None = None,
    tolerates: Any = (),
) -> Any:
    async def scenario(world: World) -> None:
        network = Network(world)

        async def start(_process: Any) -> Shop:
            return Shop(world, recorded, error)

        api = world.process("api", start)

        async def send() -> None:
            if pause_s:
                world.conductor.pause("api", paused=True)
            try:
                heard.append(await network.deliver(api, HOOK, name="hook", timeout_s=10, tolerates=tolerates))
            except (UnreachableError, NoReplyError) as failure:
                heard.append(failure)
            world.conductor.pause("api", paused=False)

        provider = world.process("provider")
        provider.run(
            *(Operator(send, name=f"send{number}", after=timedelta(seconds=1)) for number in range(times))
        )
        if crash:
            world.inject(Crash("api", down_s=None))
        await world.quiesce()

    return scenario


def test_a_webhook_is_a_lane_of_the_process_that_answers_it(execute: Any) -> None:
    """Two deliveries overlap; the 200 is a point of its own."""
    recorded: list[bytes] = []
    heard: list[Any] = []

    outcome = execute(
        delivering(recorded, heard, times=2), ("api start", 1), ("send0", 1), ("send1", 1), ("hook#1", 2)
    )

    assert recorded == [b"paid", b"paid"]
    assert heard == [HttpResponse(200, (), b"ok")] * 2
    assert "hook#1: answers 200 to POST /webhook" in steps_of(outcome)
    assert "hook#2: INSERT inbox" in steps_of(outcome)


@pytest.mark.parametrize(("moment", "records"), [(2, 0), (3, 0), (4, 1)])
def test_a_process_that_dies_in_a_webhook_leaves_the_sender_without_an_answer(
    execute: Any, moment: int, records: int
) -> None:
    """Before it began, before it recorded, and after it recorded but before its 200 was written."""
    recorded: list[bytes] = []
    heard: list[Any] = []

    execute(delivering(recorded, heard, crash=True), choices={"crash api": moment})

    assert isinstance(heard[0], NoReplyError)
    assert len(recorded) == records


def test_a_process_that_is_down_refuses_the_webhook(execute: Any) -> None:
    """It died before anything was sent."""
    heard: list[Any] = []

    execute(delivering([], heard, crash=True), choices={"crash api": 1})

    assert isinstance(heard[0], UnreachableError)


def test_a_webhook_that_takes_too_long_is_given_up_by_its_sender_only(execute: Any) -> None:
    """The process goes on with it."""
    recorded: list[bytes] = []
    heard: list[Any] = []

    execute(delivering(recorded, heard, pause_s=60))

    assert heard[0].timed_out
    assert recorded == [b"paid"]


def test_an_error_of_our_application_is_a_finding_unless_it_is_tolerated(execute: Any) -> None:
    """Tolerated, it is a 500, as its server would make of it."""
    heard: list[Any] = []

    found = execute(delivering([], heard, error=LookupError("deal 1680")))
    assert found.failure.reason == "hook#1 raised LookupError: deal 1680"

    held = execute(delivering([], heard, error=LookupError("deal 1680"), tolerates=(LookupError,)))
    assert held.failure is None
    assert heard[-1].status == 500


def test_a_process_of_the_world_can_serve_a_host(execute: Any) -> None:
    """One of our services calls another: the call is two points, its handling a lane of the other process."""
    recorded: list[bytes] = []
    heard: list[int] = []

    async def scenario(world: World) -> None:
        network = Network(world)

        async def start(_process: Any) -> Shop:
            return Shop(world, recorded)

        network.serve("orders.example.com", name="orders", process=world.process("orders", start))

        async def order() -> None:
            response = await network.send(
                HttpRequest("POST", "/orders", host="orders.example.com", body=b"1")
            )
            heard.append(response.status)

        world.run(Operator(order, after=timedelta(seconds=1)))
        await world.quiesce()

    outcome = execute(scenario)

    assert (recorded, heard) == ([b"1"], [200])
    assert steps_of(outcome)[3:] == [
        "order: POST orders /orders",
        "request#1: starts",
        "request#1: INSERT inbox",
        "request#1: answers 200 to POST /orders",
        "order: reply to POST orders /orders",
    ]


def test_an_application_sees_the_request_as_a_server_would_show_it(execute: Any) -> None:
    """ASGI's scope: the sender's address, the query as it stands, a host and a length that nobody has to give."""
    scopes: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        assert (await receive())["more_body"] is False
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})
        assert (await receive())["type"] == "http.disconnect"

    async def scenario(world: World) -> None:
        network = Network(world)
        api = world.process("api")

        async def send() -> None:
            for body in (b"paid", b""):
                request = HttpRequest(
                    "POST", "/hook", "shop.example.com", "a=b", (("X-Sign", "1"),), body, "192.0.2.7"
                )
                await network.deliver(api, request, application=application)

        world.process("provider").run(Operator(send))
        await world.quiesce()

    assert execute(scenario).failure is None

    first, second = scopes
    assert (first["path"], first["query_string"], first["client"][0]) == ("/hook", b"a=b", "192.0.2.7")
    assert first["headers"] == [(b"host", b"shop.example.com"), (b"x-sign", b"1"), (b"content-length", b"4")]
    assert b"content-length" not in dict(second["headers"])


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([], "returned without answering POST /webhook"),
        ([{"type": "http.response.body"}], "sent 'http.response.body' where ASGI has no place for it"),
        ([{"type": "websocket.send"}], "sent 'websocket.send' where ASGI has no place for it"),
    ],
)
def test_an_application_that_breaks_asgi_is_a_finding(execute: Any, messages: list[Any], says: str) -> None:
    """With what it did in the reason."""

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    async def scenario(world: World) -> None:
        network = Network(world)
        api = world.process("api")

        async def send() -> None:
            network.post(api, HOOK, lambda _response: None, application=application)

        world.process("provider").run(Operator(send))
        await world.quiesce()

    failure = execute(scenario).failure

    assert failure is not None
    assert says in failure.reason
