"""What each provider says in its own words, and what its client makes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from reference.clients import ClientSettings, Patience, make_clients, open_clients
from reference.clients.errors import MissingError, UnauthorizedError
from reference.clients.yookassa import minor_units, money
from reference.model import Provider, ProviderPayment, ProviderStatus
from reference.ports import (
    AmbiguousError,
    CreatedPayment,
    KeyConflictError,
    LaterError,
    PaymentRequest,
    RefusedError,
    SmsRecord,
)
from scenarios.services.plumbing import Fault

from .conftest import CALLS, NOW, PAYMENT, SALE, SETTINGS, Around, httpx


def sale(**changes: Any) -> PaymentRequest:
    return PaymentRequest("p-1", json.dumps(json.loads(SALE) | changes))


async def created(around: Around, provider: Provider) -> CreatedPayment:
    return await around.clients().providers[provider].create(PAYMENT)


async def look_up(around: Around, provider: Provider, payment: str) -> ProviderPayment | None:
    return await around.clients().providers[provider].look_up(payment)


# YooKassa ----------------------------------------------------------------------------------------------------------


async def test_yookassa_is_sent_what_was_frozen_and_the_same_again(
    autojump_clock: MockClock, around: Around
) -> None:
    """To the byte, under the payment's own id, at each attempt of two processes."""
    around.yookassa.strike(Fault.SILENT_AFTER)
    one = await created(around, Provider.YOOKASSA)
    two = await created(around, Provider.YOOKASSA)

    assert one == two
    assert one.confirmation_url.startswith("https://")
    bodies = {request.content for request in around.hosts.requests}
    keys = [request.headers["idempotence-key"] for request in around.hosts.requests]
    assert (len(around.hosts.requests), keys) == (3, ["p-1"] * 3)
    assert [json.loads(body) for body in bodies] == [
        {
            "amount": {"value": "199.50", "currency": "RUB"},
            "capture": True,
            "confirmation": {"type": "redirect", "return_url": "https://shop.example.com/back"},
            "description": "Payment p-1",
            "metadata": {"payment_id": "p-1"},
        }
    ]


async def test_yookassa_looks_up_what_became_of_a_payment(around: Around) -> None:
    """By its own record: amount, currency, our reference; money that went back in part has not gone back."""
    payment = (await created(around, Provider.YOOKASSA)).provider_payment_id
    waiting = ProviderPayment(ProviderStatus.PENDING, 19_950, "RUB", "p-1")
    assert await look_up(around, Provider.YOOKASSA, payment) == waiting
    around.yookassa.payments.pay(payment)
    paid = replace(waiting, status=ProviderStatus.SUCCEEDED)
    assert await look_up(around, Provider.YOOKASSA, payment) == paid
    for amount, status in (("100.00", ProviderStatus.SUCCEEDED), ("99.50", ProviderStatus.REFUNDED)):
        async with httpx.AsyncClient(transport=around.hosts, auth=("100500", "live_yookassa")) as http:
            refund = {"payment_id": payment, "amount": {"value": amount, "currency": "RUB"}}
            headers = {"Idempotence-Key": f"refund-{amount}"}
            answer = await http.post("https://yookassa.test/v3/refunds", json=refund, headers=headers)
        assert answer.status_code == 200
        assert await look_up(around, Provider.YOOKASSA, payment) == replace(waiting, status=status)


async def test_yookassa_has_cancelled_or_never_heard_of_it(around: Around) -> None:
    """Two different answers."""
    payment = (await created(around, Provider.YOOKASSA)).provider_payment_id
    around.yookassa.payments.decline(payment)

    found = await look_up(around, Provider.YOOKASSA, payment)
    assert found is not None
    assert found.status is ProviderStatus.CANCELED
    assert await look_up(around, Provider.YOOKASSA, "none/of?them") is None


async def test_yookassa_refuses_a_key_that_comes_back_with_another_body(around: Around) -> None:
    """A person has to look; and the code is kept."""
    client = around.clients().providers[Provider.YOOKASSA]
    await client.create(PAYMENT)

    with pytest.raises(KeyConflictError, match="Idempotence key duplicated") as caught:
        await client.create(sale(amount_minor=1))

    assert caught.value.code == "invalid_request"


async def test_yookassa_refuses_an_amount(around: Around) -> None:
    """For good, naming the parameter; asked once."""
    with pytest.raises(RefusedError, match=r"400 invalid_request amount\.value Incorrect amount") as caught:
        await around.clients().providers[Provider.YOOKASSA].create(sale(amount_minor=0))

    assert (caught.value.code, len(around.yookassa.arrived)) == ("invalid_request", 1)


@pytest.mark.parametrize("cancels", [True, False])
async def test_yookassa_was_too_slow(autojump_clock: MockClock, around: Around, cancels: bool) -> None:
    """500, and the repetition tells whether it could cancel."""
    around.yookassa.stall_next(cancels=cancels)
    if cancels:
        with pytest.raises(RefusedError, match="has cancelled") as caught:
            await created(around, Provider.YOOKASSA)
        assert caught.value.code == "internal_timeout"
    else:
        await created(around, Provider.YOOKASSA)

    assert (len(around.yookassa.payments.all), len(around.yookassa.arrived)) == (1, 2)


async def test_yookassa_is_still_at_it(autojump_clock: MockClock) -> None:
    """202: asked again after the time that it names, and in the end its result is unknown, with the key to ask by."""
    asked: list[float] = []

    def answer(_request: Any) -> Any:
        asked.append(trio.current_time())
        return httpx.Response(202, json={"type": "processing", "description": "", "retry_after": 1800})

    client = make_clients(SETTINGS, transport=httpx.MockTransport(answer)).providers[Provider.YOOKASSA]
    with pytest.raises(AmbiguousError) as caught:
        await client.create(PAYMENT)

    assert [round(at - asked[0], 3) for at in asked] == [0, 1.8, 3.6]
    assert caught.value.code == "processing"


@pytest.mark.parametrize(
    ("minor", "text"), [(1, "0.01"), (19_950, "199.50"), (100, "1.00"), (123_456_789, "1234567.89")]
)
def test_money_goes_there_and_back(minor: int, text: str) -> None:
    """No float on the way."""
    assert money(minor) == text
    assert minor_units(text) == minor


def test_a_fraction_of_a_kopeck_is_no_amount() -> None:
    """Rounding it would be to invent money."""
    with pytest.raises(ValueError, match=r"expected whole hundredths; got 1\.005"):
        minor_units("1.005")


# Platega -----------------------------------------------------------------------------------------------------------


async def test_platega_looks_up_what_became_of_a_transaction(around: Around) -> None:
    """In its words: CONFIRMED, CANCELED, CHARGEBACKED."""
    payment = (await created(around, Provider.PLATEGA)).provider_payment_id
    waiting = ProviderPayment(ProviderStatus.PENDING, 19_950, "RUB", "p-1")
    assert await look_up(around, Provider.PLATEGA, payment) == waiting
    around.platega.pay(payment)
    assert await look_up(around, Provider.PLATEGA, payment) == replace(
        waiting, status=ProviderStatus.SUCCEEDED
    )
    around.platega.charge_back(payment)
    assert await look_up(around, Provider.PLATEGA, payment) == replace(
        waiting, status=ProviderStatus.CHARGED_BACK
    )
    other = (await created(around, Provider.PLATEGA)).provider_payment_id
    around.platega.cancel(other)
    assert await look_up(around, Provider.PLATEGA, other) == replace(waiting, status=ProviderStatus.CANCELED)
    assert await look_up(around, Provider.PLATEGA, "none") is None


async def test_platega_does_not_know_what_a_repetition_is(around: Around) -> None:
    """Two creates are two transactions; which is why a client never repeats one by itself."""
    one, two = [await created(around, Provider.PLATEGA) for _ in range(2)]

    assert one.provider_payment_id != two.provider_payment_id


async def test_platega_says_a_word_that_nobody_knows(around: Around) -> None:
    """Neither paid nor unpaid."""
    payment = (await created(around, Provider.PLATEGA)).provider_payment_id
    around.platega.transactions[payment]["status"] = "PAID"

    with pytest.raises(AmbiguousError, match="cannot be read"):
        await look_up(around, Provider.PLATEGA, payment)


async def test_platega_refuses_an_amount(around: Around) -> None:
    """With the field's name."""
    with pytest.raises(RefusedError, match="paymentDetails"):
        await around.clients().providers[Provider.PLATEGA].create(sale(amount_minor=0))


# Mobizon -----------------------------------------------------------------------------------------------------------


async def sent(
    around: Around, reference: str, *, number: str = "77010000000", text: str = "Your result"
) -> str:
    sms = around.clients().sms
    assert sms is not None
    return (await sms.send(number, text, reference)).message_id


async def found(around: Around, *, since: float = NOW - 60, until: float = NOW + 60) -> list[SmsRecord]:
    sms = around.clients().sms
    assert sms is not None
    return await sms.find("77010000000", "Your result", int(since), int(until))


async def test_mobizon_finds_what_it_has_taken(around: Around) -> None:
    """By number, text and window; with our reference, which is kept in another list."""
    message = await sent(around, "lead-1:sms")
    await sent(around, "lead-2:sms", number="77010000001")
    await sent(around, "lead-3:sms", text="Another text")

    assert await found(around) == [SmsRecord(message, "77010000000", "Your result", "lead-1:sms", int(NOW))]
    assert await found(around, since=NOW + 1) == []
    assert await found(around, until=NOW - 1) == []
    assert around.mobizon.accepted[0].sender == "Shop"


async def test_mobizon_shows_nothing_before_its_lag_is_over(around: Around) -> None:
    """An empty list says nothing about a message that was taken just now."""
    around.mobizon._lag_s = 120.0
    await sent(around, "lead-1:sms")
    assert await found(around) == []
    around.now[0] += 120

    assert len(await found(around)) == 1


async def test_mobizons_lists_have_pages(around: Around) -> None:
    """All of them are read, and nothing is counted twice."""
    for number in range(205):
        await sent(around, f"lead-{number}:sms")

    records = await found(around)

    assert len(records) == 205
    assert {record.reference for record in records} == {f"lead-{number}:sms" for number in range(205)}


async def test_mobizons_clock_is_the_accounts(around: Around) -> None:
    """Its times name no zone."""
    account = SETTINGS.mobizon
    assert account is not None
    east = replace(account, utc_offset_s=6 * 3600)
    around.now[0] += (
        6 * 3600
    )  # the stand-in's zone is UTC, so this is how a clock six hours east shows itself
    await sent(around, "lead-1:sms")
    sms = around.clients(mobizon=east).sms
    assert sms is not None

    (record,) = await sms.find("77010000000", "Your result", int(NOW) - 60, int(NOW) + 60)

    assert record.accepted_at == int(NOW)
    assert await found(around) == []


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1, RefusedError),
        (2, RefusedError),
        (3, AmbiguousError),
        (8, UnauthorizedError),
        (10, AmbiguousError),
        (14, UnauthorizedError),
        (30, LaterError),
        (98, AmbiguousError),
        (999, AmbiguousError),
        (12345, AmbiguousError),
    ],
)
async def test_mobizons_codes(autojump_clock: MockClock, code: int, kind: type[Exception]) -> None:
    """All of them with HTTP 200; the number is kept."""

    def answer(_request: Any) -> Any:
        return httpx.Response(200, json={"code": code, "data": {"recipient": "wrong"}, "message": "no"})

    sms = make_clients(SETTINGS, transport=httpx.MockTransport(answer)).sms
    assert sms is not None
    with pytest.raises(kind, match=rf"code {code} no \(recipient\)") as caught:
        await sms.send("77010000000", "Your result", "lead-1:sms")

    assert type(caught.value) is kind
    assert getattr(caught.value, "code", "") == str(code)


async def test_mobizon_refuses_a_number(around: Around) -> None:
    """With the field's name."""
    with pytest.raises(RefusedError, match=r"code 1 Validation error \(recipient\)"):
        await sent(around, "lead-1:sms", number="112")


# Resend ------------------------------------------------------------------------------------------------------------


async def test_resend_knows_a_mail_by_its_key(around: Around) -> None:
    """For a day; the same id, one mail."""
    mailer = around.clients().mailer
    assert mailer is not None
    mail = ("ann@example.com", "Your result", "Here it is", "lead-1:email")
    ids = [await mailer.send(*mail), await mailer.send(*mail)]
    assert len(set(ids)) == 1
    around.now[0] += 86_400

    assert await mailer.send(*mail) not in ids
    assert [mail.payload["from"] for mail in around.resend.accepted] == ["shop@example.com"] * 2


async def test_resend_refuses_a_key_that_comes_back_with_another_mail(around: Around) -> None:
    """409, and not the kind to wait for."""
    mailer = around.clients().mailer
    assert mailer is not None
    await mailer.send("ann@example.com", "Your result", "Here it is", "lead-1:email")

    with pytest.raises(KeyConflictError) as caught:
        await mailer.send("ann@example.com", "Your result", "Here it is at last", "lead-1:email")

    assert caught.value.code == "invalid_idempotent_request"


async def test_resend_is_still_at_the_first_attempt(autojump_clock: MockClock, around: Around) -> None:
    """409 of the other kind: asked again, until it is the answer."""
    around.resend.work = lambda: trio.sleep(12)
    mailer = around.clients().mailer
    assert mailer is not None
    held: list[str] = []

    async def first() -> None:
        held.append(await around.clients(patience=Patience(attempt_s=15.0)).mailer.send(*mail))  # type: ignore[union-attr]

    mail = ("ann@example.com", "Your result", "Here it is", "lead-1:email")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        await trio.sleep(1)
        with pytest.raises(LaterError) as caught:
            await mailer.send(*mail)

    assert caught.value.code == "concurrent_idempotent_requests"
    assert (len(held), len(around.resend.accepted)) == (1, 1)


@pytest.mark.parametrize(("to", "key"), [("", "lead-1:email"), ("ann@example.com", "k" * 257)])
async def test_resend_refuses(around: Around, to: str, key: str) -> None:
    """An empty address, a key that is too long."""
    mailer = around.clients().mailer
    assert mailer is not None
    with pytest.raises(RefusedError):
        await mailer.send(to, "" if not to else "Your result", "Here it is", key)


# Telegram ----------------------------------------------------------------------------------------------------------


async def test_telegram_says_for_ever(around: Around) -> None:
    """The user has blocked the bot; it is not asked again."""
    around.telegram.blocked.add(7)

    with pytest.raises(RefusedError, match="403 Forbidden: bot was blocked by the user") as caught:
        await CALLS["telegram send"].make(around.clients())

    assert (caught.value.code, len(around.telegram.arrived)) == ("403", 1)


async def test_telegram_says_how_long_to_wait(autojump_clock: MockClock, around: Around) -> None:
    """And that long it is, if a call has the time."""
    around.telegram.flood_next(7)
    began = trio.current_time()

    await CALLS["telegram send"].make(around.clients())

    assert trio.current_time() - began == pytest.approx(7)
    assert len(around.telegram.sent) == 1


async def test_telegram_says_to_wait_for_longer_than_a_call_may_take(
    autojump_clock: MockClock, around: Around
) -> None:
    """Then it is the outbox's turn, which is told."""
    around.telegram.flood_next(60)

    with pytest.raises(LaterError) as caught:
        await CALLS["telegram send"].make(around.clients())

    assert (caught.value.retry_after_s, len(around.telegram.arrived)) == (60.0, 1)


@pytest.mark.parametrize("text", ["", "x" * 4097])
async def test_telegram_refuses_a_text(around: Around, text: str) -> None:
    """Empty, or too long."""
    with pytest.raises(RefusedError, match="400 Bad Request"):
        await around.clients().notifier.send(7, text, "notice:p-1")


# Key servers -------------------------------------------------------------------------------------------------------


async def test_a_key_server_has_what_it_was_told(autojump_clock: MockClock, around: Around) -> None:
    """A reset happens once for the payment that bought it, also when its answer was lost."""
    servers = around.clients().key_servers
    await servers.put("nl-1", "s-1", 1000)
    around.server.keys["s-1"].used_mb = 5
    around.server.strike(Fault.SILENT_AFTER)
    await servers.reset_traffic("nl-1", "s-1", "p-1")
    await servers.reset_traffic("nl-1", "s-1", "p-1")
    assert (around.server.keys["s-1"].used_mb, around.server.keys["s-1"].resets) == (0, 1)
    await servers.remove("nl-1", "s-1")
    await servers.remove("nl-1", "s-1")

    assert around.server.keys == {}
    with pytest.raises(MissingError):
        await servers.reset_traffic("nl-1", "s-1", "p-2")


async def test_a_server_that_is_not_in_the_settings_is_named(around: Around) -> None:
    """It is a mistake of ours, and not the server's."""
    with pytest.raises(LookupError, match="no address for the key server 'de-1'; the settings have: nl-1"):
        await around.clients().key_servers.put("de-1", "s-1", 0)


# All of them -------------------------------------------------------------------------------------------------------


async def test_what_the_settings_do_not_name_is_not_there() -> None:
    """And says so when it is asked for."""
    async with open_clients(ClientSettings()) as clients:
        assert dict(clients.providers) == {}
        assert (clients.checkout_sessions, clients.sms, clients.mailer) == (None, None, None)
        with pytest.raises(LookupError, match="no Telegram bot"):
            await clients.notifier.send(7, "text", "notice:p-1")


async def test_the_connections_are_closed_at_the_end(around: Around) -> None:
    """Also when what they were opened for fails."""
    with pytest.raises(KeyError):
        async with open_clients(SETTINGS, transport=around.hosts) as clients:
            await CALLS["yookassa create"].make(clients)
            raise KeyError
    with pytest.raises(RuntimeError, match="closed"):
        await CALLS["yookassa create"].make(clients)


@pytest.mark.parametrize(
    "wrong",
    [{"connect_s": 0}, {"connect_s": 11}, {"attempt_s": 19}, {"attempts_max": 0}, {"pause_first_s": 9}],
)
def test_patience_makes_sense(wrong: dict[str, Any]) -> None:
    """Or it says what is expected, and what there was."""
    with pytest.raises(ValueError, match="expected"):
        Patience(**wrong)


async def test_a_call_does_not_outlive_the_lease_it_is_made_under() -> None:
    """The defaults keep below the sender's; a longer patience than Stripe's lease is refused."""
    from reference import policies, policies_rest
    from reference.flows.messages_rules import CALL_MAX_S

    assert Patience().total_s < min(CALL_MAX_S, policies_rest.CLAIM_LEASE_S)
    assert Patience().total_s < min(policy.lease_s for policy in policies.JOBS.values())
    with pytest.raises(ValueError, match="outlives the lease"):
        make_clients(replace(SETTINGS, patience=Patience(total_s=60)))
