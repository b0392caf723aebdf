"""Processes that help this one: forked, so that whatever it holds is theirs as well, and asked over a pipe.

Who asks may be under a frozen clock, so nothing here looks at one; a helper that dies is noticed and not missed.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any

_UNREAD_MAX = 32_768  # bytes; a pipe holds 64 KiB at least, and one message is all that waits in it


def cores() -> int:
    """How many processes can run at a time."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def can_fork() -> bool:
    """Whether this process can be forked: the system does it, and no other thread holds a lock that nobody would give back."""
    return "fork" in multiprocessing.get_all_start_methods() and threading.active_count() == 1


@dataclass(slots=True, eq=False)
class Helper:
    """One process.

    Attributes:
        process: it.
        pipe: our end.
        ordered: the jobs that it was sent and has not answered, in order.
    """

    process: BaseProcess
    pipe: Connection
    ordered: deque[Hashable] = field(default_factory=deque)


class Helpers:
    """Some processes. A context manager: they are gone when it is left.

    Args:
        serve: what each of them does, given a function that waits for what it is asked, and one that answers; the first
            raises EOFError when nobody is there to ask.
        count: how many.

    Attributes:
        alive: those that are.
    """

    def __init__(self, serve: Callable[[Callable[[], Any], Callable[[Any], None]], None], count: int) -> None:
        self._serve = serve
        self._count = count
        self.alive: list[Helper] = []

    def __enter__(self) -> Helpers:
        fork = multiprocessing.get_context("fork")
        for number in range(self._count):
            ours, theirs = fork.Pipe()
            not_theirs = [ours, *(helper.pipe for helper in self.alive)]
            process = fork.Process(
                target=_live,
                args=(self._serve, theirs, not_theirs),
                name=f"turnstile-{number + 1}",
                daemon=True,
            )
            process.start()
            theirs.close()
            self.alive.append(Helper(process, ours))
        return self

    def __exit__(self, *_error: object) -> None:
        for helper in list(self.alive):
            helper.process.terminate()  # it may be in the middle of something that nobody waits for
            self.lost(helper)

    def send(self, helper: Helper, job: Hashable, message: Any) -> bool:
        """Asks for something; returns whether it was sent.

        Who is busy does not read, and may be waiting for us to read a long answer: it is sent no more than a pipe holds.
        """
        data = ForkingPickler.dumps(message)  # as the pipe's own send() does; nothing of it is saved
        if helper.ordered and len(data) > _UNREAD_MAX:
            return False
        try:
            helper.pipe.send_bytes(data)
        except OSError:
            self.lost(helper)
            return False
        helper.ordered.append(job)
        return True

    def answers(self, patience_s: float | None) -> Iterator[tuple[Helper, Any]]:
        """All answers that have come, each from the oldest job of its helper; waits so long (None: for ever) for the first."""
        poll = select.poll()  # multiprocessing's own wait() looks at the clock, which may stand still here
        of = {helper.pipe.fileno(): helper for helper in self.alive}
        for number in of:
            poll.register(number, select.POLLIN)
        patience_ms = None if patience_s is None else round(patience_s * 1000)
        while of and (ready := poll.poll(patience_ms)):
            patience_ms = 0
            for number, _ in ready:
                helper = of[number]
                try:
                    yield helper, helper.pipe.recv()
                except (EOFError, OSError):
                    poll.unregister(number)
                    del of[number]
                    self.lost(helper)

    def lost(self, helper: Helper) -> None:
        """It is gone, or is not wanted any more."""
        self.alive.remove(helper)
        helper.pipe.close()
        helper.process.join()


def _live(
    serve: Callable[[Callable[[], Any], Callable[[Any], None]], None],
    pipe: Connection,
    not_ours: Sequence[Connection],
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who asks
    for other in not_ours:
        other.close()  # else the end of the one who asks would go unnoticed
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # what is printed is printed once, by the one who asks
    os.dup2(nowhere, 2)
    try:
        serve(pipe.recv, pipe.send)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
