"""The database's statistics in Prometheus's words; a table of names, and no decisions."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from reference.flows.statistics import Counts, Statistics

# Attribute of `Statistics`, name, labels, what it says. Counters only grow, as long as nobody deletes rows.
_COUNTERS = (
    ("grants", "turnstile_grants", ("kind",), "Lines of the entitlement ledger."),
    ("awards", "turnstile_award_decisions", ("outcome", "why"), "Orders decided in a contest."),
    ("attempts", "turnstile_job_attempts", ("topic",), "Executions of the outbox's jobs."),
    ("retries", "turnstile_job_retries", ("topic",), "Executions that were not their job's first."),
    ("failures", "turnstile_job_failures", ("topic",), "Executions that did not finish their job."),
    ("deliveries", "turnstile_webhook_deliveries", ("provider",), "Deliveries of webhooks that were taken."),
    (
        "repeated",
        "turnstile_webhook_duplicates",
        ("provider",),
        "Deliveries that repeated what was known, and were blocked.",
    ),
    (
        "blocked",
        "turnstile_message_incidents",
        ("what",),
        "What went wrong with messages; blocked_duplicate is an SMS not sent twice.",
    ),
)
_GAUGES = (
    ("payments", "turnstile_payments", ("provider", "status"), "Payments."),
    ("tickets", "turnstile_tickets", ("reason",), "Sum of the ticket ledger."),
    ("jobs", "turnstile_jobs", ("topic", "state"), "Jobs of the outbox; dead ones wait for a person."),
    ("unworked", "turnstile_inbox_unworked", ("provider",), "Things told that nobody has worked off."),
    ("messages", "turnstile_messages", ("channel", "state"), "Messages to leads."),
    ("sessions", "turnstile_session_claims", ("kind", "state"), "Claims on Checkout Sessions."),
    (
        "outbox_lag_s",
        "turnstile_outbox_lag_seconds",
        ("topic",),
        "For how long the oldest due job has been due.",
    ),
    (
        "inbox_lag_s",
        "turnstile_inbox_lag_seconds",
        ("provider",),
        "For how long the oldest due thing told has been due.",
    ),
)
_NUMBERS = (
    ("refunds_owed", "turnstile_refunds_owed", "Refunds that are owed and not returned."),
    ("attention", "turnstile_attention", "Notes that wait for a person."),
)


def families(statistics: Statistics) -> Iterator[Metric]:
    """Every family, also those without a sample, so that a dashboard knows their names."""
    for attribute, name, labels, says in _COUNTERS:
        counter = CounterMetricFamily(name, says, labels=labels)
        for words, value in _counts(statistics, attribute).items():
            counter.add_metric(words, value)
        yield counter
    for attribute, name, labels, says in _GAUGES:
        gauge = GaugeMetricFamily(name, says, labels=labels)
        for words, value in _counts(statistics, attribute).items():
            gauge.add_metric(words, value)
        yield gauge
    for attribute, name, says in _NUMBERS:
        yield GaugeMetricFamily(name, says, value=getattr(statistics, attribute))


def _counts(statistics: Statistics, attribute: str) -> Counts:
    found: Counts = getattr(statistics, attribute)
    return found
