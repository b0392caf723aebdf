"""The triple SMS: its versions, and what each kind of verdict is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from reference.invariants_messages import MESSAGES
from scenarios.incidents.triple_sms.backends import DeployedBackend, ReferenceBackend
from scenarios.incidents.triple_sms.fixes.claim_first import ClaimingNotifications, ClaimingScheduler
from scenarios.incidents.triple_sms.fixes.look_up import CLAIMED_AT, DatedClaims, ReapingScheduler
from scenarios.incidents.triple_sms.fixes.rate_limit import AtomicRateLimitedSends, RateLimitedSends
from scenarios.incidents.triple_sms.fixes.sms_sent_checks import CheckedSends
from scenarios.incidents.triple_sms.fixes.unique_pending import UNIQUE_PENDING
from scenarios.incidents.triple_sms.scenario import (
    DUE,
    HALF_A_MINUTE_LATER,
    a_lead,
    an_sms_was_accepted,
    cron,
    every_lead_has_its_sms_or_a_word_about_it,
    no_lead_gets_three_sms,
    one_email_per_lead,
    one_sms_per_lead,
)
from simulator import simulate

AS_DEPLOYED = DeployedBackend()
CHECKED = DeployedBackend(sends=lambda deployment, _remote: CheckedSends(deployment))
UNIQUE = DeployedBackend(
    sends=lambda deployment, _remote: CheckedSends(deployment), more_schema=UNIQUE_PENDING
)
RATE_LIMITED = DeployedBackend(sends=lambda deployment, remote: RateLimitedSends(deployment, remote.redis))
SET_NX = DeployedBackend(sends=lambda deployment, remote: AtomicRateLimitedSends(deployment, remote.redis))
CLAIMING = DeployedBackend(notifications=ClaimingNotifications, scheduler=ClaimingScheduler)
THE_REFERENCE = ReferenceBackend()

LOOKS_MAX = 500  # executions at most; a fault has one moment of forty in which it does harm
IMPATIENT_S, PATIENT_S, ZOMBIE_S = 60.0, 600.0, 900.0
REAPED = DUE + timedelta(minutes=10, seconds=30)  # the tick that finds a claim of 10:10 old enough


def reaping(after_s: float) -> DeployedBackend:
    """Claim first, with a reaper that takes claims of this age for dead."""
    return DeployedBackend(
        notifications=DatedClaims,
        scheduler=partial(ReapingScheduler, reap_after_s=after_s),
        more_schema=CLAIMED_AT,
    )


_SOON = (one_sms_per_lead, no_lead_gets_three_sms)
"""Claims that can be asked at any time; the others are about the end."""


def violated(
    backend: DeployedBackend,
    finds: Any,
    scenario: Callable[..., Any] = a_lead,
    *,
    early_timers_max: int = 2,
    scheduler: str | None = None,
    **given: Any,
) -> Callable[..., None]:
    """A lead with this version, in which the claim is found violated."""
    return simulate(
        schema=backend.schema,
        always=[finds] if finds in _SOON else [],
        finds=finds,
        early_timers_max=early_timers_max,
        scheduler=scheduler,
        executions=LOOKS_MAX,
    )(partial(scenario, backend=backend, **given))


def holds(
    backend: DeployedBackend,
    *sometimes: Any,
    scenario: Callable[..., Any] = a_lead,
    eventually: Sequence[Any] = (),
    **given: Any,
) -> Callable[..., None]:
    """A lead with this version, which gets one SMS."""
    return simulate(
        schema=backend.schema,
        always=[one_sms_per_lead],
        eventually=eventually,
        sometimes=[an_sms_was_accepted, *sometimes],
    )(partial(scenario, backend=backend, **given))


def reference(
    *sometimes: Any,
    scenario: Callable[..., Any] = a_lead,
    executions: int | None = 50,
    **given: Any,
) -> Callable[..., None]:
    """A lead with the reference: its own claims about messages, and what the providers have accepted."""
    return simulate(
        schema=THE_REFERENCE.schema,
        always=[one_sms_per_lead, one_email_per_lead, *(one for one in MESSAGES if one.when == "always")],
        eventually=[
            every_lead_has_its_sms_or_a_word_about_it,
            *(one for one in MESSAGES if one.when == "eventually"),
        ],
        sometimes=[an_sms_was_accepted, *sometimes],
        executions=executions,
    )(partial(scenario, backend=THE_REFERENCE, **given))


A_FEW_TICKS = cron(every=timedelta(minutes=5), ticks=4)
MORE_TICKS = cron(every=timedelta(minutes=5), ticks=6)
TICKS_OF_ANOTHER = cron(after=HALF_A_MINUTE_LATER, every=timedelta(minutes=5), ticks=5)
ANALYSIS = "analysis of 2025-12-14"
