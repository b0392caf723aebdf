"""Total control of trio's run queue, one task step at a time. The only file that knows trio's private names.

trio sorts and shuffles every batch of runnable tasks when its deterministic-scheduling flag is set (the hook that
pytest-trio and Hypothesis rest on). We stand in for the random generator that shuffles: our ``shuffle`` keeps the one
task that the conductor chose and puts the others back into the run queue. So every checkpoint of unmodified trio code
becomes a moment at which somebody else may move, and nothing moves that was not chosen.

The loop lives in a greenlet. Between two executions trio stands still in the middle of a step of its main task while
the caller's ordinary synchronous code runs (Hypothesis, a search, a shrinker). The alternatives are one ``trio.run``
per execution, which costs 0.22 ms each, more than a whole in-memory execution, and an asynchronous exploration layer,
which Hypothesis cannot call.
"""

from __future__ import annotations

import contextvars
import operator
import random
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, Protocol

import sniffio
import trio
from greenlet import getcurrent, greenlet

from simulator.errors import SimulatorError, UnsupportedTrio
from simulator.runtime.interrupts import Interrupts

KNOWN_TO_WORK = "0.30 to 0.35"


def _unsupported(what: str) -> UnsupportedTrio:
    return UnsupportedTrio(
        f"trio {trio.__version__} cannot be controlled one task step at a time: {what}. "
        f"Known to work: trio {KNOWN_TO_WORK}. Install one of those, or see simulator/runtime/trio_control.py."
    )


try:
    import trio._core._run as trio_run
    from trio._core._thread_cache import ThreadCache
except ImportError as error:
    raise _unsupported(str(error)) from error


class Picker(Protocol):
    """Decides who moves."""

    def pick(self, batch: list[trio.lowlevel.Task]) -> trio.lowlevel.Task | None:
        """Chooses from the runnable tasks, oldest first; None lets nobody move (the clock was moved instead)."""


_counter_of = operator.attrgetter(
    "_counter"
)  # tasks are numbered as they come to be; trio sorts a batch by it


class _Chooser(random.Random):
    """Stands in for trio's private random generator while a controlled loop runs."""

    def __init__(self, abandon: Callable[[BaseException], NoReturn]) -> None:
        super().__init__(0)
        self._abandon = abandon
        self.picker: Picker | None = None
        self.runner: Any = None
        self.batch: list[Any] | None = None  # trio's own list of what it still lets run in this round

    def shuffle(self, batch: list[Any]) -> None:  # type: ignore[override]
        picker = self.picker
        # Another thread may run a trio of its own (a server beside the test): that one is none of our business.
        if trio_run.GLOBAL_RUN_CONTEXT.runner is not self.runner:
            return
        self.batch = batch
        if picker is None:
            return
        try:
            chosen = picker.pick(batch)
        except BaseException as error:
            self._abandon(error)
        if len(batch) == 1 and chosen is batch[0]:
            return
        self.runner.runq.extend(task for task in batch if task is not chosen)
        batch[:] = [chosen] if chosen is not None else []


_abandoned: list[greenlet] = []


class TrioLoop:
    """A trio loop that stands still between jobs.

    Rules for its users: call ``run`` and ``close`` from the thread that made it; while it is open, no other
    ``trio.run`` can start in this thread (trio says so itself). A job that raises leaves the loop usable; a picker
    that raises does not, and its tasks are abandoned where they stand: only ``close`` may follow.

    Raises:
        UnsupportedTrio: the installed trio cannot be controlled.
        SimulatorError: this thread is inside a ``trio.run`` already.
    """

    def __init__(self, clock: trio.abc.Clock) -> None:
        _probe_once()
        if _inside_a_run():
            raise SimulatorError(
                "an exploration cannot start inside a running trio loop: call it from a plain function, not from an "
                "async one (under pytest-trio's trio_mode every async test runs inside a loop)"
            )
        self._chooser = _Chooser(self.abandon)
        self._clock = clock
        self._running = False
        self._ended = False
        self._patched = (trio_run._ALLOW_DETERMINISTIC_SCHEDULING, trio_run._r)
        self._caller = getcurrent()
        self._loop = greenlet(self._serve)
        # The caller's variables, or the scenario would see none of them; a second copy for what is picked while a task
        # is moving: what a pick sets off (a fault, a restart) must not inherit what that task has set.
        self._loop.gr_context = contextvars.copy_context()
        self._outside = contextvars.copy_context()
        trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
        trio_run._r = self._chooser
        try:
            self._interrupts = Interrupts(self._is_running)
            self._loop.switch()
            self._interrupts.share()
        except BaseException:
            self._restore()
            raise

    def run(self, job: Callable[[], Awaitable[Any]], picker: Picker) -> Any:
        """Runs one job to its end under the picker's control and returns what it returned.

        Args:
            job: an async function; it runs in trio's main task.
            picker: asked before every step of every task until the job is done.

        Raises:
            Whatever the job raised, or the picker.
        """
        if self._ended:
            raise SimulatorError("this loop has ended: it was closed, or its picker raised")
        self._caller = getcurrent()
        self._chooser.picker = picker
        self._running = True
        try:
            done, value = self._loop.switch(job)
        finally:
            self._running = False
            self._chooser.picker = None
        if not done:
            raise value
        return value

    def close(self) -> None:
        """Ends the loop and gives trio its own generator back. Safe to call twice."""
        ended, self._ended = self._ended, True
        try:
            if not ended:
                self._caller = getcurrent()
                self._loop.switch(None)
        finally:
            self._restore()

    @trio.lowlevel.enable_ki_protection
    def goes_on(self) -> bool:
        """Lets the picker choose now, for a task that is about to come to a checkpoint.

        A checkpoint costs a round of trio's loop (3 us), most of them for nothing: the picker lets the same task go on.
        trio's documentation leaves it to a scheduler to ignore a checkpoint, so whoever stands before one asks first.
        The picker sees the tasks that a round would show it, in the same order. If it chooses another task, that one
        is appended to what trio lets run in the current round, and the one that asked must come to its checkpoint. As
        in trio's own code, Ctrl-C waits until the choice is made.

        Returns:
            Whether the task that asks was chosen. If not, a checkpoint must follow. A round in which something else
            happens first (a timer is due, a cancellation or Ctrl-C is to be delivered) is left to trio.
        """
        chooser, task = self._chooser, trio_run.GLOBAL_RUN_CONTEXT.task
        runner = chooser.runner
        if (
            chooser.batch is None
            or task._cancel_status.effectively_cancelled
            or runner.ki_pending
            or runner.deadlines.next_deadline() <= self._clock.current_time()
        ):
            return False
        batch = sorted((*runner.runq, task), key=_counter_of) if runner.runq else [task]
        try:
            chosen = self._outside.run(chooser.picker.pick, batch)  # type: ignore[union-attr]
        except BaseException as error:
            self.abandon(error)
        if chosen is None or chosen is task:
            return chosen is task
        runner.runq.remove(chosen)
        chooser.batch.append(chosen)
        return False

    def next_deadline(self) -> float:
        """The loop time, in seconds, of the earliest timer; ``inf`` when there is none."""
        return self._chooser.runner.deadlines.next_deadline()  # type: ignore[no-any-return]

    def abandon(self, error: BaseException) -> NoReturn:
        """Leaves the loop in the middle of its step for ever; ``run`` raises the error. To be called from inside.

        An exception would come out of trio as an internal error and leave coroutines behind that nobody can close:
        when they are collected, whenever that is, they corrupt the loop that runs then. So they are kept instead.
        """
        self._ended = True
        _abandoned.extend((self._loop, getcurrent()))
        trio_run.GLOBAL_RUN_CONTEXT.__dict__.clear()  # or no trio.run could ever start in this thread again
        sniffio.thread_local.name = None
        if threading.current_thread() is threading.main_thread():
            signal.set_wakeup_fd(-1)
        self._caller.switch((False, error))
        raise AssertionError("an abandoned loop is never resumed")

    def _is_running(self) -> bool:
        return self._running

    def _restore(self) -> None:
        trio_run._ALLOW_DETERMINISTIC_SCHEDULING, trio_run._r = self._patched  # type: ignore[misc]
        self._interrupts.restore()

    def _serve(self) -> None:
        trio.run(self._main, clock=self._clock)

    async def _main(self) -> None:
        self._chooser.runner = trio_run.GLOBAL_RUN_CONTEXT.runner
        await (
            trio.lowlevel.cancel_shielded_checkpoint()
        )  # a round in which the chooser comes to know the batch
        task = trio.lowlevel.current_task()
        fresh = task.context.copy()
        job = self._caller.switch()
        while job is not None:
            try:
                answer = (True, await job())
            except BaseException as error:  # everything goes to the caller, Ctrl-C included
                answer = (False, error)
            if task.context != fresh:  # what a job left in context variables is not for the next one
                task.context = fresh.copy()
                await (
                    trio.lowlevel.cancel_shielded_checkpoint()
                )  # a task's context changes between two of its steps
            job = self._caller.switch(answer)


def throw_into(task: trio.lowlevel.Task, error: BaseException) -> None:
    """Makes a task go on with an error, whatever it waits for and however it is shielded.

    Only for unwinding an execution that is over: nothing else gets code out of a shielded wait for what never comes.
    A task that has a nursery is spared while it is about to go on: an error in the wrong place of a nursery's exit
    corrupts trio; its children are not.
    """
    if task._next_send_fn is not None:
        if not task._child_nurseries:
            task._next_send_fn, task._next_send = task.coro.throw, error
    elif task._abort_func is not None:
        task._attempt_abort(lambda: _raise(error))


def leaves_of(error: BaseException) -> list[BaseException]:
    """The errors in a nursery's group, however deep, in order; an error that is no group is its own leaf."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in leaves_of(inner)]


def _raise(error: BaseException) -> NoReturn:
    raise error


def _inside_a_run() -> bool:
    return hasattr(trio_run.GLOBAL_RUN_CONTEXT, "runner")


class VirtualTime(trio.abc.Clock):
    """trio's view of the virtual clock: seconds since the execution began. Never waits for real."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def start_clock(self) -> None:
        """Nothing to start: time moves when the conductor moves it."""

    def current_time(self) -> float:
        """Seconds since the execution began."""
        return self.now_s

    def deadline_to_sleep_time(self, deadline: float) -> float:  # noqa: ARG002
        """Zero: the conductor is asked again at once, and it moves the clock when everyone waits."""
        return 0.0


THREADS = ThreadCache  # for the fences: trio's idle threads

_PRIVATE = ("_ALLOW_DETERMINISTIC_SCHEDULING", "_r", "GLOBAL_RUN_CONTEXT")
_PRIVATE_OF_TASKS = (
    "_abort_func",
    "_attempt_abort",
    "_cancel_status",
    "_child_nurseries",
    "_counter",
    "_next_send",
    "_next_send_fn",
)
_probed = False


def _probe_once() -> None:
    """Proves control on two tasks, once per interpreter.

    Raises:
        UnsupportedTrio: when the order that was chosen is not the order that ran.
    """
    global _probed
    if _probed:
        return
    missing = [name for name in _PRIVATE if not hasattr(trio_run, name)]
    missing += [f"Task.{name}" for name in _PRIVATE_OF_TASKS if not hasattr(trio_run.Task, name)]
    if missing:
        raise _unsupported(f"trio._core._run has no {' and no '.join(missing)}")
    if _inside_a_run():
        return  # whoever asks cannot start a loop anyway
    expected, seen = "aabbabbaab", ""
    _probed = True  # the probe makes a loop of its own
    try:
        seen = _probe(expected)
    except Exception as error:
        _probed = False
        raise _unsupported(repr(error)) from error
    if seen != expected:
        _probed = False
        raise _unsupported(f"the steps ran as {seen!r} where {expected!r} was chosen")


def _probe(wanted: str) -> str:
    seen: list[str] = []

    async def steps(name: str) -> None:
        for _ in range(wanted.count(name)):
            seen.append(name)
            if name == "b" or not loop.goes_on():  # both ways: b never asks first
                await trio.lowlevel.checkpoint()

    class InOrder:
        asked = 0

        def pick(self, batch: list[trio.lowlevel.Task]) -> trio.lowlevel.Task | None:
            self.asked += 1
            if self.asked > 100 * len(wanted):
                raise LookupError(f"after {''.join(seen)!r} a task that was chosen never ran")
            ours = {task.name[-1]: task for task in batch if task.name.startswith("probe-")}
            if len(ours) < len(batch) or not batch or len(seen) == len(wanted):
                return next(
                    (task for task in batch if task not in ours.values()), batch[0] if batch else None
                )
            return ours.get(wanted[len(seen)], batch[0])

    async def both() -> None:
        assert loop.next_deadline() > 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(steps, "a", name="probe-a")
            nursery.start_soon(steps, "b", name="probe-b")

    loop = TrioLoop(VirtualTime())
    try:
        loop.run(both, InOrder())
    finally:
        loop.close()
    return "".join(seen)
