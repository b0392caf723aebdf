"""The guards of the work around a purchase, taken away one at a time: the sale, the outbox, the inbox, keys and locks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

from sqlalchemy import bindparam, select, true, update

from reference import policies
from reference.flows import (
    inbox,
    inbox_rows,
    jobs,
    ledger,
    outbox,
    payments,
    provisioning,
    purchase,
    refunds,
    reversals,
    sales,
)
from reference.flows.inbox_rows import Receipt
from reference.model import Job, Payment, ProviderPayment, ProviderStatus
from reference.ports import PaymentRequest
from reference.storage import engine, schema, transactions
from reference.storage.schema import payments as payments_table
from reference.storage.schema import subscription_keys, users
from reference.storage.transactions import atomically
from scenarios.ablations.ablation import Ablation
from scenarios.ablations.instead import nothing, plain_insert
from scenarios.flows.purchase_work import (
    a_forged_notification,
    a_server_is_down,
    a_worker_dies,
    an_overtaken_worker,
    nobody_is_turned_away,
    telegram_is_down,
    told_at_the_door,
    two_relays_alive,
    two_taps,
)
from scenarios.flows.purchases import money_goes_back, the_wrong_amount, two_payments

_LEASES_OVER = {topic: replace(policy, lease_s=0) for topic, policy in policies.JOBS.items()}
_LEASES_FOR_EVER = {topic: replace(policy, lease_s=10**9) for topic, policy in policies.JOBS.items()}
_DEFERRED = {
    name: replace(flavour, begin_writing="BEGIN") if name.startswith("sqlite") else flavour
    for name, flavour in engine.FLAVOURS.items()
}


def _random_id(_create_key: str) -> str:
    return f"p-{uuid4()}"


def _request_under_a_new_key(_idempotence_key: str, *given: Any) -> PaymentRequest:
    return PaymentRequest(f"k-{uuid4()}", *given)


async def _report_of_anybody(
    service: Any, job: Job, values: Mapping[str, Any], *, attention: str | None = None
) -> bool:
    """`outbox._report` that does not ask whose job it is by now."""
    table = schema.outbox

    async def report(connection: Any) -> bool:
        await connection.execute(update(table).where(table.c.dedupe_key == job.dedupe_key).values(**values))
        if attention is not None:
            now = service.now()
            await jobs.call_for_attention(connection, f"outbox:{job.dedupe_key}", attention, now=now)
        return True

    return await atomically(service.engine, report)


async def _believe_what_is_said(service: Any, payment: Payment) -> ProviderStatus:
    """`payments.confirm` that asks nobody: who calls must know."""
    said = ProviderPayment(ProviderStatus.SUCCEEDED, payment.amount_minor, payment.currency)

    async def settle(connection: Any) -> None:
        await payments._settle(connection, payment, said, now=service.now())

    await atomically(service.engine, settle)
    return said.status


_GO_AGAIN = (
    update(payments_table)
    .where(payments_table.c.id == bindparam("wanted_id"))
    .values(status=bindparam("gone"), paid_at=bindparam("now"))
)
_NO_KEYS = provisioning._KEYS.with_only_columns(
    schema.servers.c.id,
    select(subscription_keys.c.wanted).where(~true()).scalar_subquery().label("wanted"),
    subscription_keys.c.traffic_limit_mb,
    subscription_keys.c.version,
    subscription_keys.c.applied,
    maintain_column_froms=True,
)
_BUYER_UNLOCKED = (
    select(users.c.vip)
    .join_from(users, payments_table, payments_table.c.user_id == users.c.id)
    .where(payments_table.c.id == bindparam("wanted_id"))
)
_USER_UNLOCKED = select(users.c.vip).where(users.c.id == bindparam("user_id"))

ABLATIONS = (
    Ablation(
        name="payment_id_is_derived",
        guard="a payment's id is derived from the tap that asked for it",
        where="reference/flows/sales.py:payment_id_for",
        scenario=two_taps,
        claim="no_unexpected_error",
        raises="payments.create_key",
        changes=[(sales, "payment_id_for", _random_id)],
    ),
    Ablation(
        name="create_key",
        guard="the tap's key is unique among payments; behind the id, which is derived from it",
        where="reference/storage/schema.py:create_key",
        scenario=two_taps,
        claim="one_payment_per_tap",
        keys=["uq_payments_create_key"],
        changes=[(sales, "payment_id_for", _random_id)],
        alone=False,
    ),
    Ablation(
        name="provider_idempotency_key",
        guard="each attempt to create a payment at the provider carries the same idempotency key",
        where="reference/flows/sales.py:create",
        scenario=two_taps,
        claim="one_remote_payment_per_tap",
        changes=[(sales, "PaymentRequest", _request_under_a_new_key)],
    ),
    Ablation(
        name="providers_own_record",
        guard="a payment is `paid` by the provider's own record, whatever a notification says",
        where="reference/flows/payments.py:confirm",
        scenario=a_forged_notification,
        claim="nothing_for_nothing",
        changes=[(payments, "confirm", _believe_what_is_said)],
    ),
    Ablation(
        name="refund_is_owed",
        guard="what cannot be delivered is owed back in the transaction that says so",
        where="reference/flows/refunds.py:owe_refund",
        scenario=the_wrong_amount,
        claim="money_in_is_granted_or_refunded",
        changes=[(refunds, "owe_refund", nothing())],
    ),
    Ablation(
        name="reversed_once",
        guard="a grant is reversed once: a key of the ledger and a unique column, behind the payment's status, which is final",
        where="reference/flows/reversals.py:_GO",
        scenario=money_goes_back,
        claim="one_line_per_key",
        keys=["pk_entitlement_grants", "uq_entitlement_grants_reverses"],
        changes=[
            (reversals, "_GO", _GO_AGAIN),
            (ledger, "insert_once", plain_insert("entitlement_grants")),
        ],
        alone=False,
    ),
    Ablation(
        name="job_lease",
        guard="a job that is taken is nobody else's for as long as its lease",
        where="reference/flows/outbox.py:_claim",
        scenario=two_relays_alive,
        claim="told_once",
        changes=[(policies, "JOBS", _LEASES_OVER)],
    ),
    Ablation(
        name="job_lease_runs_out",
        guard="a lease runs out: the job of a worker that died is taken by another one",
        where="reference/policies.py:lease_s",
        scenario=a_worker_dies,
        claim="the_buyer_is_told",
        changes=[(policies, "JOBS", _LEASES_FOR_EVER)],
    ),
    Ablation(
        name="job_fence",
        guard="a worker that was overtaken reports nothing: its fence is old; behind it, what is done is not reported on, and the check"
        " `done_or_dead` refuses both",
        where="reference/flows/outbox.py:_report",
        scenario=an_overtaken_worker,
        claim="no_unexpected_error",
        raises="done_or_dead",
        changes=[(outbox, "_report", _report_of_anybody)],
        alone=False,
    ),
    Ablation(
        name="job_is_tried_again",
        guard="a job that failed comes back, later each time",
        where="reference/flows/outbox.py:dead_because",
        scenario=telegram_is_down,
        claim="the_buyer_is_told",
        changes=[
            (
                outbox,
                "dead_because",
                lambda job, _error: "once is enough" if policies.JOBS[job.topic].dies else None,
            )
        ],
    ),
    Ablation(
        name="notification_is_written_down",
        guard="a notification is a row before it is answered",
        where="reference/flows/inbox_rows.py:receive",
        scenario=told_at_the_door,
        claim="what_was_taken_is_delivered",
        changes=[(inbox, "receive", nothing(Receipt.NEW))],
    ),
    Ablation(
        name="notification_is_finished",
        guard="a notification is finished when its payment is settled, and not before",
        where="reference/flows/inbox_rows.py:finish",
        scenario=told_at_the_door,
        claim="every_notification_is_worked_off",
        changes=[(inbox_rows, "finish", nothing())],
    ),
    Ablation(
        name="key_is_confirmed",
        guard="the version that a server has confirmed is noted",
        where="reference/flows/provisioning.py:_confirm",
        scenario=two_relays_alive,
        claim="keys_match_what_is_wanted",
        changes=[(provisioning, "_confirm", nothing())],
    ),
    Ablation(
        name="key_rows",
        guard="one row for a subscription's key on a server: the row that is there is changed, and the primary key stands behind it",
        where="reference/flows/provisioning.py:_want",
        scenario=a_server_is_down,
        claim="one_key_per_subscription_and_server",
        keys=["pk_subscription_keys"],
        changes=[(provisioning, "_KEYS", _NO_KEYS)],
        alone=False,
    ),
    Ablation(
        name="reset_is_noted",
        guard="a reset of traffic is noted for each server, so that a retry leaves out who has done it",
        where="reference/flows/provisioning.py:_note_reset",
        scenario=a_server_is_down,
        claim="traffic_is_reset_once",
        changes=[(provisioning, "_note_reset", nothing())],
    ),
    Ablation(
        name="conflicts_are_retried",
        guard="who meets another transaction begins again; behind BEGIN IMMEDIATE, which queues writers before they have read",
        where="reference/storage/transactions.py:atomically",
        scenario=nobody_is_turned_away,
        claim="no_unexpected_error",
        raises="TransactionConflictError",
        changes=[(transactions, "ATTEMPTS_MAX", 1), (engine, "FLAVOURS", _DEFERRED)],
        alone=False,
    ),
    Ablation(
        name="lock_on_the_buyer",
        guard="`ensure` locks the buyer's row before it reads what it decides by",
        where="reference/flows/purchase.py:_BUYER",
        scenario=two_payments,
        claim="no_unexpected_error",
        raises="duplicate key value",
        changes=[(purchase, "_BUYER", _BUYER_UNLOCKED), (ledger, "_USER", _USER_UNLOCKED)],
        engine="postgresql",
    ),
)
