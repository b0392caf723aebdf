"""What would escape the simulation raises and names itself; what can be made repeatable is seeded.

Threads, sockets, child processes and real sleeps are seen through CPython's audit events, which fire however the
caller got hold of the function (``from time import sleep`` included). An audit hook cannot be removed, so one is
installed per interpreter, and it answers at once when no lane of a world is moving.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
from collections.abc import Callable
from typing import Any

import trio

from simulator.errors import EscapedSimulation
from simulator.runtime.callsite import calling_code

_FENCED = {
    "_thread.start_new_thread": ("a thread", "run the code as an actor or a task of its own"),
    "_thread.start_joinable_thread": ("a thread", "run the code as an actor or a task of its own"),
    "socket.__new__": ("a socket", "reach other services through the world's network or a stand-in"),
    "socket.connect": ("a socket", "reach other services through the world's network or a stand-in"),
    "socket.bind": ("a socket", "reach other services through the world's network or a stand-in"),
    "socket.getaddrinfo": ("a name look-up", "reach other services through the world's network or a stand-in"),
    "time.sleep": ("a real sleep", "use trio.sleep, which takes no real time in a world"),
    "subprocess.Popen": ("a child process", "simulate what it does"),
    "os.system": ("a child process", "simulate what it does"),
    "os.fork": ("a child process", "simulate what it does"),
    "os.posix_spawn": ("a child process", "simulate what it does"),
}

_Watch = Callable[[], "str | None"]
_watch: _Watch | None = None  # tells which lane is moving now; None while no world is alive
_report: Callable[[EscapedSimulation], None] | None = None
_hooked = False


def _audit(event: str, _args: tuple[Any, ...]) -> None:
    if _watch is None:
        return
    fenced = _FENCED.get(event)
    if fenced is not None and (lane := _watch()) is not None:
        _refuse(lane, *fenced)


def _refuse(lane: str, what: str, instead: str) -> None:
    site = calling_code()
    where = f"{site}\n    {site.text}" if site else "code without a source line"
    error = EscapedSimulation(f"{lane} reached for {what}, which the simulator does not control, at {where}\n  {instead}")
    if _report is not None:
        _report(error)  # the code under test may catch what we raise; the execution fails all the same
    raise error


class Fences:
    """Installed while an exploration runs; guards only while a lane of a world is moving."""

    def __init__(self, watch: _Watch, report: Callable[[EscapedSimulation], None]) -> None:
        self._watch = watch
        self._report = report
        self._undo: list[tuple[Any, str, Any]] = []
        self._drawn: dict[str, int] = {}
        self._seed = b""
        self._outside_state = random.getstate()
        self._inside_state = random.Random(0).getstate()

    def install(self) -> None:
        """Puts the fences up."""
        global _watch, _report, _hooked  # noqa: PLW0603 - one audit hook per interpreter
        if not _hooked:
            sys.addaudithook(_audit)
            _hooked = True
        _watch, _report = self._watch, self._report
        self._outside_state = random.getstate()
        self._replace(os, "urandom", self._urandom)
        self._replace(random, "_urandom", self._urandom)  # SystemRandom, and so secrets, kept a reference of its own
        self._replace(trio.to_thread, "run_sync", self._refuse_thread)  # trio may reuse a thread that already runs

    def remove(self) -> None:
        """Takes the fences down and gives chance back."""
        global _watch, _report  # noqa: PLW0603
        _watch = _report = None
        for owner, name, value in reversed(self._undo):
            setattr(owner, name, value)
        self._undo.clear()
        random.setstate(self._outside_state)

    def begin(self) -> None:
        """Makes chance start anew: every execution draws the same numbers in the same places."""
        self._drawn.clear()
        random.setstate(self._inside_state)

    def _replace(self, owner: Any, name: str, value: Any) -> None:
        self._undo.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    def _urandom(self, size: int, /) -> bytes:
        lane = self._watch()
        if lane is None:
            real = self._undo[0][2]
            return real(size)  # type: ignore[no-any-return]
        # A stream per lane: what one actor draws does not depend on when the others drew.
        number = self._drawn.get(lane, 0)
        self._drawn[lane] = number + 1
        block = hashlib.shake_128(f"{lane}/{number}".encode())
        return block.digest(size)

    async def _refuse_thread(self, *args: Any, **kwargs: Any) -> Any:
        lane = self._watch()
        if lane is None:
            real = next(value for owner, name, value in self._undo if owner is trio.to_thread and name == "run_sync")
            return await real(*args, **kwargs)
        _refuse(lane, *_FENCED["_thread.start_new_thread"])
        return None
