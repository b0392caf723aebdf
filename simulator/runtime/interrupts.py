"""Ctrl-C between trio and the code that explores: each gets the ones that strike while it runs."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any


class Interrupts:
    """Shares SIGINT between trio and the caller, whose code runs while trio stands still.

    trio's handler takes Ctrl-C during the caller's code for one during its own and keeps it until a task waits. So
    while no job runs, the handler that was there before gets it, and the caller's code is interrupted where it is.
    In other threads than the main one, trio installs none, and neither do we.
    """

    def __init__(self, is_running: Callable[[], bool]) -> None:
        self._is_running = is_running
        self._before = signal.getsignal(signal.SIGINT)
        self._trios: Any = None

    def share(self) -> None:
        """To be called when trio has started."""
        trios = signal.getsignal(signal.SIGINT)
        if trios is not self._before:
            self._trios = trios
            signal.signal(signal.SIGINT, self._handle)

    def restore(self) -> None:
        """To be called when trio has ended."""
        if self._trios is not None and signal.getsignal(signal.SIGINT) == self._handle:
            signal.signal(signal.SIGINT, self._before)
        self._trios = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        handler = self._trios if self._is_running() else self._before
        if callable(handler):
            handler(number, frame)
