"""The guards of the ticket flow that stand between two who act at once, taken away one at a time."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, false, select
from sqlalchemy.ext.asyncio import AsyncConnection

from reference.flows import (
    jobs,
    outbox,
    tickets,
    tickets_contests,
    tickets_entry_points,
    tickets_ledger,
)
from reference.model import Topic
from reference.model_tickets import Contest, Decision, Invitation, RefEventStatus
from reference.storage import transactions
from reference.storage.schema import payments, users
from reference.storage.schema_tickets import contest_tickets, contests, ref_events, ticket_ledger
from scenarios.ablations.ablation import Ablation
from scenarios.ablations.instead import each_statement_alone, nothing, plain_insert
from scenarios.flows.tickets import (
    a_contest_is_opened_late,
    everybody_awards,
    imported_money_goes_back,
    money_goes_back,
    paid_and_awarded,
    somebody_dies_awarding,
    somebody_dies_taking_back,
    the_contest_closes,
    the_order_comes_late,
    they_invited_each_other,
    two_first_payments,
    two_open_a_contest,
)
from scenarios.flows.tickets_terms import (
    terms_that_cannot_be,
    two_links,
)

_LINE_KEYS = (
    "pk_ticket_ledger",
    "uq_ticket_ledger_contest_id_order_id_reason_beneficiary_id",
)

_enqueue = jobs.enqueue
_open_contests = tickets._open_contests


async def _enqueue_no_award(connection: AsyncConnection, topic: Topic, **given: Any) -> bool:
    return True if topic is Topic.AWARD else await _enqueue(connection, topic, **given)


async def _no_contest_is_a_failure(connection: AsyncConnection) -> list[Contest]:
    found = await _open_contests(connection)
    if not found:
        raise LookupError("no contest is open")
    return found


async def _qualify_by_insert(
    connection: AsyncConnection, decision: Decision, invitation: Invitation, *, now: int
) -> None:
    row = tickets_ledger._event(decision.contest_id, decision.buyer_id, invitation, RefEventStatus.QUALIFIED)
    await connection.execute(ref_events.insert(), {**row, "qualified_at": now})


_BUYER = (
    select(users.c.id)
    .join_from(users, payments, payments.c.user_id == users.c.id)
    .where(payments.c.id == bindparam("order"))
)
_OPEN = select(contests).where(contests.c.is_active).order_by(contests.c.id)
_EVER_OPENED = select(contests).order_by(contests.c.id).with_for_update(read=True)
_ALL_TERMS = select(contest_tickets)
_NEVER_COUNTED = select(ticket_ledger.c.contest_id).where(false())
_EVERY_LINE = (
    select(ticket_ledger)
    .where(ticket_ledger.c.order_id == bindparam("order"), ticket_ledger.c.reverses.is_(None))
    .order_by(ticket_ledger.c.id)
)

ABLATIONS = (
    Ablation(
        name="decision_key",
        guard="the primary key of decisions: one for each order and contest",
        where="reference/storage/schema_tickets.py:award_decisions",
        scenario=everybody_awards,
        claim="everybody_is_answered",
        keys=["pk_award_decisions"],
        changes=[(tickets, "insert_once", plain_insert("award_decisions"))],
    ),
    Ablation(
        name="ticket_line_keys",
        guard="a line's keys (its name, and what it is for), behind the decision's, whose owner alone writes lines",
        where="reference/storage/schema_tickets.py:ticket_ledger",
        scenario=everybody_awards,
        claim="one_award_per_order_and_reason",
        keys=["pk_award_decisions", *_LINE_KEYS],
        changes=[(tickets, "insert_once", plain_insert("award_decisions"))],
        alone=False,
    ),
    Ablation(
        name="award_is_one_transaction",
        guard="decision, lines, event and the job's end are one transaction",
        where="reference/flows/tickets.py:award",
        scenario=somebody_dies_awarding,
        claim="tickets_equal_the_decision",
        changes=[(transactions, "_once", each_statement_alone("award.<locals>.decide_and_write"))],
    ),
    Ablation(
        name="award_job_with_the_order",
        guard="the job that awards is born in the transaction that completes the order",
        where="reference/flows/purchase.py:_ask_for_effects",
        scenario=paid_and_awarded,
        claim="award_job_is_born_with_the_order",
        changes=[(jobs, "enqueue", _enqueue_no_award)],
    ),
    Ablation(
        name="award_job_does_it",
        guard="the order's job awards, whoever was in haste before it",
        where="reference/flows/tickets.py:handle",
        scenario=paid_and_awarded,
        claim="every_eligible_order_is_decided",
        changes=[(outbox, "HANDLERS", {**outbox.HANDLERS, Topic.AWARD: nothing()})],
    ),
    Ablation(
        name="award_reaches_no_payment",
        guard="an award that fails in haste is left to its job and reaches neither the payment nor the webhook",
        where="reference/flows/tickets_entry_points.py:_try_to_award",
        scenario=terms_that_cannot_be,
        claim="no_unexpected_error",
        raises="IntegrityError",
        changes=[(tickets_entry_points, "_try_to_award", tickets.award)],
    ),
    Ablation(
        name="friend_is_counted_once",
        guard="`award` asks whether a friend's payment was counted in this contest already",
        where="reference/flows/tickets.py:_COUNTED",
        scenario=two_first_payments,
        claim="everybody_is_answered",
        changes=[(tickets, "_COUNTED", _NEVER_COUNTED)],
    ),
    Ablation(
        name="invitee_key",
        guard="the unique index over a friend's payments, behind the question whether one was counted",
        where="reference/storage/schema_tickets.py:uq_ticket_ledger_invitee",
        scenario=two_first_payments,
        claim="one_qualified_payment_per_friend",
        keys=["uq_ticket_ledger_invitee"],
        changes=[(tickets, "_COUNTED", _NEVER_COUNTED)],
        alone=False,
    ),
    Ablation(
        name="buyer_is_locked",
        guard="the buyer's row is locked before anything is read that an award decides by",
        where="reference/flows/tickets.py:_BUYER",
        scenario=two_first_payments,
        claim="everybody_is_answered",
        changes=[(tickets, "_BUYER", _BUYER)],
        engine="postgresql",
    ),
    Ablation(
        name="buyer_is_locked_weakly",
        guard="the buyer's lock is no stronger than a foreign key's can pass; a deadlock is repeated otherwise",
        where="reference/flows/tickets.py:_BUYER",
        scenario=they_invited_each_other,
        claim="everybody_is_answered",
        changes=[
            (tickets, "_BUYER", _BUYER.with_for_update(of=users)),
            (transactions, "ATTEMPTS_MAX", 1),
        ],
        alone=False,
        engine="postgresql",
    ),
    Ablation(
        name="contest_is_locked_by_awards",
        guard="open contests are read with a shared lock: none closes while an order is decided by its terms",
        where="reference/flows/tickets.py:_OPEN",
        scenario=the_order_comes_late,
        claim="nothing_comes_after_the_draw",
        changes=[(tickets, "_OPEN", _OPEN)],
        engine="postgresql",
    ),
    Ablation(
        name="contest_closes_when_all_is_decided",
        guard="a contest closes only when every order of its period is decided",
        where="reference/flows/tickets_contests.py:undecided",
        scenario=the_contest_closes,
        claim="nobody_is_left_out_of_the_draw",
        changes=[(tickets_contests, "undecided", false)],
    ),
    Ablation(
        name="closed_contests_decide_nothing",
        guard="orders are decided in contests that are open",
        where="reference/flows/tickets.py:_OPEN",
        scenario=the_order_comes_late,
        claim="nothing_comes_after_the_draw",
        changes=[(tickets, "_OPEN", _EVER_OPENED), (tickets, "_TICKETS", _ALL_TERMS)],
    ),
    Ablation(
        name="undecided_orders_are_swept",
        guard="a sweep finds the orders of an open contest that nobody has decided there",
        where="reference/flows/tickets_entry_points.py:_waiting",
        scenario=a_contest_is_opened_late,
        claim="every_eligible_order_is_decided",
        changes=[(tickets_entry_points, "_waiting", nothing(()))],
    ),
    Ablation(
        name="standing_tickets_are_swept",
        guard="a sweep finds tickets that stand for money that went back, also where no job says so",
        where="reference/flows/tickets_entry_points.py:_waiting",
        scenario=imported_money_goes_back,
        claim="tickets_follow_the_money",
        changes=[(tickets, "MONEY_BACK", ())],
    ),
    Ablation(
        name="no_contest_is_no_failure",
        guard="without an open contest an order waits undecided, and nothing has failed",
        where="reference/flows/tickets.py:_decide_in_open_contests",
        scenario=a_contest_is_opened_late,
        claim="no_award_fails",
        changes=[(tickets, "_open_contests", _no_contest_is_a_failure)],
    ),
    Ablation(
        name="contest_keys",
        guard="a contest's keys: one row for its name, and behind it one for each tariff in it",
        where="reference/flows/tickets_contests.py:open_contest",
        scenario=two_open_a_contest,
        claim="a_contest_is_whole",
        keys=["pk_contests", "pk_contest_tickets"],
        changes=[(tickets_contests, "insert_once", plain_insert("contests"))],
        alone=False,
    ),
    Ablation(
        name="contest_keeps_its_terms",
        guard="a contest that is known with other terms is not opened",
        where="reference/flows/tickets_contests.py:_refuse_other_terms",
        scenario=two_open_a_contest,
        claim="everybody_has_what_was_announced",
        changes=[(tickets_contests, "_refuse_other_terms", nothing())],
    ),
    Ablation(
        name="contest_opens_in_one_transaction",
        guard="a contest and its terms are one transaction",
        where="reference/flows/tickets_contests.py:open_contest",
        scenario=two_open_a_contest,
        claim="a_contest_is_whole",
        changes=[(transactions, "_once", each_statement_alone("open_contest.<locals>.write"))],
    ),
    Ablation(
        name="event_key",
        guard="the key of events: an invitation is shown once, and qualified where it is shown",
        where="reference/flows/tickets_ledger.py:_qualify",
        scenario=two_links,
        claim="one_event_per_friend",
        keys=["pk_ref_events"],
        changes=[(tickets_ledger, "_qualify", _qualify_by_insert)],
    ),
    Ablation(
        name="event_with_the_line",
        guard="the referrer's line and the event that it belongs to are written together",
        where="reference/flows/tickets_ledger.py:give",
        scenario=everybody_awards,
        claim="ref_events_agree_with_the_ledger",
        changes=[(tickets_ledger, "_qualify", nothing())],
    ),
    Ablation(
        name="reversal_job_with_the_refund",
        guard="the job that takes tickets back is born in the transaction that writes down the refund; the sweep would find them",
        where="reference/flows/reversals.py:_append_reversal",
        scenario=somebody_dies_taking_back,
        claim="tickets_follow_the_money",
        changes=[(jobs, "enqueue", _enqueue_no_award)],
    ),
    Ablation(
        name="tickets_are_taken_back",
        guard="each line of an order whose money went back is taken back by a line of its own",
        where="reference/flows/tickets_ledger.py:take_back",
        scenario=money_goes_back,
        claim="tickets_follow_the_money",
        changes=[(tickets_ledger, "take_back", nothing(0))],
    ),
    Ablation(
        name="event_is_revoked",
        guard="the event is revoked with the line that it belongs to",
        where="reference/flows/tickets_ledger.py:_REVOKE",
        scenario=money_goes_back,
        claim="ref_events_agree_with_the_ledger",
        changes=[(tickets_ledger, "_REVOKE", tickets_ledger._REVOKE.where(false()))],
    ),
    Ablation(
        name="only_what_stands_is_taken_back",
        guard="what was taken back already does not stand any more",
        where="reference/flows/tickets_ledger.py:_STANDING",
        scenario=money_goes_back,
        claim="everybody_is_answered",
        changes=[(tickets_ledger, "_STANDING", _EVERY_LINE)],
    ),
    Ablation(
        name="reversal_line_keys",
        guard="a line is taken back once: its key, and those of every line, behind the question what stands",
        where="reference/storage/schema_tickets.py:reverses",
        scenario=money_goes_back,
        claim="one_award_per_order_and_reason",
        keys=["uq_ticket_ledger_reverses", *_LINE_KEYS],
        changes=[(tickets_ledger, "_STANDING", _EVERY_LINE)],
        alone=False,
    ),
)
