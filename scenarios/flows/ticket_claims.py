"""What must hold of tickets, beside the reference's own claims: what was announced is worked out here anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from reference import Invariant
from reference.invariants_tickets import TICKETS
from reference.model_tickets import Contest
from scenarios.flows.box_office import BACK, DAY_S, FORGIVEN_S, office_of, tickets_given
from simulator import World
from simulator.oracles import Claim

ALWAYS = [invariant for invariant in TICKETS if invariant.when == "always"]
EVENTUALLY = [invariant for invariant in TICKETS if invariant.when == "eventually"]
NO_AWARD_FAILS = Invariant(
    name="no_award_fails",
    claim="where nothing is broken, an award succeeds at its first attempt",
    when="always",
    sql="SELECT dedupe_key AS job, attempts, last_error FROM outbox WHERE topic = 'award' AND last_error IS NOT NULL",
)
NOBODY_IS_NEEDED = Invariant(
    name="nobody_is_needed",
    claim="nothing of this is left to a person",
    when="always",
    sql="SELECT subject, why FROM attention",
)
A_PERSON_IS_TOLD = Invariant(
    name="a_person_is_told",
    claim="an order with an impossible date is told to a person",
    when="eventually",
    sql="SELECT d.order_id AS paid_order FROM award_decisions d WHERE d.why = 'no_order_date' "
    "AND NOT EXISTS (SELECT 1 FROM attention a WHERE a.subject = 'award:' || d.order_id)",
)
A_CONTEST_IS_WHOLE = Invariant(
    name="a_contest_is_whole",
    claim="a contest is there with what it gives, or not at all, and once",
    when="always",
    sql="SELECT c.id AS contest, COUNT(t.tariff_id) AS tariffs FROM contests c LEFT JOIN contest_tickets t "
    "ON t.contest_id = c.id GROUP BY c.id HAVING COUNT(t.tariff_id) <> 2",
)
ONE_INVITATION_PER_FRIEND = Invariant(
    name="one_invitation_per_friend",
    claim="the first invitation stands, and there is no other",
    when="always",
    sql="SELECT referred_id AS friend, COUNT(*) AS n FROM user_referrals GROUP BY referred_id HAVING COUNT(*) > 1",
)
ONE_EVENT_PER_FRIEND = Invariant(
    name="one_event_per_friend",
    claim="an invitation is shown once in a contest",
    when="always",
    sql="SELECT contest_id AS contest, referred_id AS friend, COUNT(*) AS n FROM ref_events "
    "GROUP BY contest_id, referred_id HAVING COUNT(*) > 1",
)
INVITATIONS_ARE_SHOWN = Invariant(
    name="invitations_are_shown",
    claim="an invitation that was made while a contest ran is shown in it",
    when="always",
    sql="SELECT r.referred_id AS friend, c.id AS contest FROM user_referrals r "
    "JOIN contests c ON r.bound_at >= c.starts_at AND r.bound_at < c.ends_at WHERE NOT EXISTS "
    "(SELECT 1 FROM ref_events e WHERE e.contest_id = c.id AND e.referred_id = r.referred_id)",
)
NO_TICKETS_FOR_ONESELF = Invariant(
    name="no_tickets_for_oneself",
    claim="nobody has tickets for having invited themselves",
    when="always",
    sql="SELECT id AS line FROM ticket_ledger WHERE reason = 'INVITEE_PAYMENT' AND beneficiary_id = buyer_id",
)
GIVEN_UP_AFTER_TEN = Invariant(
    name="given_up_after_ten",
    claim="an award that can never succeed was tried ten times, was given up, and a person knows",
    when="eventually",
    sql="SELECT o.dedupe_key AS job, o.attempts FROM outbox o WHERE o.topic = 'award' AND (o.attempts <> 10 OR o.dead_at IS NULL "
    "OR NOT EXISTS (SELECT 1 FROM attention a WHERE a.subject = 'outbox:' || o.dedupe_key))",
)
BOTH_ARE_BOUND = Invariant(
    name="both_are_bound",
    claim="two who open each other's links are both written down",
    when="eventually",
    sql="SELECT COUNT(*) AS bound FROM user_referrals HAVING COUNT(*) <> 2",
)


def everybody_has_what_was_announced(world: World) -> str | None:
    """Each order's tickets, worked out anew from the payments, the terms and the invitations."""
    office = office_of(world)
    paid = world.database.rows("SELECT * FROM payments WHERE completed_at IS NOT NULL ORDER BY id")
    for contest in office.announced:
        expected: Counter[tuple[str, int]] = Counter()
        for order in paid:
            _expect(expected, order, paid, contest, office.invitations)
        found = Counter(
            {
                (row["order_id"], row["beneficiary_id"]): int(row["n"])
                for row in world.database.rows(
                    "SELECT order_id, beneficiary_id, SUM(delta) AS n FROM ticket_ledger "
                    f"WHERE contest_id = '{contest.id}' GROUP BY order_id, beneficiary_id HAVING SUM(delta) <> 0"
                )
            }
        )
        if +expected != found:
            return f"{contest.id}: announced were {_text(expected)}, there are {_text(found)}"
    return None


def _expect(
    expected: Counter[tuple[str, int]],
    order: Mapping[str, Any],
    paid: list[dict[str, Any]],
    contest: Contest,
    invitations: Mapping[int, tuple[int, int]],
) -> None:
    at, buyer = order["created_at"], order["user_id"]
    if order["status"] in BACK or at > order["paid_at"] + FORGIVEN_S:
        return
    if not contest.starts_at <= at < contest.ends_at:
        return
    tickets = contest.tickets.get(order["tariff_id"], 0)
    expected[order["id"], buyer] += tickets
    referrer, bound_at = invitations.get(buyer, (buyer, 0))
    first = min((one["completed_at"], one["id"]) for one in paid if one["user_id"] == buyer)
    in_time = bound_at <= at <= bound_at + contest.attribution_window_days * DAY_S
    if referrer != buyer and in_time and first == (order["completed_at"], order["id"]):
        expected[order["id"], referrer] += tickets


def _text(given: Counter[tuple[str, int]]) -> str:
    return ", ".join(f"{order} {who}: {n}" for (order, who), n in sorted((+given).items())) or "none"


def nothing_comes_after_the_draw(world: World) -> str | None:
    """What is drawn from is all that there will be."""
    drawn = office_of(world).drawn
    late = 0 if drawn is None else tickets_given(world) - drawn
    return f"{late} tickets came after the draw" if late else None


def nobody_is_left_out_of_the_draw(world: World) -> str | None:
    """Whoever had bought before is drawn from."""
    left_out = office_of(world).left_out
    return f"drawn without {', '.join(left_out)}" if left_out else None


def everybody_is_answered(world: World) -> str | None:
    """An award that was asked for in haste did not fail."""
    unanswered = office_of(world).unanswered
    return f"the award of {', '.join(unanswered)} failed" if unanswered else None


def it_was_drawn(world: World) -> str | None:
    """Reached when the contest was closed, tickets in it or none."""
    return None if office_of(world).drawn is None else "drawn"


def tickets_were_given(world: World) -> str | None:
    """That nothing is given twice says little where nothing is given."""
    return "given" if world.database.rows("SELECT id FROM ticket_ledger LIMIT 1") else None


CALM: list[Claim] = [*ALWAYS, NO_AWARD_FAILS, NOBODY_IS_NEEDED]
UNDISTURBED: list[Claim] = [*CALM, everybody_is_answered]
ALL_IS_WELL: list[Claim] = [*EVENTUALLY, everybody_has_what_was_announced]
