"""All flows at once over one database, whatever was drawn: every claim of the reference holds, and nothing is sent or made twice."""

from __future__ import annotations

from reference.storage.schema import metadata
from scenarios.flows.buyers import CLAIMS
from scenarios.flows.town import ALWAYS, EVENTUALLY, REACHED, Town
from simulator import Crash, World, restarted, simulate


@simulate(
    schema=metadata,
    always=ALWAYS,
    eventually=[*EVENTUALLY, *(claim for claim in CLAIMS if claim not in EVENTUALLY)],
    sometimes=[*REACHED, restarted("worker"), restarted("api")],
    executions=50,
)
async def test_everything_over_one_database(world: World) -> None:
    """One subscription per user, one award per order, one page per debt, one SMS per lead; money and time add up."""
    town = Town(world)
    world.inject(Crash("worker"), Crash("api"))
    await world.quiesce()

    assert len(town.post.sms) <= 1, f"the lead has had {len(town.post.sms)} SMS"
    assert len(town.post.mails) == 1, f"{len(town.post.mails)} mails for one lead"
    debts = town.stripe.doubles
    assert not debts, f"two pages could bring money: {debts}"
