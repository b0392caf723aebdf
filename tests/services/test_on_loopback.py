"""The stand-ins over real sockets: the real clients reach them, webhooks reach us, and what goes wrong is counted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest
import trio

httpx = pytest.importorskip("httpx", reason='pip install "turnstile[services]"')
pytest.importorskip("stripe", reason='pip install "turnstile[services]"')
hypercorn = pytest.importorskip("hypercorn.trio", reason="needs hypercorn")

from hypercorn.config import Config  # noqa: E402 - after the reasons to skip

from reference.clients import Clients, open_clients  # noqa: E402
from reference.flows.messages_reports import is_signed  # noqa: E402
from reference.model import Provider  # noqa: E402
from reference.ports import AmbiguousError, LaterError, PaymentRequest, SessionRequest  # noqa: E402
from scenarios.services.chances import Chances, Rates  # noqa: E402
from scenarios.services.on_loopback import MOBIZON_SECRET, StandIns, stand_ins  # noqa: E402
from scenarios.services.plumbing import Request  # noqa: E402
from tests.reference.clients.conftest import SALE, SESSION  # noqa: E402

PAYMENT = PaymentRequest("p-1", SALE)


@dataclass
class Shop:
    """Our side: it keeps what it is told, and wakes whoever waits for it.

    Attributes:
        heard: path, headers and body of each request.
        statuses: what it answers, one after the other; 200 when there is no more.
    """

    heard: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    changed: trio.Condition = field(default_factory=trio.Condition)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        body = json.loads((await receive())["body"])
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        async with self.changed:
            self.heard.append((scope["path"], headers, body))
            self.changed.notify_all()
        status = self.statuses.pop(0) if self.statuses else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def until(self, enough: Callable[[Shop], bool]) -> None:
        with trio.fail_after(20):
            async with self.changed:
                while not enough(self):
                    await self.changed.wait()


@asynccontextmanager
async def shop_and_world(**options: Any) -> AsyncIterator[tuple[Shop, StandIns, Clients]]:
    """Our side and theirs on loopback, and our clients."""
    shop, config = Shop(), Config()
    config.bind = ["127.0.0.1:0"]
    config.loglevel = "WARNING"
    config.graceful_timeout = 0.0
    async with trio.open_nursery() as nursery:
        (url,) = await nursery.start(partial(hypercorn.serve, shop, config, mode="asgi"))
        async with (
            stand_ins(service_url=url, **options) as world,
            open_clients(
                replace(world.settings, patience=replace(world.settings.patience, attempt_s=1.0))
            ) as clients,
        ):
            yield shop, world, clients
        nursery.cancel_scope.cancel()


async def test_a_purchase_a_session_and_a_lead() -> None:
    """Everything that the reference calls, through its own clients, and everything that calls it back."""
    async with shop_and_world(reports_after_s=0.0) as (shop, world, clients):
        yookassa = await clients.providers[Provider.YOOKASSA].create(PAYMENT)
        world.control.pay_yookassa(yookassa.provider_payment_id)
        platega = await clients.providers[Provider.PLATEGA].create(PAYMENT)
        world.control.pay_platega(platega.provider_payment_id)
        assert clients.checkout_sessions is not None
        form = SESSION.body.replace("&expires_at=1767438000", "")
        session = await clients.checkout_sessions.create(SessionRequest("rest:1", form))
        world.control.pay_stripe(session.id)
        assert clients.sms is not None
        sms = await clients.sms.send("77010000000", "Your result", "lead-1:sms")
        assert clients.mailer is not None
        await clients.mailer.send("ann@example.com", "Your result", "Here it is", "lead-1:email")
        await clients.notifier.send(7, "Paid until tomorrow", "notice:p-1")
        await clients.key_servers.put("nl-1", "s-1", 1000)
        await shop.until(lambda shop: len(shop.heard) == 4)

    told = {path: (headers, body) for path, headers, body in shop.heard}
    assert sorted(told) == ["/mobizon/webhook", "/platega/webhook", "/stripe/webhook", "/yookassa/webhook"]
    assert told["/yookassa/webhook"][0]["x-forwarded-for"] == "77.75.156.11"
    assert told["/yookassa/webhook"][1]["object"]["id"] == yookassa.provider_payment_id
    assert told["/platega/webhook"][1]["id"] == platega.provider_payment_id
    assert told["/stripe/webhook"][1]["data"]["object"]["id"] == session.id
    assert str(told["/mobizon/webhook"][1]["data"]["messageId"]) == sms.message_id
    assert is_signed(told["/mobizon/webhook"][1], MOBIZON_SECRET)
    assert [one.text for one in world.telegram.sent] == ["Paid until tomorrow"]
    assert [list(one.to) for one in world.resend.accepted] == [["ann@example.com"]]
    assert list(world.servers["nl-1"].keys) == ["s-1"]


async def test_a_webhook_is_tried_again_until_it_is_taken() -> None:
    """By the provider's ladder, made shorter."""
    async with shop_and_world(ladder_scale=0.0001) as (shop, world, clients):
        shop.statuses = [500, 302]
        payment = await clients.providers[Provider.YOOKASSA].create(PAYMENT)
        world.control.pay_yookassa(payment.provider_payment_id)
        await shop.until(lambda shop: len(shop.heard) == 3)
        with trio.fail_after(20):
            while world.yookassa.payments.deliveries.all[0].state != "delivered":
                await trio.lowlevel.checkpoint()

    assert world.yookassa.payments.deliveries.all[0].answers == [500, 302, 200]
    assert world.couriers["yookassa"].answers == {500: 1, 302: 1, 200: 1}


async def test_copies_twins_and_late_messages_arrive_and_are_counted() -> None:
    """Two Event objects for one occurrence, each of them twice, each of them late."""
    rates = Rates(webhook_copied=1.0, webhook_late=1.0, twin=1.0, late_s=0.01)
    async with shop_and_world(rates=rates) as (shop, world, clients):
        assert clients.checkout_sessions is not None
        form = SESSION.body.replace("&expires_at=1767438000", "")
        session = await clients.checkout_sessions.create(SessionRequest("rest:1", form))
        world.control.pay_stripe(session.id)
        await shop.until(lambda shop: len(shop.heard) == 4)

    assert sorted(body["id"] for _, _, body in shop.heard) == ["evt_1", "evt_1", "evt_2", "evt_2"]
    counted = {name: count for name, count in world.chances.counted.items() if count}
    assert counted == {"twin": 1, "webhook_copied": 2, "webhook_late": 2}


async def test_a_lost_webhook_is_never_heard_of() -> None:
    """The provider believes that it was delivered."""
    async with shop_and_world(rates=Rates(webhook_lost=1.0)) as (shop, world, clients):
        payment = await clients.providers[Provider.YOOKASSA].create(PAYMENT)
        world.control.pay_yookassa(payment.provider_payment_id)
        with trio.fail_after(20):
            while world.yookassa.payments.deliveries.all[0].state != "delivered":
                await trio.lowlevel.checkpoint()

    assert shop.heard == []
    assert world.chances.counted["webhook_lost"] == 1


@pytest.mark.parametrize(
    ("rate", "error", "made"),
    [
        ("busy", LaterError, 0),
        ("failed", AmbiguousError, 0),
        ("failed_after", AmbiguousError, 1),
        ("silent", AmbiguousError, 0),
        ("silent_after", AmbiguousError, 1),
    ],
)
async def test_requests_meet_faults(rate: str, error: type[Exception], made: int) -> None:
    """Over a real connection, on which nobody answers until the caller has had enough."""
    async with shop_and_world(rates=Rates(**{rate: 1.0})) as (_, world, clients):
        with pytest.raises(error):
            await clients.providers[Provider.PLATEGA].create(PAYMENT)

    assert len(world.platega.transactions) == made
    assert world.chances.counted[rate] >= 1


async def test_control_by_http() -> None:
    """What curl can do, and what it is told when it cannot."""
    async with (
        shop_and_world() as (_, world, clients),
        httpx.AsyncClient(base_url=world.urls["control"]) as curl,
    ):
        payment = (await clients.providers[Provider.YOOKASSA].create(PAYMENT)).provider_payment_id
        await clients.notifier.send(7, "Paid until tomorrow", "notice:p-1")

        async def said(method: str, path: str, **options: Any) -> tuple[int, Any]:
            answer = await curl.request(method, path, **options)
            return answer.status_code, answer.json()

        assert (await said("GET", "/yookassa"))[1][0]["id"] == payment
        assert await said("POST", f"/yookassa/{payment}/pay") == (200, {"done": f"pay {payment}"})
        assert (await said("POST", f"/yookassa/{payment}/pay"))[0] == 409
        assert await said("POST", "/stripe/none/pay") == (404, {"error": "stripe has no none"})
        assert (await said("POST", "/stripe/none/refund"))[0] == 404
        assert (await said("GET", "/telegram?to=8"))[1] == []
        assert [one["text"] for one in (await said("GET", "/telegram?to=7"))[1]] == ["Paid until tomorrow"]
        for what in ("/", "/platega", "/stripe", "/sms", "/mail", "/keys", "/counts"):
            assert (await said("GET", what))[0] == 200
        assert (await said("PUT", "/rates", json={"busy": 0.5}))[1]["busy"] == 0.5
        assert (await said("GET", "/rates"))[1]["busy"] == 0.5
        assert world.chances.rates.busy == 0.5
        for wrong in ({"bussy": 1}, {"busy": 2}, {"busy": "often"}, [], {"failed": 0.6}):
            assert (await said("PUT", "/rates", json=wrong))[0] == 400
        assert (await said("GET", "/nothing"))[0] == 404


def test_dice_are_thrown_from_a_seed() -> None:
    """The same seed, the same faults in the same order; about as many as the rate says."""
    request = Request(0.0, "GET", "/")

    def thrown(seed: int) -> list[Any]:
        chances = Chances(Rates(busy=0.1, silent_after=0.2), seed=seed)
        return [chances.fault_of(request) for _ in range(1000)]

    assert thrown(1) == thrown(1) != thrown(2)
    assert 150 < sum(fault is not None and fault.name == "SILENT_AFTER" for fault in thrown(1)) < 250


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"busy": 1.5}, "busy is a probability from 0 to 1; got 1.5"),
        ({"busy": 0.6, "silent": 0.6}, "adds up to 1.2"),
        ({"late_s": -1}, "late_s is a number of seconds; got -1"),
    ],
)
def test_rates_make_sense(wrong: dict[str, float], words: str) -> None:
    """Or say what is expected."""
    with pytest.raises(ValueError, match=words):
        Rates(**wrong)
