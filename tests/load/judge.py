"""Compares what we have written with what the stand-ins know: they hold the truth about money and messages, our tables an opinion.

`reference audit` judges the tables by themselves; this asks whether they speak of the same world.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from reference import TrioEngine
from reference.flows.leads import client_ref_for
from scenarios.services.on_loopback import StandIns

OPEN_WORK = {
    "notifications": "SELECT count(*) FROM inbox WHERE done_at IS NULL",
    "Stripe's events": "SELECT count(*) FROM checkout_inbox WHERE done_at IS NULL",
    "jobs": "SELECT count(*) FROM outbox WHERE done_at IS NULL AND dead_at IS NULL",
    "messages": "SELECT count(*) FROM messages WHERE state IN ('pending', 'sending', 'unknown')",
    "paid and undelivered": "SELECT count(*) FROM payments WHERE status = 'paid'",
    "claims without a page": "SELECT count(*) FROM session_claims WHERE state = 'claimed'",
    "sweeps under way": "SELECT count(*) FROM sweeps WHERE lease_until IS NOT NULL",
}
RETRIED = {
    "jobs": "SELECT COALESCE(SUM(attempts - 1), 0) FROM outbox WHERE attempts > 1",
    "notifications": "SELECT COALESCE(SUM(attempts - 1), 0) FROM inbox WHERE attempts > 1",
    "Stripe's events": "SELECT COALESCE(SUM(attempts - 1), 0) FROM checkout_inbox WHERE attempts > 1",
    "messages": "SELECT COALESCE(SUM(attempts - 1), 0) FROM messages WHERE attempts > 1",
    "look-ups of messages": "SELECT COALESCE(SUM(lookups), 0) FROM messages",
}


@dataclass
class Judgement:
    """What was compared, and what does not agree.

    Attributes:
        wrong: one line for each disagreement; empty is good news.
        counted: numbers for the report.
    """

    wrong: list[str] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)

    def expect(self, true: bool, what: str) -> None:
        """Note it when something is not as it must be."""
        if not true:
            self.wrong.append(what)


async def rows(engine: TrioEngine, sql: str) -> Sequence[Mapping[str, Any]]:
    """Read."""
    async with engine.snapshot() as connection:
        return [dict(row) for row in (await connection.execute(text(sql))).mappings()]


async def open_work(engine: TrioEngine, around: StandIns) -> dict[str, int]:
    """What is not finished, by kind; also money that the providers have and we do not know of."""
    found = {name: int(next(iter((await rows(engine, sql))[0].values()))) for name, sql in OPEN_WORK.items()}
    status = {row["id"]: row["status"] for row in await rows(engine, "SELECT id, status FROM payments")}
    paid = [order for order, how in _remote_payments(around) if how != "unpaid"]
    found["paid and unknown"] = sum(status.get(order) in ("pending", "canceled") for order in paid)
    back = [order for order, how in _remote_payments(around) if how == "charged back"]
    found["charged back and unknown"] = sum(status.get(order) != "charged_back" for order in back)
    pages = {
        row["session_id"]
        for row in await rows(engine, "SELECT session_id FROM session_claims WHERE state = 'paid'")
    }
    known = pages | {row["session_id"] for row in await rows(engine, "SELECT session_id FROM refund_queue")}
    found["pages paid and unknown"] = sum(session not in known for session in _paid_sessions(around))
    return {name: number for name, number in found.items() if number}


async def retried(engine: TrioEngine) -> dict[str, int]:
    """What was tried more than once, by kind."""
    return {name: int(next(iter((await rows(engine, sql))[0].values()))) for name, sql in RETRIED.items()}


async def judge(engine: TrioEngine, around: StandIns) -> Judgement:
    """Compare everything."""
    judgement = Judgement()
    await _payments(engine, around, judgement)
    await _pages(engine, around, judgement)
    await _notices(engine, around, judgement)
    await _messages(engine, around, judgement)
    await _keys(engine, around, judgement)
    return judgement


async def _payments(engine: TrioEngine, around: StandIns, judgement: Judgement) -> None:
    """Each payment that a provider has the money of is granted once; each that it has not, never. The same with tickets."""
    payments = {row["id"]: row for row in await rows(engine, "SELECT id, status, user_id FROM payments")}
    grants = await _counted(
        engine, "SELECT payment_id AS k FROM entitlement_grants WHERE kind IN ('purchase', 'extension')"
    )
    reversed_ = await _counted(
        engine, "SELECT reverses AS k FROM entitlement_grants WHERE reverses IS NOT NULL"
    )
    tickets = await _counted(engine, "SELECT order_id AS k FROM ticket_ledger WHERE reason = 'SELF_PURCHASE'")
    surplus = await _counted(engine, "SELECT payment_id AS k FROM refunds WHERE why = 'surplus'")
    paid: Counter[str] = Counter()
    back: Counter[str] = Counter()
    for order, how in _remote_payments(around):
        judgement.expect(order in payments, f"a provider has a payment for {order}, which we have not")
        paid[order] += how != "unpaid"
        back[order] += how == "charged back"
    for order, row in payments.items():
        if not paid[order]:
            judgement.expect(
                row["status"] in ("pending", "canceled"), f"{order} is {row['status']}, and nobody paid"
            )
            judgement.expect(not grants[order] and not tickets[order], f"{order} was given for nothing")
            continue
        if not back[order]:
            judgement.expect(row["status"] == "completed", f"{order} is paid, and here it is {row['status']}")
            judgement.expect(grants[order] == 1, f"{order} is paid and was granted {grants[order]} times")
            judgement.expect(
                tickets[order] == 1, f"{order} is eligible and was awarded {tickets[order]} times"
            )
            judgement.expect(
                not reversed_[f"pay:{order}"], f"the grant of {order} was taken back, and its money stayed"
            )
            judgement.expect(
                surplus[order] == paid[order] - 1,
                f"{order} was paid {paid[order]} times, owed back: {surplus[order]}",
            )
        else:
            judgement.expect(
                row["status"] == "charged_back", f"{order} was charged back, and here it is {row['status']}"
            )
            standing = grants[order] - reversed_[f"pay:{order}"]
            judgement.expect(standing == 0, f"{order} was charged back, and {standing} grants of it stand")
    judgement.counted |= {
        "payments made": len(payments),
        "payments paid": sum(1 for order in paid if paid[order]),
        "payments charged back": sum(1 for order in back if back[order]),
        "grants": sum(grants.values()),
        "awards": sum(tickets.values()),
        "friends' awards": len(
            await rows(engine, "SELECT 1 AS x FROM ticket_ledger WHERE reason = 'INVITEE_PAYMENT'")
        ),
    }


async def _pages(engine: TrioEngine, around: StandIns, judgement: Judgement) -> None:
    """Each page that was paid settles its deal's payment, or is owed back."""
    settled = {row["session_id"] for row in await rows(engine, "SELECT session_id FROM settlements")}
    owed = {row["session_id"] for row in await rows(engine, "SELECT session_id FROM refund_queue")}
    paid = _paid_sessions(around)
    for session in paid:
        judgement.expect(
            session in settled | owed, f"{session} was paid, and is neither settled nor owed back"
        )
    for session in sorted((settled | owed) - set(paid)):
        judgement.expect(False, f"{session} is settled or owed back, and nobody paid it")
    of_a_claim: Counter[str] = Counter(
        one["metadata"].get("claim", "")
        for one in around.stripe.sessions.all.values()
        if one["status"] != "expired"
    )
    for claim, sessions in of_a_claim.items():
        judgement.expect(sessions == 1, f"{claim} has {sessions} pages at Stripe that can be paid")
    judgement.counted |= {"pages paid": len(paid), "settlements": len(settled), "pages owed back": len(owed)}


async def _notices(engine: TrioEngine, around: StandIns, judgement: Judgement) -> None:
    """At least one notice per payment, by design; what came twice is counted."""
    told = Counter((one.chat_id, one.text) for one in around.telegram.sent)
    jobs = await rows(
        engine,
        "SELECT p.user_id AS chat, o.payload AS text, o.dead_at AS dead_at, o.dedupe_key AS job "
        "FROM outbox o JOIN payments p ON p.id = o.payment_id WHERE o.topic = 'notice'",
    )
    wanted = Counter((row["chat"], row["text"]) for row in jobs)
    for (chat, words), times in wanted.items():
        judgement.expect(told[chat, words] >= times, f"{chat} was not told: {words}")
    judgement.counted["notices"] = len(jobs)
    judgement.counted["notices twice"] = sum(max(0, told[key] - times) for key, times in wanted.items())


async def _messages(engine: TrioEngine, around: StandIns, judgement: Judgement) -> None:
    """At most one SMS per message but for a sleeping worker's, at least one mail; what is beyond is counted, and our counts agree."""
    messages = await rows(engine, "SELECT id, channel, state, client_ref FROM messages ORDER BY id")
    counted = await _counted(engine, "SELECT what AS k FROM message_counts")
    sms = Counter(one.name for one in around.mobizon.accepted)
    mails = Counter(one.to[0] for one in around.resend.accepted)
    known = {row["client_ref"] for row in messages}
    for name in sms:
        judgement.expect(name in known, f"Mobizon sent {name!r}, which is no message of ours")
    zombies = lost = 0
    for row in messages:
        assert row["client_ref"] == client_ref_for(row["id"])
        if row["channel"] == "sms":
            arrived = sms[row["client_ref"]]
            zombies += max(0, arrived - 1)
            lost += arrived == 0
            judgement.expect(
                arrived == 0 or row["state"] == "sent", f"{row['id']} went out, and is {row['state']}"
            )
            judgement.expect(
                row["state"] != "sent" or arrived > 0, f"{row['id']} is sent, and Mobizon has none"
            )
    addresses = await rows(engine, "SELECT recipient, state FROM messages WHERE channel = 'email'")
    for row in addresses:
        judgement.expect(
            mails[row["recipient"]] == 1, f"{row['recipient']} got {mails[row['recipient']]} mails"
        )
        judgement.expect(row["state"] == "sent", f"the mail to {row['recipient']} is {row['state']}")
    judgement.expect(
        zombies == counted["sent_twice"],
        f"{zombies} SMS went out twice, and {counted['sent_twice']} are counted as such",
    )
    judgement.counted |= {
        "SMS": sum(sms.values()),
        "SMS twice (zombies)": zombies,
        "SMS not sent, rather than perhaps twice": lost,
        "mails": sum(mails.values()),
    }


async def _keys(engine: TrioEngine, around: StandIns, judgement: Judgement) -> None:
    """Each server has the keys that are wanted, and no other."""
    wanted = await rows(
        engine, "SELECT server_id, subscription_id FROM subscription_keys WHERE wanted = 'present'"
    )
    for server, stand_in in around.servers.items():
        ours = {row["subscription_id"] for row in wanted if row["server_id"] == server}
        judgement.expect(
            ours == set(stand_in.keys),
            f"{server} lacks or has too many keys: {len(ours ^ set(stand_in.keys))}",
        )
    judgement.counted["keys"] = len(wanted)


async def _counted(engine: TrioEngine, sql: str) -> Counter[str]:
    return Counter(row["k"] for row in await rows(engine, sql))


def _remote_payments(around: StandIns) -> list[tuple[str, str]]:
    """Of each payment that a provider has: our order, and how it stands there."""
    yookassa = [
        (one["metadata"]["payment_id"], "paid" if one["status"] == "succeeded" else "unpaid")
        for one in around.yookassa.payments.all.values()
    ]
    words = {"CONFIRMED": "paid", "CHARGEBACKED": "charged back"}
    platega = [
        (one["payload"], words.get(one["status"], "unpaid")) for one in around.platega.transactions.values()
    ]
    return yookassa + platega


def _paid_sessions(around: StandIns) -> list[str]:
    return [
        name
        for name, one in around.stripe.sessions.all.items()
        if one["payment_status"] in ("paid", "no_payment_required")
    ]
