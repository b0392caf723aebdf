"""Remote services and processes that serve others: every order of what reaches them, and where they die."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import Crash, Operator, World
from simulator.faults import Fault
from simulator.network import Network
from simulator.network_http import HttpRequest, NoReplyError, UnreachableError
from tests.simulator.exhaustive.brute_force import Small, State, all_of, searched, searched_with_faults


def two_callers(*, served_by_a_process: bool, faults: tuple[Fault, ...] = ()) -> Small:
    """Each sends one request; the state is what arrived, in order, and what each was told."""
    arrived: list[str] = []
    told: dict[str, Any] = {}

    async def scenario(world: World) -> None:
        arrived.clear()
        told.clear()
        network = Network(world)

        async def application(scope: Any, _receive: Any, send: Any) -> None:
            seen = len(arrived)
            arrived.append(scope["path"])
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": str(seen).encode()})

        process = world.process("shop") if served_by_a_process else None
        network.serve("shop.example.com", application, name="shop", process=process)

        async def call(path: str) -> None:
            try:
                response = await network.send(HttpRequest("POST", path, host="shop.example.com"))
                told[path] = response.body
            except (NoReplyError, UnreachableError) as error:
                told[path] = type(error).__name__

        for number in (1, 2):
            world.process(f"p{number}").run(Operator(call, f"/{number}", name=f"a{number}"))
        world.inject(*faults)
        await world.quiesce()

    def look(world: World) -> State:
        lost = world.restarts("shop") > 0  # what a process remembers dies with it
        return (() if lost else tuple(arrived), tuple(sorted(told.items())))

    return Small(scenario, look)


@pytest.mark.parametrize("served_by_a_process", [False, True])
def test_every_order_in_which_requests_arrive(*, served_by_a_process: bool) -> None:
    small = two_callers(served_by_a_process=served_by_a_process)
    every = all_of(small, waiting_is_a_step=True, at_most=20_000)
    assert every is not None
    found = searched(small)
    assert set(found.states) == set(every.states)
    assert set(found.classes) == set(every.classes)
    assert found.executions == len(every.classes)
    assert found.strayed == 0


def test_a_process_that_dies_under_its_callers() -> None:
    """Before, between and after its answers; who calls then is refused."""
    faults = (Crash("shop", down_s=None),)
    small = two_callers(served_by_a_process=True, faults=faults)
    small.moments = 6
    every = all_of(small, waiting_is_a_step=True, at_most=50_000)
    assert every is not None
    assert {"NoReplyError", "UnreachableError"} <= {told for _, state in every.states for _, told in state}
    found = searched_with_faults(two_callers(served_by_a_process=True, faults=faults))
    assert set(found.states) == set(every.states)
