"""What must hold of deals at Stripe and at the customer's, whatever our own tables say; and a few claims about rows that only some scenarios can break."""

from __future__ import annotations

from reference import Invariant, SessionStatus
from scenarios.flows.deals import ALWAYS, DEAL, EVENTUALLY, MINUTE, desk_of
from scenarios.flows.deals_stripe import debt_of
from simulator import World
from simulator.oracles import Claim


def one_page_at_a_time(world: World) -> str | None:
    """Of a debt there is never more than one session by which money can come."""
    doubles = desk_of(world).stripe.doubles
    return f"both can bring money: {doubles[0]}" if doubles else None


def one_page_in_the_end(world: World) -> str | None:
    """Of a debt there is one such session at most when everybody has done their work."""
    stripe = desk_of(world).stripe
    for debt in sorted({debt_of(one) for one in stripe.sessions.values()}):
        pages = stripe.may_bring_money(debt)
        if len(pages) > 1:
            return f"{debt} can still be paid by {' and by '.join(pages)}"
    return None


def no_key_comes_with_another_body(world: World) -> str | None:
    """Each attempt is the same request."""
    conflicts = desk_of(world).stripe.conflicts
    return f"{conflicts} requests were refused: their key was known with another body" if conflicts else None


def nobody_is_told_that_a_key_is_in_use(world: World) -> str | None:
    """One worker at a time asks for a session."""
    in_use = desk_of(world).stripe.in_use
    return f"{in_use} requests came while the last one with their key was at work" if in_use else None


def no_page_for_what_is_paid(world: World) -> str | None:
    """When a debt has been paid, no session is made for it any more."""
    needless = desk_of(world).stripe.needless
    return f"{needless[0]} was made for what had been paid" if needless else None


def nobody_repeats_what_was_refused(world: World) -> str | None:
    """A request that Stripe has refused is refused every hour."""
    refusals = desk_of(world).stripe.refusals
    return f"{refusals} requests were refused" if refusals > 1 else None


def nobody_is_asked_for_more(world: World) -> str | None:
    """All that a deal's pages ask for, and all that came, is no more than the deal."""
    stripe = desk_of(world).stripe
    for row in world.database.rows("SELECT id, amount_minor FROM deals"):
        asked = [
            one.amount_minor
            for one in stripe.sessions.values()
            if debt_of(one).endswith(f":{row['id']}") and one.status is not SessionStatus.EXPIRED
        ]
        if sum(asked) > row["amount_minor"]:
            return f"deal {row['id']} over {row['amount_minor']} is asked for {asked}"
    return None


def money_has_its_place(world: World) -> str | None:
    """What came in at Stripe is settled, or owed back, session by session."""
    settled = world.database.rows("SELECT session_id, amount_minor FROM settlements")
    owed = world.database.rows("SELECT session_id, amount_minor FROM refund_queue")
    places: dict[str, int] = {}
    for row in (*settled, *owed):
        places[row["session_id"]] = places.get(row["session_id"], 0) + row["amount_minor"]
    for name, received in desk_of(world).stripe.received.items():
        if places.get(name, 0) != received:
            return f"{received} came by {name}, and {places.get(name, 0)} of it is settled or owed back"
    return None


def what_is_owed_can_be_paid(world: World) -> str | None:
    """Every payment that is due is settled, or its money is on its way, or the customer has the link of its page."""
    desk = desk_of(world)
    for debt in _debts(world):
        links = [text for text, _ in desk.told]
        pages = desk.stripe.may_bring_money(debt)
        on_its_way = [name for name in pages if desk.stripe.sessions[name].status is SessionStatus.COMPLETE]
        if not on_its_way and not any(
            str(desk.stripe.sessions[name].url) in text for name in pages for text in links
        ):
            return f"nobody can pay {debt}: pages {pages or 'none'}, links {links or 'none'}"
    return None


def _debts(world: World) -> list[str]:
    rows = world.database.rows("""
        SELECT d.id, CASE WHEN d.schedule = 'single' THEN 'single' WHEN EXISTS (
            SELECT 1 FROM settlements s WHERE s.deal_id = d.id) THEN 'rest' ELSE 'deposit' END AS kind
        FROM deals d
        WHERE d.status IN ('open', 'won') AND NOT EXISTS (
            SELECT 1 FROM settlements s WHERE s.deal_id = d.id AND s.kind IN ('rest', 'single')) ORDER BY d.id""")
    return [f"{row['kind']}:{row['id']}" for row in rows]


def pages_ask_what_the_crm_says(world: World) -> str | None:
    """In the end no open page shows an old price."""
    deals = {
        row["id"]: row["amount_minor"] for row in world.database.rows("SELECT id, amount_minor FROM deals")
    }
    for name, one in desk_of(world).stripe.sessions.items():
        _, deal_id, _ = str(one.reference).split(":")
        if one.status is SessionStatus.OPEN and one.amount_minor != deals[int(deal_id)] - 50_000:
            return f"{name} asks {one.amount_minor} of a deal over {deals[int(deal_id)]}"
    return None


def settled_money_came(world: World) -> str | None:
    """What is settled has come in at Stripe."""
    stripe = desk_of(world).stripe
    for row in world.database.rows("SELECT session_id, amount_minor FROM settlements"):
        name = row["session_id"]
        if not name.startswith("cs_test_deposit") and stripe.received[name] != row["amount_minor"]:
            return f"{name} is settled with {row['amount_minor']}, and {stripe.received[name]} came"
    return None


def no_link_leads_nowhere(world: World) -> str | None:
    """Nobody is sent a link to a page that has been closed for long."""
    for text, closed_s in desk_of(world).closed_links:
        if closed_s > MINUTE.total_seconds():
            return f"{text!r} was sent {closed_s} s after its page had closed"
    return None


ONE_ROW_PER_DEAL = Invariant(
    name="one_row_per_deal",
    claim="what the CRM tells of a deal, however often, is one row",
    when="always",
    sql="SELECT id, COUNT(*) AS n FROM deals GROUP BY id HAVING COUNT(*) > 1",
)
HALVES_STAY_HALVES = Invariant(
    name="halves_stay_halves",
    claim="a deal of which a half is paid is paid in halves",
    when="always",
    sql="SELECT d.id FROM deals d JOIN settlements s ON s.deal_id = d.id WHERE s.kind = 'deposit' AND d.schedule <> '50/50'",
)
OLD_PRICES_ARE_WITHDRAWN = Invariant(
    name="old_prices_are_withdrawn",
    claim="a page with an old price has a job that takes it away",
    when="always",
    sql="""
        SELECT c.id AS claim, c.amount_minor AS asked FROM session_claims c JOIN deals d ON d.id = c.deal_id
        WHERE c.kind = 'rest' AND c.state IN ('claimed', 'open') AND c.amount_minor <> d.amount_minor - (
            SELECT SUM(s.amount_minor) FROM settlements s WHERE s.deal_id = d.id AND s.kind = 'deposit')
          AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.dedupe_key = 'rest_withdrawal:' || c.id)
    """,
)
ONE_ROW_PER_EVENT = Invariant(
    name="one_row_per_event",
    claim="what Stripe tells us any number of times is one row of the inbox",
    when="always",
    sql="SELECT event_type, object_id, COUNT(*) AS n FROM checkout_inbox GROUP BY event_type, object_id HAVING COUNT(*) > 1",
)
THE_NEWEST_WORD_COUNTS = Invariant(
    name="the_newest_word_counts",
    claim="a deal is what the CRM said last, in whichever order it was heard",
    when="eventually",
    sql=f"SELECT id, version, amount_minor FROM deals WHERE id = {DEAL} AND (version <> 3 OR amount_minor <> 120000)",
)
WHATEVER: list[Claim] = [
    *EVENTUALLY,
    money_has_its_place,
    what_is_owed_can_be_paid,
    one_page_in_the_end,
]
UNTIL_SOMEBODY_ASKS: list[Claim] = [*EVENTUALLY, money_has_its_place, one_page_in_the_end]
"""Where the next page is a person's to ask for."""
STRICT: list[Claim] = [
    *ALWAYS,
    one_page_at_a_time,
    no_page_for_what_is_paid,
    no_key_comes_with_another_body,
    settled_money_came,
]
