"""How often something goes wrong, where nobody draws it by name: a demo, a load run. In a world a schedule says it instead."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, fields, replace
from typing import Any

from scenarios.services.plumbing import Fault, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Probabilities.

    Args:
        busy: a request gets 429.
        failed: it gets 500 and was not done.
        failed_after: it gets 500 and was done.
        silent: it gets no answer and was not done.
        silent_after: it gets no answer and was done.
        webhook_lost: a message is never sent, and the provider thinks that it was.
        webhook_copied: it is sent twice, at once.
        webhook_late: it is late, so that others overtake it.
        twin: Stripe makes two Event objects for one occurrence.
        late_s: a late message is late by up to so many seconds.

    Raises:
        ValueError: not a probability, or what can happen to one request is more than all.
    """

    busy: float = 0.0
    failed: float = 0.0
    failed_after: float = 0.0
    silent: float = 0.0
    silent_after: float = 0.0
    webhook_lost: float = 0.0
    webhook_copied: float = 0.0
    webhook_late: float = 0.0
    twin: float = 0.0
    late_s: float = 2.0

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name != "late_s" and not 0 <= value <= 1:
                raise ValueError(f"{one.name} is a probability from 0 to 1; got {value}")
        together = sum(rate for rate, _ in self.of_request())
        if together > 1:
            raise ValueError(f"what can happen to a request adds up to {together}, which is more than 1")
        if self.late_s < 0:
            raise ValueError(f"late_s is a number of seconds; got {self.late_s}")

    def changed(self, changes: Any) -> Rates:
        """The same with other values for some.

        Raises:
            TypeError: it is no object, or a value is no number.
            ValueError: a name that there is not, or see above.
        """
        if not isinstance(changes, dict):
            raise TypeError(f"expected an object with names of rates; got {changes!r}")
        known = [one.name for one in fields(Rates)]
        for name in changes:
            if name not in known:
                raise ValueError(f"no rate is called {name!r}; there are: {', '.join(known)}")
        return replace(self, **changes)

    def of_request(self) -> tuple[tuple[float, Fault], ...]:
        """What can happen to a request."""
        return (
            (self.busy, Fault.BUSY),
            (self.failed, Fault.FAILED),
            (self.failed_after, Fault.FAILED_AFTER),
            (self.silent, Fault.SILENT),
            (self.silent_after, Fault.SILENT_AFTER),
        )


class Chances:
    """Dice, and a count of what they said.

    Attributes:
        rates: may be changed at any time.
        counted: how often each thing was done, by the name of its rate.
    """

    def __init__(self, rates: Rates, *, seed: int) -> None:
        self.rates = rates
        self.counted: Counter[str] = Counter()
        self._random = random.Random(seed)

    def fault_of(self, _request: Request) -> Fault | None:
        """For `Service.fault_of`."""
        drawn = self._random.random()
        for rate, fault in self.rates.of_request():
            if drawn < rate:
                self.counted[fault.name.lower()] += 1
                return fault
            drawn -= rate
        return None

    def happens(self, rate: str) -> bool:
        """Throws for one of the other rates, by its name."""
        does = self._random.random() < float(getattr(self.rates, rate))
        self.counted[rate] += does
        return does

    def late_by_s(self) -> float:
        """By how much a message is late; 0 for one that is not."""
        return self._random.uniform(0, self.rates.late_s) if self.happens("webhook_late") else 0.0
