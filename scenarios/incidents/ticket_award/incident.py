"""The ticket awards as a value: the guide's code, what would come to mind about it, the reference, and each verdict."""

from __future__ import annotations

from scenarios.incidents.ticket_award.variants_deployed import DEPLOYED
from scenarios.incidents.ticket_award.variants_proposed import PROPOSED
from scenarios.incidents.ticket_award.variants_reference import REFERENCE
from scenarios.incidents.variants import Incident

INCIDENT = Incident(
    name="ticket_award",
    title="Ticket awards: a guide that awards twice, never, or after the draw",
    when="2026-01",
    happened="A shop gives contest tickets for orders: to the buyer, and to whoever brought the buyer. A guide says how to do it "
    "automatically: a webhook that awards before it activates, the bot as a second entry point, a scheduler that repeats failed awards "
    'from a queue in memory, transactions "for atomicity". Built as written, one failed activation is enough for tickets to be given '
    "twice, and one restart for them never to be given.",
    argument="The guide's transaction makes an award whole; it does not make it one. Nothing in the ledger says which award a line belongs "
    "to: ids are a clock and a random number. So whoever awards again (a redelivery, the bot, the scheduler) awards again, also "
    "without any concurrency. The other half is that nothing durable says what is owed: the webhook answers 200 to its own "
    'failures, the queue dies with its process, and `false` means "no" in one place and "try again" in another.\n\n'
    'What holds: a decision per order and contest, with that as its primary key, for "awarded" and for "not eligible" alike; the ledger\'s '
    "lines in the same transaction, each with a key of what it is for; contest, invitation and earlier payments read under locks in "
    "that transaction; a job, inserted with the order's completion, that makes the decision, and a sweep that believes in orders "
    "instead of jobs. Award and activation do not know each other. The argument in full is in [tickets](../flows/tickets.md).",
    variants=(*DEPLOYED, *PROPOSED, *REFERENCE),
)
