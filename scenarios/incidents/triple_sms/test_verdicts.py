"""The triple SMS: every variant's verdict, as the page about the incident states it."""

from __future__ import annotations

from scenarios.incidents.triple_sms.incident import INCIDENT
from scenarios.incidents.verdict_tests import verdict_test

test_verdict = verdict_test(INCIDENT)
