"""The guards of purchase and extension, taken away one at a time."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import bindparam, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import policies
from reference.flows import (
    entry_points,
    inbox_rows,
    jobs,
    ledger,
    payments,
    purchase,
    refunds,
    reversals,
    subscriptions,
)
from reference.model import EnsureOutcome, Payment, Topic
from reference.storage import schema, transactions
from scenarios.ablations.ablation import Ablation
from scenarios.ablations.instead import each_statement_alone, nothing, plain_insert
from scenarios.flows.purchases import (
    a_trial_and_a_payment,
    money_goes_back,
    nobody_tells,
    one_payment,
    put_back_by_hand,
    put_back_by_hand_and_told,
    somebody_dies,
    the_wrong_amount,
    two_payments,
)


async def _deliver_whatever_its_status(connection: AsyncConnection, payment: Payment) -> EnsureOutcome:
    """What `ensure` would do if it did not ask whether the payment is `paid`."""
    return await purchase._deliver(connection, payment, vip=False, now=int(time.time()))


async def _enqueue_all_but(connection: AsyncConnection, topic: Topic, **given: Any) -> bool:
    return True if topic is Topic.ENSURE else await _enqueue(connection, topic, **given)


_enqueue = jobs.enqueue


_ANY_STATUS = update(schema.payments).where(schema.payments.c.id == bindparam("wanted_id"))

ABLATIONS = (
    Ablation(
        name="grant_key",
        guard="the primary key of the ledger: one line for each payment",
        where="reference/storage/schema.py:entitlement_grants",
        scenario=put_back_by_hand,
        claim="one_grant_per_paid_payment",
        keys=["pk_entitlement_grants"],
        changes=[(ledger, "insert_once", plain_insert("entitlement_grants"))],
    ),
    Ablation(
        name="only_what_is_paid_is_delivered",
        guard="`ensure` delivers what is `paid` and nothing else",
        where="reference/flows/purchase.py:_not_paid",
        scenario=one_payment,
        claim="no_unexpected_error",
        raises="left the state PAID while its buyer was locked",
        changes=[(purchase, "_not_paid", _deliver_whatever_its_status)],
    ),
    Ablation(
        name="delivery_is_one_transaction",
        guard="grant, subscription, status and jobs are one transaction",
        where="reference/flows/purchase.py:ensure",
        scenario=somebody_dies,
        claim="expiry_is_fold_of_ledger",
        changes=[(transactions, "_once", each_statement_alone("ensure.<locals>.purchase"))],
    ),
    Ablation(
        name="paid_with_its_job",
        guard="the job that delivers is born in the transaction that makes the payment `paid`",
        where="reference/flows/payments.py:_settle",
        scenario=somebody_dies,
        claim="no_paid_payment_without_due_job",
        changes=[(jobs, "enqueue", _enqueue_all_but)],
    ),
    Ablation(
        name="paid_in_one_transaction",
        guard="`paid` and its job are one transaction",
        where="reference/flows/payments.py:confirm",
        scenario=somebody_dies,
        claim="no_paid_payment_without_due_job",
        changes=[(transactions, "_once", each_statement_alone("confirm.<locals>.settle"))],
    ),
    Ablation(
        name="amount_is_compared",
        guard="what the provider has received is compared with what was asked for",
        where="reference/policies.py:amount_mismatch",
        scenario=the_wrong_amount,
        claim="money_in_is_granted_or_refunded",
        changes=[(policies, "amount_mismatch", lambda _payment, _remote: None)],
    ),
    Ablation(
        name="effects_are_jobs",
        guard="notice, keys and traffic are asked for in the transaction that grants",
        where="reference/flows/purchase.py:_ask_for_effects",
        scenario=one_payment,
        claim="one_notice_per_payment",
        changes=[(purchase, "_ask_for_effects", nothing())],
    ),
    Ablation(
        name="completed_with_the_grant",
        guard="the status becomes `completed` in the transaction that grants",
        where="reference/flows/purchase.py:_complete",
        scenario=one_payment,
        claim="one_grant_per_paid_payment",
        changes=[(purchase, "_complete", nothing())],
    ),
    Ablation(
        name="expiry_is_folded",
        guard="the expiry is the fold of all lines, not what somebody has added to what they read",
        where="reference/flows/ledger.py:append",
        scenario=two_payments,
        claim="expiry_is_fold_of_ledger",
        changes=[(policies, "fold", lambda lines: lines[-1].granted_at + lines[-1].duration_sec)],
    ),
    Ablation(
        name="trial_key",
        guard="a trial's key in the ledger: one for each user, ever",
        where="reference/flows/grants.py:trial",
        scenario=a_trial_and_a_payment,
        claim="one_line_per_key",
        keys=["pk_entitlement_grants"],
        changes=[(ledger, "insert_once", plain_insert("entitlement_grants"))],
    ),
    Ablation(
        name="reversal_takes_back",
        guard="a refund is a line of the ledger that takes the grant's time back",
        where="reference/flows/reversals.py:_append_reversal",
        scenario=money_goes_back,
        claim="expiry_is_sum_of_paid_durations",
        changes=[(reversals, "_append_reversal", nothing())],
    ),
    Ablation(
        name="refund_key",
        guard="the refund's key: one for each payment; behind the status, which leaves `pending` once",
        where="reference/flows/refunds.py:owe_refund",
        scenario=the_wrong_amount,
        claim="money_in_is_granted_or_refunded",
        keys=["pk_refunds"],
        changes=[
            (refunds, "insert_once", plain_insert("refunds")),
            (payments, "_SETTLE", _ANY_STATUS),
        ],
        alone=False,
    ),
    Ablation(
        name="settled_once",
        guard="a payment leaves `pending` once: the status is a condition of the update",
        where="reference/flows/payments.py:_SETTLE",
        scenario=one_payment,
        claim="one_grant_per_paid_payment",
        changes=[(payments, "_SETTLE", _ANY_STATUS)],
    ),
    Ablation(
        name="inbox_key",
        guard="the inbox's key: one row for each thing told",
        where="reference/flows/inbox_rows.py:receive",
        scenario=one_payment,
        claim="one_row_per_notification",
        keys=["pk_inbox"],
        changes=[(inbox_rows, "insert_once", plain_insert("inbox"))],
    ),
    Ablation(
        name="sweep_over_payments",
        guard="a sweep asks about what has been pending for a while, and delivers what is paid",
        where="reference/flows/entry_points.py:process_pending_paid_payments",
        scenario=nobody_tells,
        claim="what_was_taken_is_delivered",
        changes=[(entry_points, "process_pending_paid_payments", nothing([]))],
    ),
    Ablation(
        name="job_key",
        guard="a job's key: an effect is asked for once; behind the grant's key, which lets only one ask",
        where="reference/flows/jobs.py:enqueue",
        scenario=put_back_by_hand_and_told,
        claim="one_notice_per_payment",
        keys=["pk_outbox", "pk_entitlement_grants"],
        changes=[
            (jobs, "insert_once", plain_insert("outbox")),
            (ledger, "insert_once", plain_insert("entitlement_grants")),
        ],
        alone=False,
    ),
    Ablation(
        name="one_live_subscription",
        guard="a user has one live subscription: a unique index behind the user's lock, which finds it first",
        where="reference/storage/schema.py:subscriptions",
        scenario=two_payments,
        claim="one_subscription_per_user",
        keys=["uq_subscriptions_live_user"],
        changes=[(subscriptions, "live", nothing())],
        alone=False,
    ),
)
