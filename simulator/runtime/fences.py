"""What would escape the simulation raises and names itself; what can be made repeatable is seeded.

Threads, sockets, child processes and real sleeps are seen through CPython's audit events, which fire however the
caller got hold of the function. An audit hook cannot be removed, so one is installed per interpreter, and it answers at
once when no lane of a world is moving. What this Python does not announce is replaced, in every module that has it.
Other threads than the one that explores (a server beside the test, a plugin's timer) are none of our business.

Not seen, because nothing announces it: work handed to a thread that was started before the exploration (a warm
``concurrent.futures`` pool; trio's own idle threads are known and fenced), a wait for a ``threading.Event`` and the like,
and traffic on a socket that was connected before.
"""

from __future__ import annotations

import _posixsubprocess
import _thread
import functools
import hashlib
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from simulator.errors import EscapedSimulation
from simulator.runtime.callsite import calling_code
from simulator.runtime.trio_control import THREADS

_THREAD = ("a thread", "run the code as an actor or a task of its own")
_SOCKET = ("a socket", "reach other services through the world's network or a stand-in")
_LOOK_UP = ("a name look-up", "reach other services through the world's network or a stand-in")
_CHILD = ("a child process", "simulate what it does")
_FENCED = {
    "start_new_thread": _THREAD,
    "fork_exec": _CHILD,
    "_thread.start_new_thread": _THREAD,
    "_thread.start_joinable_thread": _THREAD,
    "socket.__new__": _SOCKET,
    "socket.connect": _SOCKET,
    "socket.bind": _SOCKET,
    "socket.getaddrinfo": _LOOK_UP,
    "socket.gethostbyname": _LOOK_UP,
    "socket.gethostbyaddr": _LOOK_UP,
    "socket.getnameinfo": _LOOK_UP,
    "time.sleep": ("a real sleep", "use trio.sleep, which takes no real time in a world"),
    "subprocess.Popen": _CHILD,
    "os.system": _CHILD,
    "os.fork": _CHILD,
    "os.forkpty": _CHILD,
    "os.exec": _CHILD,
    "os.posix_spawn": _CHILD,
}

_Watch = Callable[[], "str | None"]
_watch: _Watch | None = None  # tells which lane is moving now; None while no world is alive
_report: Callable[[EscapedSimulation], None] | None = None
_explorer = 0  # the thread that explores
_hooked = False


def _audit(event: str, _args: tuple[Any, ...]) -> None:
    if _watch is None:
        return
    fenced = _FENCED.get(event)
    if fenced is not None and threading.get_ident() == _explorer and (lane := _watch()) is not None:
        _refuse(lane, *fenced)


def _refuse(lane: str, what: str, instead: str) -> None:
    site = calling_code()
    where = f"{site}\n    {site.text}" if site else "code without a source line"
    error = EscapedSimulation(
        f"{lane} reached for {what}, which the simulator does not control, at {where}\n  {instead}"
    )
    if _report is not None:
        _report(error)  # the code under test may catch what we raise; the execution fails all the same
    raise error


class Fences:
    """Installed while an exploration runs; guards only while a lane of a world is moving, in the thread that explores.

    Chance is seeded for a whole execution, the scenario's own body included. Bytes (``os.urandom``, and so ``uuid4``,
    ``secrets`` and generators that seed themselves) come from a stream per lane: what one actor draws does not depend
    on when the others drew. The module ``random`` has one state, as it has in life, and it starts anew.
    """

    def __init__(self, watch: _Watch, report: Callable[[EscapedSimulation], None]) -> None:
        self._watch = watch
        self._report = report
        self._undo: list[tuple[Any, str, Any]] = []
        self._everywhere: dict[int, Any] = {}
        self._drawn: dict[str, int] = {}
        self._executing = False
        self._outside_state = random.getstate()
        self._inside_state = random.Random(0).getstate()

    def install(self) -> None:
        """Puts the fences up."""
        global _watch, _report, _explorer, _hooked
        if not _hooked:
            sys.addaudithook(_audit)
            _hooked = True
        _watch, _report, _explorer = self._watch, self._report, threading.get_ident()
        self._outside_state = random.getstate()
        self._real_urandom = os.urandom
        self._replace_everywhere(os.urandom, self._urandom)
        # Before Python 3.13 nothing announces these; multiprocessing starts its children below any announcement.
        self._replace_everywhere(time.sleep, self._fenced(time.sleep, "time.sleep"))
        for function in (_thread.start_new_thread, _posixsubprocess.fork_exec):
            self._replace_everywhere(function, self._fenced(function, function.__name__))
        self._put_everywhere()
        self._real_seed = random.Random.seed
        self._replace(
            random.Random, "seed", lambda generator, a=None, version=2: self._reseed(generator, a, version)
        )
        module_generator = random.seed.__self__  # type: ignore[attr-defined]
        self._replace(random, "seed", lambda a=None, version=2: self._reseed(module_generator, a, version))
        # trio may hand work to an idle thread that it has already, which no audit event tells of.
        self._real_start = THREADS.start_thread_soon
        self._replace(THREADS, "start_thread_soon", lambda cache, *job: self._start_thread(cache, *job))

    def remove(self) -> None:
        """Takes the fences down and gives chance back."""
        global _watch, _report
        _watch = _report = None
        for owner, name, value in reversed(self._undo):
            setattr(owner, name, value)
        self._undo.clear()
        self._everywhere.clear()
        random.setstate(self._outside_state)

    def begin(self) -> None:
        """Makes chance start anew: every execution draws the same numbers in the same places."""
        self._drawn.clear()
        random.setstate(self._inside_state)
        self._executing = True

    def drew(self) -> bool:
        """Whether anybody has drawn from the module ``random`` since the execution began."""
        return random.getstate() != self._inside_state

    def end(self) -> None:
        """The execution is over: bytes are real again."""
        self._executing = False

    def _replace_everywhere(self, function: Any, instead: Any) -> None:
        self._everywhere[id(function)] = instead

    def _put_everywhere(self) -> None:
        """Whoever said `from time import sleep` at the top of a module has a reference of their own."""
        for module in list(sys.modules.values()):
            if not isinstance(module, ModuleType):
                continue
            for name, value in list(vars(module).items()):
                if id(value) in self._everywhere:
                    self._replace(module, name, self._everywhere[id(value)])

    def _fenced(self, function: Any, name: str) -> Any:
        @functools.wraps(function)
        def fenced(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() == _explorer and (lane := self._watch()) is not None:
                _refuse(lane, *_FENCED[name])
            return function(*args, **kwargs)

        return fenced

    def _replace(self, owner: Any, name: str, value: Any) -> None:
        self._undo.append((owner, name, owner.__dict__[name]))
        setattr(owner, name, value)

    def _urandom(self, size: int, /) -> bytes:
        if not self._executing or threading.get_ident() != _explorer:
            return self._real_urandom(size)
        lane = self._watch() or ""
        number = self._drawn.get(lane, 0)
        self._drawn[lane] = number + 1
        return hashlib.shake_128(f"{lane}/{number}".encode()).digest(size)

    def _reseed(self, generator: random.Random, a: Any, version: int) -> None:
        if a is None and self._executing:  # C code would ask the operating system
            a = int.from_bytes(self._urandom(32), "big")
        self._real_seed(generator, a, version)

    def _start_thread(self, cache: Any, *job: Any) -> None:
        if threading.get_ident() == _explorer and (lane := self._watch()) is not None:
            _refuse(lane, *_THREAD)
        self._real_start(cache, *job)
