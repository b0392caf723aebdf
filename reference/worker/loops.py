"""A worker: loops over a schedule until it is told to stop. It keeps nothing in memory that a row does not say.

Nothing that a tick raises ends its loop: the error is logged, and the loop comes back after a pause that grows. So a database that
is down for an hour costs an hour, and nobody has to start anything again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from reference import logs
from reference.worker import turns
from reference.worker.schedule import AT_START, SCHEDULE, Entry, Queue, Sweep

if TYPE_CHECKING:
    from reference.service import Service

log = logging.getLogger("reference.worker")

TASKS = 4
GRACE_S = 25.0  # less than the 30 s after which orchestrators kill
PAUSE_FIRST_S = 1.0  # after an error, doubled each time
PAUSE_MAX_S = 30.0
LOOK_MAX_S = 30.0  # a sweep that is due tomorrow is looked at every half minute, should the clock or the row be changed
GIVE_BACK_S = 2.0  # for handing a sweep over when we are being cut off


def pause_s(failures: int) -> float:
    """Seconds to wait after so many errors in a row: 1, 2, 4 ... at most 30."""
    return min(PAUSE_FIRST_S * 2.0 ** min(failures - 1, 10), PAUSE_MAX_S)


@dataclass(frozen=True, slots=True)
class Finished:
    """How a worker ended.

    Args:
        cut_off: what was still in hand when the grace was over, by name; empty: everything was finished. Nothing of it is lost:
            leases run out, and somebody else goes on.
    """

    cut_off: tuple[str, ...]


async def run(
    service: Service,
    *,
    stopping: trio.Event,
    schedule: Iterable[Entry] = SCHEDULE,
    tasks: int = TASKS,
    grace_s: float = GRACE_S,
) -> Finished:
    """Work until told to stop, then finish what is in hand, within a bound.

    Any number of workers may run at once, and any of them may die at any moment.

    Args:
        service: with its ports; what needs a port that it has not is left out.
        stopping: set it, and no new work is begun.
        schedule: what to do.
        tasks: how many at a time, of each queue.
        grace_s: how long what is in hand may go on then. Cancelling the call ends it at once.

    Returns:
        How it ended.
    """
    worker = _Worker(service, stopping)
    entries = [entry for entry in schedule if _has_ports(service, entry)]
    log.info(
        "worker starts: %d queues of up to %d tasks, %d sweeps",
        sum(isinstance(entry, Queue) for entry in entries),
        tasks,
        sum(isinstance(entry, Sweep) for entry in entries),
    )
    cut_off: tuple[str, ...] = ()
    with trio.CancelScope() as all_of_it:

        async def end_the_grace() -> None:
            nonlocal cut_off
            await stopping.wait()
            await trio.sleep(grace_s)
            cut_off = tuple(worker.in_hand)
            all_of_it.cancel()

        async with trio.open_nursery() as bound:
            bound.start_soon(end_the_grace)
            await worker.recover()
            async with trio.open_nursery() as loops:
                for entry in entries:
                    worker.start(loops, entry, tasks)
            bound.cancel_scope.cancel()
    if cut_off:
        log.warning("worker ends, cut off after %g s in: %s", grace_s, ", ".join(cut_off))
    else:
        log.info("worker ends, nothing in hand")
    return Finished(cut_off)


def _has_ports(service: Service, entry: Entry) -> bool:
    missing = [port for port in entry.needs if getattr(service, port) is None]
    if missing:
        log.info("%s is left out: this service has no %s", entry.name, " and no ".join(missing))
    return not missing


@dataclass(slots=True)
class _Worker:
    """What the loops of one worker share.

    Attributes:
        in_hand: the names of the ticks that are under way, in the order in which they began.
    """

    service: Service
    stopping: trio.Event
    in_hand: list[str] = field(default_factory=list)

    def start(self, nursery: trio.Nursery, entry: Entry, tasks: int) -> None:
        if isinstance(entry, Sweep):
            nursery.start_soon(self._sweep, entry, name=entry.name)
            return
        number = tasks if entry.parallel else 1
        for task in range(number):
            # Spread over the interval: four tasks that look once a second find a row after an eighth of one.
            nursery.start_soon(
                self._queue, entry, entry.every_s * task / number, name=f"{entry.name} {task + 1}"
            )

    async def recover(self) -> None:
        """Before anything else; what fails here is done by the loops."""
        for method in AT_START:
            if method == "recover_messages" and (self.service.sms is None or self.service.mailer is None):
                continue
            try:
                await self._call(method, method, {})
            except Exception:
                log.exception("%s at start failed; the schedule does the same", method)

    async def _call(self, name: str, method: str, arguments: Any) -> Any:
        self.in_hand.append(name)
        try:
            with logs.about(task=name):
                return await getattr(self.service, method)(**arguments)
        finally:
            self.in_hand.remove(name)

    async def _pause(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self.stopping.wait()

    async def _queue(self, queue: Queue, first_s: float) -> None:
        if first_s:
            await self._pause(first_s)
        failures = 0
        while not self.stopping.is_set():
            try:
                found = await self._call(queue.name, queue.method, queue.arguments)
            except Exception:
                failures += 1
                log.exception("%s failed, %d times in a row", queue.name, failures)
                await self._pause(pause_s(failures))
                continue
            failures = 0
            if not found:
                await self._pause(queue.every_s)

    async def _sweep(self, sweep: Sweep) -> None:
        failures = 0
        while not self.stopping.is_set():
            try:
                turn = await turns.take(self.service, sweep)
                if isinstance(turn, turns.Turn):
                    await self._run(sweep, turn)
                    continue
            except Exception:  # the database: a sweep that fails is reported in its row by `_run`
                failures += 1
                log.exception("%s cannot be taken or reported, %d times in a row", sweep.name, failures)
                await self._pause(pause_s(failures))
                continue
            failures = 0
            await self._pause(min(turn.seconds, LOOK_MAX_S))

    async def _run(self, sweep: Sweep, turn: turns.Turn) -> None:
        async with trio.open_nursery() as beside:
            beside.start_soon(self._keep, sweep, turn)
            await self._run_and_report(sweep, turn)
            beside.cancel_scope.cancel()

    async def _keep(self, sweep: Sweep, turn: turns.Turn) -> None:
        """Renew the lease as long as the run takes. When it is lost all the same (we were paused), the run goes on: two are safe."""
        while True:
            await trio.sleep(sweep.lease_s / 3)
            try:
                if not await turns.renew(self.service, sweep, turn):
                    log.warning("%s takes so long that another worker has begun it", sweep.name)
                    return
            except Exception:
                log.exception("the lease of %s could not be renewed", sweep.name)

    async def _run_and_report(self, sweep: Sweep, turn: turns.Turn) -> None:
        began_at = self.service.now()
        try:
            found = await self._call(sweep.name, sweep.method, {})
        except Exception as error:
            log.exception("%s failed, %d times in a row", sweep.name, turn.failures + 1)
            await turns.failed(self.service, sweep, turn, error)
        except trio.Cancelled:
            with trio.move_on_after(GIVE_BACK_S, shield=True):
                await turns.give_back(self.service, sweep, turn)
            raise
        else:
            log.debug("%s: %r", sweep.name, found)
            await turns.done(self.service, sweep, turn, began_at=began_at)
