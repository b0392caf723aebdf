"""The network of a world: two points to a call, one choice to a fault, and a process that dies in between."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

from simulator import Crash, Limits, Operator, SimulatorError, World, explore
from simulator.database import NoDatabase
from simulator.execution import Claims
from simulator.network import Network
from simulator.network_faults import LateReply, LateRequest, LostReply, LostRequest, NetworkFault, ServerError
from simulator.network_http import HttpRequest, NoReplyError, UnreachableError

httpx = pytest.importorskip("httpx", reason="needs httpx: pip install 'turnstile[services]'")

CHARGE = HttpRequest("POST", "/charges", host="bank.example.com", body=b"amount=1")
POST = "POST bank /charges"


@dataclass
class Bank:
    """A remote service that counts charges; it may pause in the middle of its work."""

    pause: Callable[[], Awaitable[None]] | None = None
    begun: int = 0
    charged: int = 0
    bodies: list[bytes] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun += 1
        self.bodies.append((await receive())["body"])
        if self.pause is not None:
            await self.pause()
        self.charged += 1
        headers = [(b"X-Charge", str(self.charged).encode())]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": scope["path"].encode()})


@dataclass
class Calls:
    """What one execution of `call` did."""

    bank: Bank = field(default_factory=Bank)
    heard: list[Any] = field(default_factory=list)
    at: list[float] = field(default_factory=list)


def calling(
    calls: Calls,
    *faults: NetworkFault,
    times: int = 1,
    crash: bool = False,
    paused: bool = False,
    connect_s: float | None = 5.0,
    read_s: float | None = 30.0,
) -> Callable[[World], Awaitable[None]]:
    """A scenario: one process calls the bank, ``times`` operators each once."""

    async def scenario(world: World) -> None:
        network = Network(world)
        calls.bank = bank = Bank(pause=network.pause if paused else None)
        network.serve("bank.example.com", bank, name="bank")
        network.inject(*faults)

        async def pay() -> None:
            try:
                response = await network.send(CHARGE, connect_s=connect_s, read_s=read_s)
                calls.heard.append(response.status)
            except (UnreachableError, NoReplyError) as error:
                calls.heard.append(error)
            calls.at.append(world.clock.now_s)

        shop = world.process("shop").run(
            *(Operator(pay, name=f"pay{number}") for number in range(1, times + 1))
        )
        if crash:
            world.inject(Crash(shop.name, down_s=None))
        await world.quiesce()

    return scenario


def steps_of(outcome: Any) -> list[str]:
    return [f"{lane}: {point}" for lane, point, _ in outcome.trace.steps]


def test_a_call_is_two_points_with_the_effect_in_between(execute: Any) -> None:
    """Both operators' requests may arrive before either hears a reply."""
    calls = Calls()

    outcome = execute(calling(calls, times=2), ("pay1", 2), ("pay2", 2), ("pay1", 1))

    assert steps_of(outcome) == [
        "pay1: starts",
        f"pay1: {POST}",
        "pay2: starts",
        f"pay2: {POST}",
        f"pay1: reply to {POST}",
        f"pay2: reply to {POST}",
    ]
    assert calls.heard == [201, 201]
    assert calls.bank.bodies == [b"amount=1", b"amount=1"]


def test_a_process_that_dies_between_request_and_reply_has_had_its_effect(execute: Any) -> None:
    """The bank has charged; nobody heard of it."""
    calls = Calls()

    outcome = execute(calling(calls, crash=True), choices={"crash shop": 3})

    assert calls.bank.charged == 1
    assert calls.heard == []
    assert steps_of(outcome)[-1] == f"fault: SIGKILL shop before pay1: reply to {POST}"


def test_a_process_that_dies_before_its_request_has_had_no_effect(execute: Any) -> None:
    """One step earlier nothing was sent."""
    calls = Calls()

    execute(calling(calls, crash=True), choices={"crash shop": 2})

    assert calls.bank.begun == 0


def test_a_lost_request_is_a_connect_timeout_without_an_effect(execute: Any) -> None:
    """The caller waits for as long as it said, in virtual time."""
    calls = Calls()

    outcome = execute(calling(calls, LostRequest("bank")), choices={"lost request to bank": 1})

    assert isinstance(calls.heard[0], UnreachableError)
    assert calls.heard[0].timed_out
    assert (calls.bank.begun, calls.at) == (0, [5.0])
    assert f"fault: lost request to bank: {POST}" in steps_of(outcome)
    assert outcome.faults == 1


def test_without_a_connect_timeout_the_system_gives_up(execute: Any) -> None:
    """Linux stops after 127 seconds."""
    calls = Calls()

    execute(calling(calls, LostRequest("bank"), connect_s=None), choices={"lost request to bank": 1})

    assert calls.at == [127.0]


def test_a_lost_reply_is_a_read_timeout_after_the_effect(execute: Any) -> None:
    """Ambiguous, as in life: charged, and the caller cannot know."""
    calls = Calls()

    execute(calling(calls, LostReply("bank")), choices={"lost reply of bank": 1})

    assert isinstance(calls.heard[0], NoReplyError)
    assert calls.heard[0].timed_out
    assert (calls.bank.charged, calls.at) == (1, [30.0])


def test_a_reset_connection_is_noticed_at_once(execute: Any) -> None:
    """No timeout passes."""
    calls = Calls()

    execute(calling(calls, LostReply("bank", reset=True)), choices={"lost reply of bank": 1})

    assert isinstance(calls.heard[0], NoReplyError)
    assert not calls.heard[0].timed_out
    assert (calls.bank.charged, calls.at) == (1, [0.0])


def test_a_caller_without_a_read_timeout_waits_for_ever_and_is_reported(execute: Any) -> None:
    """That a client has no timeout is a finding."""
    outcome = execute(calling(Calls(), LostReply("bank"), read_s=None), choices={"lost reply of bank": 1})

    assert outcome.failure is not None
    assert outcome.failure.name == "nobody_waits_for_ever"


@pytest.mark.parametrize(("applied", "charged"), [(False, 0), (True, 1)])
def test_a_server_error_comes_with_or_without_the_effect(execute: Any, applied: bool, charged: int) -> None:
    """The status alone does not tell which of the two it was."""
    calls = Calls()
    fault = ServerError("bank", applied=applied)

    execute(calling(calls, fault), choices={fault.name: 1})

    assert (calls.heard, calls.bank.charged) == ([502], charged)


def test_a_late_reply_within_the_timeout_is_heard_late(execute: Any) -> None:
    """Nothing is lost, only time."""
    calls = Calls()

    execute(calling(calls, LateReply("bank", seconds=20)), choices={"late reply of bank": 1})

    assert (calls.heard, calls.at) == ([201], [20.0])


def test_a_late_request_has_its_effect_after_the_caller_gave_up(execute: Any) -> None:
    """The caller believes that it failed; fifteen seconds later it has not."""
    calls = Calls()

    outcome = execute(calling(calls, LateRequest("bank", seconds=45)), choices={"late request to bank": 1})

    assert isinstance(calls.heard[0], NoReplyError)
    assert (calls.at, calls.bank.charged) == ([30.0], 1)
    assert outcome.failure is None


def test_a_late_request_has_its_effect_also_when_its_caller_is_dead(execute: Any) -> None:
    """A process takes nothing back by dying."""
    calls = Calls()
    scenario = calling(calls, LateRequest("bank", seconds=45), times=2, crash=True)

    execute(scenario, choices={"late request to bank": 1, "crash shop": 4})

    assert calls.heard == []
    assert calls.bank.charged >= 1


def test_the_fault_strikes_the_call_that_was_chosen_and_no_other(execute: Any) -> None:
    """The second call of two is lost."""
    calls = Calls()

    execute(calling(calls, LostRequest("bank"), times=2), choices={"lost request to bank": 2})

    assert calls.heard[0] == 201
    assert isinstance(calls.heard[1], UnreachableError)


def test_two_faults_that_chose_one_call_strike_one_after_the_other(execute: Any) -> None:
    """Neither is lost."""
    calls = Calls()
    faults = LostRequest("bank"), ServerError("bank")

    execute(
        calling(calls, *faults, times=3),
        choices={"lost request to bank": 1, "502 of bank without its effect": 1},
    )

    assert sorted(str(type(heard).__name__) for heard in calls.heard) == ["UnreachableError", "int", "int"]
    assert sorted(heard for heard in calls.heard if isinstance(heard, int)) == [201, 502]


def test_a_service_at_work_can_be_seen_by_other_callers(execute: Any) -> None:
    """Between the two halves of one charge the other begins: what an in-flight conflict is made of."""
    calls = Calls()

    outcome = execute(calling(calls, times=2, paused=True), ("pay1", 2), ("pay2", 2))

    assert steps_of(outcome)[:5] == [
        "pay1: starts",
        f"pay1: {POST}",
        "pay2: starts",
        f"pay2: {POST}",
        f"pay2: bank works on {POST}",
    ]
    assert calls.bank.charged == 2


def test_a_service_finishes_its_work_when_its_caller_dies(execute: Any) -> None:
    """The death of the caller is nothing to the bank, which ends a second later."""
    calls = Calls()

    outcome = execute(calling(calls, paused=True, crash=True), choices={"crash shop": 3})

    assert (calls.bank.begun, calls.bank.charged, calls.heard) == (1, 1, [])
    assert steps_of(outcome)[-1] == f"fault: SIGKILL shop before pay1: bank works on {POST}"


def test_a_search_finds_the_double_charge_and_tells_it_the_same_way_twice() -> None:
    """A retry without a key charges twice; no fault is needed, a reply that is slower than the timeout will do."""
    calls = Calls()

    async def scenario(world: World) -> None:
        network = Network(world)
        calls.bank = Bank()
        network.serve("bank.example.com", calls.bank, name="bank")
        network.inject(LostRequest("bank"), LostReply("bank"))

        async def pay_twice_if_need_be() -> None:
            async with network.client(timeout=10) as client:
                for _ in range(2):
                    try:
                        await client.post("https://bank.example.com/charges")
                    except httpx.TransportError:
                        continue
                    return

        world.run(Operator(pay_twice_if_need_be, name="pay"))
        await world.quiesce()

    def charged_once(_world: World) -> str | None:
        return f"charged {calls.bank.charged} times" if calls.bank.charged > 1 else None

    found = explore(
        scenario,
        claims=Claims(eventually=(charged_once,)),
        database=NoDatabase(),
        limits=Limits(executions=100),
        check_determinism=True,
    )

    assert found.failure is not None
    assert found.failure.reason == "charged 2 times"
    assert found.schedule is not None
    assert dict(found.schedule.choices) == {"lost request to bank": 0, "lost reply of bank": 0}
    assert "clock" in [step.lane for step in found.schedule.steps]


# httpx ---------------------------------------------------------------------------------------------------------------


def through_httpx(*faults: NetworkFault, heard: list[Any], bank: Bank | None = None) -> Any:
    async def scenario(world: World) -> None:
        network = Network(world)
        network.serve("bank.example.com", bank or Bank(), name="bank")
        network.inject(*faults)

        async def pay() -> None:
            async with network.client(timeout=httpx.Timeout(10, connect=3)) as client:
                try:
                    heard.append(
                        await client.post("https://bank.example.com/charges?a=b", data={"amount": "1"})
                    )
                except httpx.TransportError as error:
                    heard.append(type(error))

        world.run(Operator(pay))
        await world.quiesce()

    return scenario


def test_httpx_is_answered_in_process(execute: Any) -> None:
    """An unmodified client; headers and body arrive both ways."""
    heard: list[Any] = []
    bank = Bank()

    execute(through_httpx(heard=heard, bank=bank))

    assert (heard[0].status_code, heard[0].headers["x-charge"], heard[0].text) == (201, "1", "/charges")
    assert bank.bodies == [b"amount=1"]


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        (LostRequest("bank"), "ConnectTimeout"),
        (LostReply("bank"), "ReadTimeout"),
        (LostReply("bank", reset=True), "ReadError"),
    ],
)
def test_httpx_raises_what_a_real_network_makes_it_raise(
    execute: Any, fault: NetworkFault, raised: str
) -> None:
    """Code that tells these apart is tested as it is."""
    heard: list[Any] = []

    execute(through_httpx(fault, heard=heard), choices={fault.name: 1})

    assert heard == [getattr(httpx, raised)]


# Wrong use -----------------------------------------------------------------------------------------------------------


def test_an_unknown_host_ends_the_execution_even_if_the_error_is_swallowed(execute: Any) -> None:
    """The message names the host and those that there are."""

    async def scenario(world: World) -> None:
        network = Network(world)
        network.serve("bank.example.com", Bank())

        async def call() -> None:
            with contextlib.suppress(Exception):  # the code under test may do that
                await network.send(HttpRequest("GET", "/", host="bnak.example.com"))

        world.run(Operator(call))
        await world.quiesce()

    with pytest.raises(SimulatorError, match=r"nobody serves that host.*bank\.example\.com"):
        execute(scenario)


def test_a_remote_service_that_waits_by_itself_is_refused(execute: Any) -> None:
    """It would die with its caller, which no remote service does."""

    async def sleepy(_scope: Any, _receive: Any, _send: Any) -> None:
        await trio.sleep(1)

    async def scenario(world: World) -> None:
        network = Network(world)
        network.serve("bank.example.com", sleepy)
        world.run(Operator(lambda: network.send(CHARGE), name="pay"))
        await world.quiesce()

    with pytest.raises(SimulatorError, match="waited for something of its own"):
        execute(scenario)


def test_a_remote_service_that_raises_is_our_mistake_and_no_finding(execute: Any) -> None:
    """A bug of a stand-in must not pass for an answer."""

    async def broken(_scope: Any, _receive: Any, _send: Any) -> None:
        raise LookupError("no such charge")

    async def scenario(world: World) -> None:
        network = Network(world)
        network.serve("bank.example.com", broken, name="bank")
        world.run(Operator(lambda: network.send(CHARGE), name="pay"))
        await world.quiesce()

    with pytest.raises(SimulatorError, match="the service bank raised LookupError: no such charge"):
        execute(scenario)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda network: network.inject(LostReply("bnak")), "no service 'bnak'; services: bank"),
        (lambda network: network.serve("bank.example.com", Bank()), "served already, by bank"),
        (
            lambda network: network.serve("other.example.com", Bank(), name="bank"),
            "two services are called 'bank'",
        ),
        (
            lambda network: network.serve("other.example.com"),
            "takes an ASGI application, a process that has one",
        ),
    ],
)
def test_wrong_use_is_told_in_words(execute: Any, wrong: Callable[[Network], None], says: str) -> None:
    """Each error names the thing, and what there is."""

    async def scenario(world: World) -> None:
        network = Network(world)
        network.serve("bank.example.com", Bank(), name="bank")
        wrong(network)

    with pytest.raises(ValueError, match=says):
        execute(scenario)
