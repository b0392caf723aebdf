"""A bare idempotency key: the deal's number makes it, so every path and every attempt sends the same request.

No row stands behind it. What was asked for, when, and under which key is nowhere but in Stripe's memory,
which lasts for a day or longer, as Stripe pleases.
"""

from scenarios.incidents.deal_1680.deployed.database import Deal
from scenarios.incidents.deal_1680.deployed.session_creation import SessionCreation, rest_form


class CreatedUnderOneKey(SessionCreation):
    """As deployed, with a key of ours."""

    async def create(self, deal: Deal) -> None:
        """Create it, or be given the one that was created."""
        session = await self.stripe.create_session(rest_form(deal), idempotency_key=f"deal-{deal.id}-rest")
        await self.payments.save(deal, session["id"])
        await self.tell(deal, session)
