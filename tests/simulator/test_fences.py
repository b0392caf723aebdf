"""Does what would escape the simulation raise and name itself, and is chance the same in every execution?"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from socket import socket as captured_socket
from time import sleep as captured_sleep
from typing import Any

import pytest
import trio
from trio.to_thread import run_sync as captured_run_sync

from simulator import Claims, Operator, World
from simulator.database import NoDatabase
from simulator.errors import EscapedSimulation
from simulator.execution import Simulation
from simulator.schedulers.replay import Wish


async def thread() -> None:
    threading.Thread(target=int).start()


async def trios_thread() -> None:
    await trio.to_thread.run_sync(int)


async def trios_thread_by_captured_name() -> None:
    await captured_run_sync(int)


async def pool() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        executor.submit(int)


async def asyncio_loop() -> None:
    coroutine = asyncio.sleep(0)
    try:
        asyncio.run(coroutine)
    finally:
        coroutine.close()


async def connection() -> None:
    socket.create_connection(("127.0.0.1", 9), timeout=1)


async def captured() -> None:
    captured_socket()


async def trios_stream() -> None:
    await trio.open_tcp_stream("127.0.0.1", 9)


async def look_up() -> None:
    socket.gethostbyname("localhost")


async def sleep() -> None:
    captured_sleep(0.001)


async def child() -> None:
    subprocess.run([sys.executable, "-c", ""], check=False)


async def shell() -> None:
    os.system("true")


async def fork() -> None:
    if os.fork() == 0:
        os._exit(0)


async def process() -> None:
    multiprocessing.get_context("spawn").Process(target=int).start()


ESCAPES = {
    thread: "a thread",
    trios_thread: "a thread",
    trios_thread_by_captured_name: "a thread",
    pool: "a thread",
    asyncio_loop: "a socket",
    connection: "a name look-up",
    captured: "a socket",
    trios_stream: "a",
    look_up: "a name look-up",
    sleep: "a real sleep",
    child: "a child process",
    shell: "a child process",
    fork: "a child process",
    process: "a child process",
}


def run_as_lane(execute: Any, program: Callable[[], Awaitable[None]]) -> Any:
    async def scenario(world: World) -> None:
        world.run(Operator(program, name="escapee"))
        await world.quiesce()

    return execute(scenario)


@pytest.fixture(scope="module", autouse=True)
def _idle_threads() -> None:
    """An idle worker of trio's, which can be reused without starting a thread; and a warm asyncio."""
    trio.run(trio.to_thread.run_sync, int)
    asyncio.run(asyncio.sleep(0))


@pytest.mark.filterwarnings("ignore:unclosed")  # what the fenced library had built so far
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("swallows", [False, True])
@pytest.mark.parametrize("escape", ESCAPES, ids=lambda escape: escape.__name__)
def test_an_escape_raises_and_names_the_lane_and_the_line(escape: Any, swallows: bool, execute: Any) -> None:
    """It ends the exploration with the lane, what it reached for and the line, also where the code swallows it."""

    async def swallow() -> None:
        with contextlib.suppress(BaseException):
            await escape()

    with pytest.raises(EscapedSimulation) as told:
        run_as_lane(execute, swallow if swallows else escape)
    message = str(told.value)
    gc.collect()  # what the fenced library had built so far is ignored here, not in somebody else's test
    assert message.startswith(f"escapee reached for {ESCAPES[escape]}")
    assert (
        f"test_fences.py:{escape.__code__.co_firstlineno + 1}" in message
        or "in " + escape.__name__ in message
    )


def test_httpx_is_fenced_where_it_is_installed(execute: Any) -> None:
    """A request to the real network is refused by name."""
    httpx = pytest.importorskip("httpx")

    async def request() -> None:
        async with httpx.AsyncClient() as client:
            await client.get("http://127.0.0.1:9/")

    with pytest.raises(EscapedSimulation, match="in request"):
        run_as_lane(execute, request)


def test_nothing_is_fenced_outside_of_lanes_and_afterwards() -> None:
    """The scenario's body, the caller between executions, and everyone afterwards may do all of that."""

    async def nothing() -> None:
        """Ends at once."""

    async def scenario(world: World) -> None:
        socket.socket().close()
        captured_sleep(0)
        assert await trio.to_thread.run_sync(lambda: 7) == 7
        world.run(Operator(nothing))
        await world.quiesce()
        socket.socket().close()

    with Simulation(scenario, Claims(), NoDatabase()) as simulation:
        simulation.execute(Wish({}, []))
        socket.socket().close()
        captured_sleep(0)
    trio.run(trio.to_thread.run_sync, int)
    socket.socket().close()


def test_other_threads_are_not_fenced_and_draw_real_chance(execute: Any) -> None:
    """A server beside the test goes on with its sockets and its bytes while lanes move."""
    drawn: list[bytes] = []
    errors: list[BaseException] = []
    ready, go, done = (threading.Semaphore(0) for _ in range(3))

    def serve() -> None:
        ready.release()
        go.acquire()
        try:
            socket.socket().close()
            captured_sleep(0)
            drawn.append(os.urandom(16))
        except BaseException as error:
            errors.append(error)
        done.release()

    async def lane() -> None:
        drawn.append(os.urandom(16))
        go.release()
        done.acquire()
        drawn.append(os.urandom(16))

    for _ in range(2):
        thread = threading.Thread(target=serve)
        thread.start()
        ready.acquire()
        run_as_lane(execute, lane)
        thread.join()
    assert errors == []
    first, theirs, second = drawn[:3]
    assert drawn[3] == first
    assert drawn[5] == second
    assert drawn[4] != theirs
