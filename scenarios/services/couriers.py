"""Carries what providers have to tell over real HTTP, in real time: by their timetable, and as unreliably as it is told to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import httpx
import trio

from scenarios.services.chances import Chances
from scenarios.services.deliveries import Deliveries, Delivery, Message
from scenarios.services.plumbing import Clock

_AT_ONCE_MAX = (
    100  # connections to the service under test; a provider has more, a machine with two cores has not
)


class Courier:
    """One provider's messages.

    Args:
        deliveries: what it has to tell.
        clock: the provider's.
        http: connections.
        chances: what goes wrong on the way.
        headers: besides the message's own, such as the address that a proxy would say it came from.

    Attributes:
        answers: how often each status came back; 0: none in time, or no connection.
        took_s: how long each answer took, in the order in which they came.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        *,
        clock: Clock,
        http: httpx.AsyncClient,
        chances: Chances,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._deliveries = deliveries
        self._clock = clock
        self._http = http
        self._chances = chances
        self._headers = tuple(headers)
        self._limit = trio.CapacityLimiter(_AT_ONCE_MAX)
        self.answers: Counter[int] = Counter()
        self.took_s: list[float] = []

    async def run(self) -> None:
        """Carries for ever."""
        alarm = Alarm(self._clock)
        self._deliveries.wake_at = alarm.set
        async with trio.open_nursery() as nursery:
            while True:
                for delivery in self._deliveries.due():
                    nursery.start_soon(self._carry, delivery)
                await alarm.wait_until(self._deliveries.next_at())

    async def _carry(self, delivery: Delivery) -> None:
        if self._chances.happens("webhook_lost"):
            self._deliveries.answered(delivery, 200)  # so thinks the provider
            return
        await trio.sleep(self._chances.late_by_s())
        message = delivery.render(delivery)
        async with trio.open_nursery() as nursery:
            if self._chances.happens("webhook_copied"):
                nursery.start_soon(self._post, message)
            status = await self._post(message)
            self._deliveries.answered(delivery, status)

    async def _post(self, message: Message) -> int | None:
        headers = [*message.headers, *self._headers]
        status: int | None = None
        async with self._limit:
            began = trio.current_time()
            with trio.move_on_after(self._deliveries.timeout_s):
                try:
                    response = await self._http.post(message.url, content=message.body, headers=headers)
                    status = response.status_code
                    self.took_s.append(trio.current_time() - began)
                except httpx.HTTPError:
                    status = None
        self.answers[status or 0] += 1
        return status


class Alarm:
    """Sleeps until the next moment of a clock, or until somebody names an earlier one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = trio.Event()

    def set(self, _at: float) -> None:
        """There is another moment; whoever waits looks again."""
        self._changed.set()

    async def wait_until(self, at: float | None) -> None:
        """Waits; None: until there is another moment."""
        seconds = float("inf") if at is None else max(0.0, at - self._clock())
        with trio.move_on_after(seconds):
            await self._changed.wait()
        self._changed = trio.Event()
        await trio.lowlevel.checkpoint()
