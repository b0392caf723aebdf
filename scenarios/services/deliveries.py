"""What a provider has to tell us, and how often it tries: due times, a ladder of retries, what counts as delivered.

It knows neither network nor sleep. Whoever carries the messages asks what is `due`, sends it, and reports the status.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from scenarios.services.deadlines import ROUNDING_S
from scenarios.services.plumbing import Clock

State = Literal["waiting", "in flight", "delivered", "given up"]


@dataclass(frozen=True, slots=True)
class Message:
    """A request that a provider sends."""

    url: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)


@dataclass(slots=True, eq=False)
class Delivery:
    """One message on its way; it changes with every attempt.

    Attributes:
        number: its place among all messages, from 0.
        about: what it tells, for logs and oracles.
        render: makes the message of the next attempt; signatures and attempt numbers are fresh each time.
        first_due_at: when it was to be sent first, in unix seconds.
        due_at: when it is to be sent next.
        answers: the status of each attempt so far; None where there was none.
    """

    number: int
    about: str
    render: Callable[[Delivery], Message]
    first_due_at: float
    due_at: float
    state: State = "waiting"
    answers: list[int | None] = field(default_factory=list)

    @property
    def attempt(self) -> int:
        """The number of the attempt that is in flight or comes next, from 1."""
        return len(self.answers) + 1


class Deliveries:
    """A provider's messages to one endpoint.

    Args:
        clock: unix seconds.
        ladder: seconds from a failed attempt to the next; when it is used up, the message is given up.
        counts: which statuses mean "delivered".
        timeout_s: how long an attempt waits for an answer.
        retries_for_s: no attempt is made later than this after the first was due.

    Attributes:
        all: every message, in the order in which they came to be.
        enabled: an endpoint that is switched off gets no further attempts.
        wake_at: called with the time of each attempt as soon as it is known.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        ladder: Sequence[float],
        counts: Callable[[int], bool],
        timeout_s: float,
        retries_for_s: float = float("inf"),
    ) -> None:
        self._clock = clock
        self._ladder = tuple(ladder)
        self._counts = counts
        self._retries_for_s = retries_for_s
        self.timeout_s = timeout_s
        self._waiting: list[tuple[float, int, Delivery]] = []  # a heap; the number is the place in `all`
        self.all: list[Delivery] = []
        self.enabled = True
        self.wake_at: Callable[[float], None] = lambda _at: None

    def add(self, about: str, render: Callable[[Delivery], Message], *, after_s: float = 0.0) -> Delivery:
        """A message that is due after a while."""
        due_at = self._clock() + after_s
        delivery = Delivery(len(self.all), about, render, due_at, due_at)
        self.all.append(delivery)
        self._wait(delivery)
        return delivery

    def next_at(self) -> float | None:
        """When the next attempt is due; None when there is none."""
        return self._waiting[0][0] if self._waiting else None

    def due(self) -> list[Delivery]:
        """Takes what is due now; each must be reported with `answered`."""
        if not self.enabled:
            for _, _, delivery in self._waiting:
                delivery.state = "given up"
            self._waiting.clear()
        until = self._clock() + ROUNDING_S
        taken = []
        while self._waiting and self._waiting[0][0] <= until:
            taken.append(heapq.heappop(self._waiting)[2])
            taken[-1].state = "in flight"
        return sorted(taken, key=lambda delivery: delivery.number)

    def answered(self, delivery: Delivery, status: int | None) -> None:
        """What came of an attempt; None: nobody answered in time, or at all."""
        assert delivery.state == "in flight", f"{delivery.about} was answered and is {delivery.state}"
        delivery.answers.append(status)
        if status is not None and self._counts(status):
            delivery.state = "delivered"
            return
        failed = len(delivery.answers)
        due_at = self._clock() + self._ladder[failed - 1] if failed <= len(self._ladder) else float("inf")
        if not self.enabled or due_at > delivery.first_due_at + self._retries_for_s or due_at == float("inf"):
            delivery.state = "given up"
            return
        delivery.state, delivery.due_at = "waiting", due_at
        self._wait(delivery)

    def _wait(self, delivery: Delivery) -> None:
        heapq.heappush(self._waiting, (delivery.due_at, delivery.number, delivery))
        self.wake_at(delivery.due_at)


def is_success(status: int) -> bool:
    """2xx."""
    return 200 <= status < 300
