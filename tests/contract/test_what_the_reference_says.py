"""What the reference says to Stripe, in its own scenarios and through its own client, shown to the real thing.

The scenarios are run with our stand-in, and all that passes between the two is kept: each kind of request is then sent to stripe-mock,
and each answer held against Stripe's description. A kind is a method, a path, the names of the parameters and a status.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from reference import KeyConflictError, PaymentKind, RefusedError, SessionRequest, policies_rest
from reference.clients.stripe import StripeSessions
from reference.model_rest import Deal, DealStatus, Schedule
from reference.storage.schema import metadata
from scenarios.flows.test_with_real_clients_deal import a_deal
from scenarios.services.plumbing import Answer, Request
from scenarios.services.stripe import Stripe
from simulator import Crash, World
from simulator.database.sqlite import SqliteDatabase
from simulator.execution import Bounds, Claims, Simulation
from simulator.network_faults import LateReply, LostReply, ServerError
from simulator.schedulers.replay import Wish
from tests.contract.exchanges import Exchange, Recording
from tests.contract.openapi import Description
from tests.services.caller import Now

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw:DeprecationWarning")

Kind = tuple[str, str, tuple[str, ...], int]
# What goes wrong in each execution; together they lead through every branch in which the reference talks to Stripe.
STORIES: tuple[dict[str, int], ...] = (
    {},
    {"twin events": 1},
    {"lost reply of stripe": 1},
    {"lost reply of stripe": 2},
    {"502 of stripe after its effect": 1},
    {"late reply of stripe": 1, "crash worker": 12},
    {"late reply of stripe": 3},
    {"crash worker": 8},
)


def kind_of(exchange: Exchange) -> Kind:
    """What is the same about two exchanges that differ in values only."""
    request = exchange.request
    pairs = parse_qsl(request.content.decode() or request.url.query.decode(), keep_blank_values=True)
    return request.method, exchange.template, tuple(sorted({name for name, _ in pairs})), exchange.status


@dataclass
class Tapped:
    """Keeps what a stand-in is asked and answers, in whatever world it stands."""

    exchanges: list[Exchange]

    def tap(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answer_of = Stripe.answer

        async def answer(stripe: Stripe, request: Request) -> Answer:
            answered = await answer_of(stripe, request)
            self.exchanges.append(_as_exchange(request, answered))
            return answered

        monkeypatch.setattr(Stripe, "answer", answer)


def _as_exchange(request: Request, answer: Answer) -> Exchange:
    query = httpx.QueryParams(list(request.query))
    url = httpx.URL("https://api.stripe.com", path=request.path, query=str(query).encode())
    sent = httpx.Request(request.method, url, headers=dict(request.headers), content=request.body)
    return Exchange(sent, answer.status, httpx.Response(answer.status, content=answer.body).json())


async def the_deals_story(world: World) -> None:
    """The scenario of the deal, with all of its faults to be had."""
    town = await a_deal(world)
    town.network.inject(LostReply("stripe"), ServerError("stripe", applied=True), LateReply("stripe"))
    world.inject(Crash("worker"))
    await world.quiesce()


@pytest.fixture(scope="module")
def in_scenarios() -> list[Exchange]:
    """What passes between the reference and Stripe in its scenarios."""
    tapped = Tapped([])
    with pytest.MonkeyPatch.context() as monkeypatch:
        tapped.tap(monkeypatch)
        simulation = Simulation(
            the_deals_story, Claims(), SqliteDatabase(metadata), Bounds(), moments_otherwise=20
        )
        with simulation as opened:
            for story in STORIES:
                assert opened.execute(Wish(story, [])).failure is None, story
    return tapped.exchanges


DEAL = Deal(
    id=1680,
    title="Flat 7 & cellar",
    status=DealStatus.WON,
    user_id=7,
    amount_minor=50_000,
    currency="EUR",
    close_date=1_768_000_000,
    version=1,
    schedule=next(iter(Schedule)),
)


def frozen(now: Now, *, amount_minor: int = 50_000) -> SessionRequest:
    """As a claim freezes it."""
    body = policies_rest.request_body(
        DEAL,
        PaymentKind.SINGLE,
        "single:1680:g1",
        amount_minor=amount_minor,
        expires_at=int(now.s) + policies_rest.SESSION_LIFE_S,
        return_url="https://shop.example.com/thanks",
    )
    return SessionRequest("turnstile:single:1680:g1", body)


@pytest.fixture
async def through_the_client(standin: Stripe, now: Now) -> list[Exchange]:
    """Every method of the reference's client, and every refusal that it has to understand."""
    recording = Recording(standin)
    client = StripeSessions("sk_test_turnstile", transport=recording)
    one = await client.create(frozen(now))
    assert await client.create(frozen(now)) == one
    for _ in range(2):
        now.s += 1
        await client.create(SessionRequest(f"turnstile:single:1681:g{now.s}", frozen(now).body))
    paid, waiting = list(standin.sessions.all)[1:]
    standin.sessions.pay(paid)
    standin.sessions.complete_unpaid(waiting)
    for session in (one.id, paid, waiting):
        assert await client.retrieve(session) is not None
    standin.sessions.settle(waiting, succeeded=False)
    await client.retrieve(waiting)
    await client.list_created(int(now.s) - 60, int(now.s))
    await client.list_created(int(now.s) - 60, int(now.s), starting_after=paid)
    await client.expire(one.id)
    assert await client.retrieve("cs_test_none") is None
    with pytest.raises(KeyConflictError):
        await client.create(frozen(now, amount_minor=1))
    with pytest.raises(RefusedError):
        await client.expire(one.id)
    with pytest.raises(RefusedError):
        await client.list_created(0, 1, starting_after="cs_test_none")
    await client.aclose()
    return recording.exchanges


async def test_what_scenarios_say_is_what_the_clients_tests_say(
    in_scenarios: list[Exchange], through_the_client: list[Exchange]
) -> None:
    """No request of a scenario is of a kind that nobody has shown to Stripe; and the scenarios say something."""
    shown = {kind_of(one)[:3] for one in through_the_client}
    said = {kind_of(one)[:3] for one in in_scenarios}

    assert sorted(said - shown) == []
    assert {(method, template) for method, template, _ in said} >= {
        ("POST", "/v1/checkout/sessions"),
        ("GET", "/v1/checkout/sessions/{session}"),
    }
    assert {(method, template) for method, template, _ in shown} == {
        ("POST", "/v1/checkout/sessions"),
        ("GET", "/v1/checkout/sessions"),
        ("GET", "/v1/checkout/sessions/{session}"),
        ("POST", "/v1/checkout/sessions/{session}/expire"),
        ("GET", "/v1/payment_intents/{intent}"),
    }


async def test_stripe_mock_accepts_every_kind_of_request(
    in_scenarios: list[Exchange], through_the_client: list[Exchange], real_stripe_mock: Callable[..., Any]
) -> None:
    """Names, types and shapes, to the byte that the reference has frozen."""
    kinds = {kind_of(one): one for one in (*in_scenarios, *through_the_client) if one.status in (200, 409)}
    refused = []
    for exchange in kinds.values():
        request = exchange.request
        headers = {
            name: request.headers[name]
            for name in ("authorization", "content-type")
            if name in request.headers
        }
        answer = real_stripe_mock(
            request.method, request.url.raw_path.decode(), headers=headers, content=request.content
        )
        if answer.status_code != 200:
            refused.append(f"{exchange}: {answer.text}")

    assert len(kinds) >= 6
    assert refused == []


async def test_every_answer_to_the_reference_is_what_stripe_describes(
    in_scenarios: list[Exchange], through_the_client: list[Exchange], description: Description
) -> None:
    """One of each kind of answer, errors included."""
    kinds = {kind_of(one): one for one in (*in_scenarios, *through_the_client)}
    wrong = [
        f"{one}: {complaint}"
        for one in kinds.values()
        for complaint in description.complaints(
            one.body, description.of_answer(one.request.method, one.template, one.status)
        )
    ]

    assert wrong == []
    assert {status for *_, status in kinds} >= {200, 400, 404}
