"""Every call of every client against every way to go wrong: what it is called, how often it was asked, how often it happened."""

from __future__ import annotations

import logging
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import MockClock

from reference.clients import Clients, ClientSettings, make_clients
from reference.clients.errors import UnauthorizedError
from reference.ports import AmbiguousError, LaterError, RemoteError
from scenarios.services.plumbing import Fault

from .conftest import CALLS, SECRETS, SETTINGS, Around, Call, httpx

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = SETTINGS.patience
DONE = {Fault.FAILED_AFTER: 1, Fault.SILENT_AFTER: 1}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
each_repeatable = pytest.mark.parametrize(
    "call",
    [call for call in CALLS.values() if call.repeatable],
    ids=[name for name, call in CALLS.items() if call.repeatable],
)
each_single = pytest.mark.parametrize(
    "call",
    [call for call in CALLS.values() if not call.repeatable],
    ids=[name for name, call in CALLS.items() if not call.repeatable],
)


def happened(around: Around, call: Call) -> int:
    return call.effects(around) if call.effects is not None else 0


@each_call
async def test_a_call_that_goes_well_is_made_once(
    autojump_clock: MockClock, around: Around, call: Call
) -> None:
    """The plain case, without which the others prove nothing."""
    await call.make(around.clients())

    assert len(around.services[call.of].arrived) == 1
    assert happened(around, call) == (1 if call.effects is not None else 0)


@each_repeatable
@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
async def test_what_is_safe_to_repeat_is_repeated(
    autojump_clock: MockClock, around: Around, call: Call, fault: Fault
) -> None:
    """A read, a state, a key: one fault is not heard of, and the effect happens once."""
    around.services[call.of].strike(fault)

    await call.make(around.clients())

    assert len(around.services[call.of].arrived) == 2
    assert happened(around, call) == (1 if call.effects is not None else 0)


@each_repeatable
@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
async def test_repetition_has_an_end(
    autojump_clock: MockClock, around: Around, call: Call, fault: Fault
) -> None:
    """In number and in time, and then the error says what is known."""
    around.services[call.of].strike(*[fault] * 10)
    began = trio.current_time()

    with pytest.raises(LaterError if fault is Fault.BUSY else AmbiguousError):
        await call.make(around.clients())

    asked = len(around.services[call.of].arrived)
    assert asked == (2 if fault in (Fault.SILENT, Fault.SILENT_AFTER) else PATIENCE.attempts_max)
    assert trio.current_time() - began <= PATIENCE.total_s
    assert happened(around, call) == (DONE.get(fault, 0) if call.effects is not None else 0)


@each_single
@pytest.mark.parametrize(
    "fault", [fault for fault in Fault if fault is not Fault.BUSY], ids=lambda fault: fault.name
)
async def test_what_is_not_safe_to_repeat_is_unknown(
    autojump_clock: MockClock, around: Around, call: Call, fault: Fault
) -> None:
    """Asked once; whether it happened is not for the client to guess."""
    around.services[call.of].strike(fault)
    began = trio.current_time()

    with pytest.raises(AmbiguousError):
        await call.make(around.clients())

    assert len(around.services[call.of].arrived) == 1
    assert happened(around, call) == DONE.get(fault, 0)
    assert trio.current_time() - began <= PATIENCE.total_s


@each_single
async def test_too_busy_is_later(autojump_clock: MockClock, around: Around, call: Call) -> None:
    """Nothing was done, so it is asked again; Stripe's client leaves that to the outbox."""
    around.services[call.of].strike(Fault.BUSY)
    if call.of == "stripe":
        with pytest.raises(LaterError):
            await call.make(around.clients())
        return

    await call.make(around.clients())

    assert len(around.services[call.of].arrived) == 2
    assert happened(around, call) == 1


@each_call
async def test_a_wrong_key_is_our_own_fault(autojump_clock: MockClock, around: Around, call: Call) -> None:
    """Later, because it says nothing about the request; and not asked again at once."""
    with pytest.raises(LaterError) as caught:
        await call.make(around.clients(with_wrong_keys()))

    assert len(around.services[call.of].arrived) == 1
    assert happened(around, call) == 0
    assert call.of == "stripe" or isinstance(caught.value, UnauthorizedError)


def with_wrong_keys() -> ClientSettings:
    accounts: dict[str, Any] = {
        name: replace(getattr(SETTINGS, name), **{secret: "wrong"})
        for name, secret in (
            ("yookassa", "secret_key"),
            ("platega", "secret"),
            ("stripe", "api_key"),
            ("mobizon", "api_key"),
            ("resend", "api_key"),
            ("telegram", "token"),
        )
    }
    servers = {"nl-1": replace(SETTINGS.key_servers["nl-1"], token="wrong")}
    return replace(SETTINGS, key_servers=servers, **accounts)


def answering(answer: Callable[[Any], Any]) -> tuple[Clients, list[Any]]:
    """Clients on a network that does one thing."""
    asked: list[Any] = []

    def handle(request: Any) -> Any:
        asked.append(request)
        return answer(request)

    return make_clients(SETTINGS, transport=httpx.MockTransport(handle)), asked


def raising(error: Exception) -> Callable[[Any], Any]:
    def fail(_request: Any) -> Any:
        raise error

    return fail


@each_call
@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>"),
        (200, b""),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"code": 0, "data": {"messageId"'),
        (200, b'"\xff"'),
        (200, b'{"id": {}, "status": 3, "result": [], "data": [], "object": "checkout.session"}'),
        (302, b""),
        (400, b"<html>"),
        (404, b"<html>"),
        (404, b'{"detail": "not found"}'),
        (413, b""),
        (500, b""),
        (503, b"<html>"),
    ],
    ids=repr,
)
async def test_an_answer_that_nobody_understands_is_unknown(
    autojump_clock: MockClock, call: Call, answer: tuple[int, bytes]
) -> None:
    """Neither done nor refused, and above all not "there is none"."""
    clients, asked = answering(lambda _request: httpx.Response(answer[0], content=answer[1]))

    with pytest.raises(AmbiguousError):
        await call.make(clients)

    assert len(asked) == (PATIENCE.attempts_max if call.repeatable else 1)


@each_call
async def test_no_connection_is_later(autojump_clock: MockClock, call: Call) -> None:
    """Nothing was sent, so that even an SMS is tried again. Stripe's SDK does not tell, so there it is unknown."""
    clients, asked = answering(raising(httpx.ConnectError("refused")))

    with pytest.raises(AmbiguousError if call.of == "stripe" else LaterError):
        await call.make(clients)

    assert len(asked) == (1 if call.of == "stripe" else PATIENCE.attempts_max)


@each_call
@pytest.mark.parametrize(
    "error",
    [httpx.ReadError("reset"), httpx.RemoteProtocolError("closed"), httpx.WriteError("broken pipe")],
    ids=repr,
)
async def test_a_connection_that_breaks_is_unknown(
    autojump_clock: MockClock, call: Call, error: Exception
) -> None:
    """It may have arrived."""
    clients, asked = answering(raising(error))

    with pytest.raises(AmbiguousError):
        await call.make(clients)

    assert len(asked) == (PATIENCE.attempts_max if call.repeatable else 1)


async def test_later_after_unknown_is_unknown(autojump_clock: MockClock, around: Around) -> None:
    """The last attempt did nothing; the first may have."""
    around.yookassa.strike(Fault.SILENT_AFTER, Fault.BUSY, Fault.BUSY)

    with pytest.raises(AmbiguousError):
        await CALLS["yookassa create"].make(around.clients())

    assert len(around.yookassa.payments.all) == 1


async def test_whoever_oversleeps_does_not_begin_again(
    autojump_clock: MockClock, around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process with too much to do wakes up late; what it knew before it went to sleep is the answer."""
    asleep = trio.sleep

    async def oversleep(seconds: float) -> None:
        await asleep(seconds + PATIENCE.total_s)

    monkeypatch.setattr(trio, "sleep", oversleep)
    around.telegram.strike(Fault.BUSY)

    with pytest.raises(LaterError):
        await CALLS["telegram send"].make(around.clients())

    assert (len(around.telegram.arrived), around.telegram.sent) == (1, [])


@each_call
async def test_no_secret_leaves_a_client(
    autojump_clock: MockClock, around: Around, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in an error, its causes or its traceback, not in the log of anybody, not in a repr: here a provider even says it back."""
    caplog.set_level(logging.DEBUG)
    echo = f"{' '.join(SECRETS.values())}"
    said = (
        f'{{"type": "error", "code": "{echo}", "description": "{echo}", "name": "{echo}", "message": "{echo}", '
        f'"title": "{echo}", "msg": "{echo}", "success": false}}'
    )
    told = [str(SETTINGS), repr(around.clients())]
    answers: list[Callable[[Any], Any]] = [
        lambda _request: httpx.Response(400, content=said),
        lambda _request: httpx.Response(500, content=said),
        lambda request: raising(httpx.ConnectError(f"to {request.url} {echo}"))(request),
        lambda request: raising(httpx.ReadError(f"from {request.url} {echo}"))(request),
    ]
    for answer in answers:
        clients, _ = answering(answer)
        with pytest.raises(RemoteError) as caught:
            await call.make(clients)
        told += [repr(caught.value), str(caught.value.code), *traceback.format_exception(caught.value)]
    await call.make(around.clients())
    told += [record.getMessage() for record in caplog.records]

    secret = SECRETS[call.of]
    assert [text for text in told if secret in text] == []
