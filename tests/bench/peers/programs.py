"""Programs that every tool runs. They know no tool: each step is one `await pause()`, whatever that is.

In memory a program is ``workers`` coroutines over one ``Shared``; a claim says why the state after them is wrong. On SQLite
it is ``workers`` functions over a file, in SQL that each tool sends in its own way (`statements`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Pause = Callable[[], Awaitable[None]]
NARROW_STEPS = 8


@dataclass(slots=True)
class Shared:
    """What the workers of a program share.

    Attributes:
        lock: the runtime's own lock, for programs that take one.
        value: a number.
        sent: one entry for each message.
        order: who made a step, in order.
    """

    lock: Any
    value: int = 0
    sent: list[int] = field(default_factory=list)
    order: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Program:
    """A program in memory.

    Attributes:
        name: in the table.
        worker: ``worker(number, shared, pause)``.
        workers: how many run at once.
        wrong: why the state at the end is wrong; None when it is right.
        correct: whether no interleaving makes it wrong.
    """

    name: str
    worker: Callable[[int, Shared, Pause], Awaitable[None]]
    workers: int
    wrong: Callable[[Shared], str | None]
    correct: bool


@dataclass(frozen=True, slots=True)
class SqlProgram:
    """A program on SQLite: each worker runs ``statements`` once, in order, on a connection of its own.

    Attributes:
        name: in the table.
        schema: a script.
        statements: SQL with ``:read`` for what the last SELECT returned and ``:worker`` for the worker's number.
        workers: how many run at once.
        wrong: a SELECT whose rows say that the end is wrong.
        correct: whether no interleaving makes it wrong.
    """

    name: str
    schema: str
    statements: Sequence[str]
    workers: int
    wrong: str
    correct: bool


async def _count(_number: int, shared: Shared, pause: Pause) -> None:
    await pause()
    seen = shared.value
    await pause()
    shared.value = seen + 1


async def _count_under_lock(number: int, shared: Shared, pause: Pause) -> None:
    async with shared.lock:
        await _count(number, shared, pause)


async def _send_unless_sent(number: int, shared: Shared, pause: Pause) -> None:
    """The SMS flow as deployed: is it pending? send; mark it as sent."""
    await pause()
    if shared.value:
        return
    await pause()
    shared.sent.append(number)
    await pause()
    shared.value = 1


async def _claim_then_send(number: int, shared: Shared, pause: Pause) -> None:
    await pause()
    if shared.value:
        return
    shared.value = 1
    await pause()
    shared.sent.append(number)


async def _many_steps(number: int, shared: Shared, pause: Pause) -> None:
    for _ in range(NARROW_STEPS):
        await pause()
        shared.order.append(number)


def _counted(workers: int) -> Callable[[Shared], str | None]:
    return lambda shared: None if shared.value == workers else f"{shared.value}, not {workers}"


def _sent_less_than(most: int) -> Callable[[Shared], str | None]:
    return lambda shared: None if len(shared.sent) < most else f"{len(shared.sent)} messages"


def _nobody_sits_in_the_window(shared: Shared) -> str | None:
    """All of worker 1 between two given steps of worker 0, and before worker 2 begins: two switches, in a window of one."""
    middle = [0] * 4 + [1] * NARROW_STEPS + [0] * 4
    return "found" if shared.order[: len(middle)] == middle else None


PROGRAMS = (
    Program("lost update x2", _count, 2, _counted(2), correct=False),
    Program("lost update x4", _count, 4, _counted(4), correct=False),
    Program("locked counter x2", _count_under_lock, 2, _counted(2), correct=True),
    Program("locked counter x3", _count_under_lock, 3, _counted(3), correct=True),
    Program("SMS flow, three sends", _send_unless_sent, 3, _sent_less_than(3), correct=False),
    Program("SMS flow, claim first x3", _claim_then_send, 3, _sent_less_than(2), correct=True),
    Program("a window of one step, three workers", _many_steps, 3, _nobody_sits_in_the_window, correct=False),
)

_ACCOUNT = (
    "CREATE TABLE account (id INTEGER PRIMARY KEY, v INTEGER NOT NULL); INSERT INTO account VALUES (1, 0);"
)
_PURCHASES = "CREATE TABLE purchases (id INTEGER PRIMARY KEY, worker INTEGER NOT NULL);"

SQL_PROGRAMS = (
    SqlProgram(
        "SQLite lost update x2",
        _ACCOUNT,
        ("SELECT v FROM account WHERE id = 1", "UPDATE account SET v = :read + 1 WHERE id = 1"),
        2,
        "SELECT v FROM account WHERE v <> 2",
        correct=False,
    ),
    SqlProgram(
        "SQLite purchase in BEGIN IMMEDIATE x2",
        _PURCHASES,
        (
            "BEGIN IMMEDIATE",
            "SELECT COUNT(*) FROM purchases",
            "INSERT INTO purchases (worker) SELECT :worker WHERE :read = 0",
            "COMMIT",
        ),
        2,
        "SELECT COUNT(*) FROM purchases HAVING COUNT(*) <> 1",
        correct=True,
    ),
    SqlProgram(
        "SQLite purchase in BEGIN IMMEDIATE x3",
        _PURCHASES,
        (
            "BEGIN IMMEDIATE",
            "SELECT COUNT(*) FROM purchases",
            "INSERT INTO purchases (worker) SELECT :worker WHERE :read = 0",
            "COMMIT",
        ),
        3,
        "SELECT COUNT(*) FROM purchases HAVING COUNT(*) <> 1",
        correct=True,
    ),
    SqlProgram(
        "SQLite order of three appends under a lock",
        _ACCOUNT,
        (
            "BEGIN IMMEDIATE",
            "SELECT v FROM account WHERE id = 1",
            "UPDATE account SET v = :read * 10 + :worker WHERE id = 1",
            "COMMIT",
        ),
        3,
        "SELECT v FROM account WHERE v = 321",
        correct=False,
    ),
)
