"""Create, save, tell: three steps with a gap after each of them, as both paths took them.

In the application these were two functions, ``createSecondPaymentSession`` and the end of
``createCheckoutSessionForDeal``; that they did the same in the same order is inferred.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from scenarios.incidents.deal_1680.deployed.database import Deal, PaymentRepository
from scenarios.incidents.deal_1680.deployed.deployment import Deployment

logger = logging.getLogger(__name__)

RETURN_URL: Final = "https://shop.example.com/thanks"


def rest_form(deal: Deal) -> dict[str, str]:
    """What Stripe is asked for: a page for the rest of this deal, for 24 hours."""
    item = "line_items[0]"
    return {
        "mode": "payment",
        "success_url": RETURN_URL,
        f"{item}[price_data][currency]": deal.currency,
        f"{item}[price_data][unit_amount]": str(deal.rest_minor),
        f"{item}[price_data][product_data][name]": f"{deal.title} (rest)",
        f"{item}[quantity]": "1",
        "metadata[deal_id]": str(deal.id),
        "metadata[payment_type]": "rest",
    }


class SessionCreation:
    """How a rest session was made once somebody had decided that there was none."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.stripe = deployment.stripe
        self.payments = PaymentRepository(deployment.open_async_connection)

    async def create(self, deal: Deal) -> None:
        """Create it at Stripe, save it, send the link."""
        session = await self.stripe.create_session(rest_form(deal))
        # Whoever asks the database from here to the end of `save` sees no session.
        await self.payments.save(deal, session["id"])
        await self.tell(deal, session)

    async def tell(self, deal: Deal, session: Mapping[str, Any]) -> None:
        """Send the link; a notice that fails is seen by a person, and by nobody else."""
        try:
            told = await self.deployment.notifier.send_message(deal.user_id, f"Pay here: {session['url']}")
        except Exception as error:
            logger.info("the link of deal %d: %r", deal.id, error)
            return
        if told:
            await self.payments.mark_notified(session["id"])
