"""What a run is asked to do, and its two usual sizes."""

from __future__ import annotations

from dataclasses import dataclass

from scenarios.services.chances import Rates

STORM = Rates(
    busy=0.02,
    failed=0.015,
    failed_after=0.015,
    silent=0.01,
    silent_after=0.02,
    webhook_lost=0.05,
    webhook_copied=0.3,
    webhook_late=0.3,
    twin=0.3,
    late_s=3.0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run.

    Args:
        engine: ``sqlite`` or ``postgresql``.
        deliveries: requests to our webhooks, copies and retries included, after which traffic ends.
        services: processes that answer HTTP.
        workers: processes that work.
        buyers: customers at a time.
        kill_every_s: seconds between two SIGKILLs of a worker; 0: none by the clock.
        kill_every_deliveries: deliveries between two SIGKILLs of a worker; 0: none by that. A test counts, so that a slow machine does
            not kill a worker that has not begun yet.
        page_within_s: how long a customer waits for the page of their deal.
        patience_s: seconds without progress after which only time can help.
        rates: what goes wrong around us.
        copies: how often each notification is sent without being asked, before any chance and any retry.
        seed: of the dice.
        lead_delay_s: from a form to its messages.
    """

    engine: str
    deliveries: int
    services: int
    workers: int
    buyers: int = 16
    kill_every_s: float = 5.0
    kill_every_deliveries: int = 0
    page_within_s: float = 20.0
    patience_s: int = 12
    rates: Rates = STORM
    copies: int = 3
    seed: int = 1
    lead_delay_s: int = 3


def full(engine: str, deliveries: int) -> Plan:
    """What `tox -e load` runs."""
    if engine == "postgresql":
        return Plan(engine=engine, deliveries=deliveries, services=2, workers=4)
    # One worker: killed every five seconds it would spend its life starting.
    return Plan(engine=engine, deliveries=deliveries, services=1, workers=1, buyers=8, kill_every_s=12.0)
