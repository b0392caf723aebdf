"""Option 1, recommended by the analysis: an expired session counts as one that exists, for 30 days."""

from collections.abc import Mapping
from typing import Any

from scenarios.incidents.deal_1680.deployed.second_payment_scheduler import DAY_S, SecondPaymentScheduler


class ExpiredCounts(SecondPaymentScheduler):
    """The look is wider; it is still a look, and a moment later it is old."""

    window_s = 30 * DAY_S

    def counts_as_existing(self, session: Mapping[str, Any]) -> bool:
        """As deployed, and expired sessions too."""
        return super().counts_as_existing(session) or session["status"] == "expired"
