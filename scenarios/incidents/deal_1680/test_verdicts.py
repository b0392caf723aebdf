"""Deal 1680: the verdict on each version."""

from scenarios.incidents.deal_1680.incident import INCIDENT
from scenarios.incidents.verdict_tests import verdict_test

test_verdict = verdict_test(INCIDENT)
