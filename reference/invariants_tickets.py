"""What must hold of tickets, as plain SQL; see `reference.invariants` for the manner."""

from __future__ import annotations

from reference.invariant import Invariant

one_award_per_order_and_reason = Invariant(
    name="one_award_per_order_and_reason",
    claim="an order gives tickets for one reason to one beneficiary at most once in a contest",
    when="always",
    sql="""
        SELECT contest_id AS contest, order_id AS paid_order, reason AS reason, beneficiary_id AS beneficiary,
               COUNT(*) AS awards, CAST(SUM(delta) AS BIGINT) AS tickets
        FROM ticket_ledger GROUP BY contest_id, order_id, reason, beneficiary_id HAVING COUNT(*) > 1
        ORDER BY contest_id, order_id, reason, beneficiary_id
    """,
)

every_eligible_order_is_decided = Invariant(
    name="every_eligible_order_is_decided",
    claim="a completed order of the period of an open contest has a decision there, or a job that will make it",
    when="eventually",
    # Not "always": an order may be completed before its contest is opened, and then the sweep decides it.
    sql="""
        SELECT c.id AS contest, p.id AS paid_order, p.user_id AS buyer, p.created_at AS ordered_at
        FROM payments p JOIN contests c ON c.is_active AND p.created_at >= c.starts_at AND p.created_at < c.ends_at
        WHERE p.status = 'completed'
          AND NOT EXISTS (SELECT 1 FROM award_decisions d WHERE d.order_id = p.id AND d.contest_id = c.id)
          AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.payment_id = p.id AND o.topic = 'award'
                          AND o.done_at IS NULL AND o.dead_at IS NULL)
        ORDER BY c.id, p.id
    """,
)

award_job_is_born_with_the_order = Invariant(
    name="award_job_is_born_with_the_order",
    claim="an order that was completed here has its award job, whatever became of the job",
    when="always",
    # "Here": with a grant. What was imported is the sweep's.
    sql="""
        SELECT p.id AS paid_order, p.user_id AS buyer
        FROM payments p JOIN entitlement_grants g ON g.grant_key = 'pay:' || p.id
        WHERE p.status = 'completed'
          AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.dedupe_key = 'award:' || p.id AND o.topic = 'award')
        ORDER BY p.id
    """,
)

tickets_equal_the_decision = Invariant(
    name="tickets_equal_the_decision",
    claim="the ledger holds what was decided, for the buyer and for a qualified referrer, and nothing else",
    when="always",
    sql="""
        WITH lines AS (
            SELECT contest_id, order_id, 'SELF_PURCHASE' AS reason, buyer_id AS beneficiary_id, tickets AS decided, 0 AS given
            FROM award_decisions WHERE outcome = 'awarded'
            UNION ALL
            SELECT contest_id, order_id, 'INVITEE_PAYMENT', referrer_id, tickets, 0
            FROM award_decisions WHERE outcome = 'awarded' AND referral = 'qualified'
            UNION ALL
            SELECT contest_id, order_id, reason, beneficiary_id, 0, delta FROM ticket_ledger WHERE reason <> 'REVERSAL'
        )
        SELECT contest_id AS contest, order_id AS paid_order, reason AS reason, beneficiary_id AS beneficiary,
               CAST(SUM(decided) AS BIGINT) AS decided, CAST(SUM(given) AS BIGINT) AS given
        FROM lines GROUP BY contest_id, order_id, reason, beneficiary_id HAVING SUM(decided) <> SUM(given)
        ORDER BY contest_id, order_id, reason, beneficiary_id
    """,
)

one_qualified_payment_per_friend = Invariant(
    name="one_qualified_payment_per_friend",
    claim="a friend brings tickets to whoever invited them at most once in a contest",
    when="always",
    sql="""
        SELECT contest_id AS contest, buyer_id AS friend, COUNT(*) AS payments
        FROM ticket_ledger WHERE reason = 'INVITEE_PAYMENT'
        GROUP BY contest_id, buyer_id HAVING COUNT(*) > 1 ORDER BY contest_id, buyer_id
    """,
)

ref_events_agree_with_the_ledger = Invariant(
    name="ref_events_agree_with_the_ledger",
    claim="an invitation is qualified exactly while the tickets for it stand, and revoked exactly when they were taken back",
    when="always",
    sql="""
        WITH told AS (
            SELECT l.contest_id, l.beneficiary_id AS referrer_id, l.buyer_id AS referred_id,
                   CASE WHEN EXISTS (SELECT 1 FROM ticket_ledger r WHERE r.reverses = l.id)
                        THEN 'revoked' ELSE 'qualified' END AS by_ledger, 'nothing' AS by_event
            FROM ticket_ledger l WHERE l.reason = 'INVITEE_PAYMENT'
            UNION ALL
            SELECT contest_id, referrer_id, referred_id, 'nothing', status FROM ref_events WHERE status <> 'bound'
        )
        SELECT contest_id AS contest, referrer_id AS referrer, referred_id AS referred,
               MAX(CASE WHEN by_ledger <> 'nothing' THEN by_ledger END) AS by_ledger,
               MAX(CASE WHEN by_event <> 'nothing' THEN by_event END) AS by_event
        FROM told GROUP BY contest_id, referrer_id, referred_id
        HAVING COALESCE(MAX(CASE WHEN by_ledger <> 'nothing' THEN by_ledger END), 'nothing')
            <> COALESCE(MAX(CASE WHEN by_event <> 'nothing' THEN by_event END), 'nothing')
        ORDER BY contest_id, referrer_id, referred_id
    """,
)

tickets_follow_the_money = Invariant(
    name="tickets_follow_the_money",
    claim="no tickets stand for an order whose money went back, and none were taken back for one whose money stayed",
    when="eventually",
    sql="""
        SELECT l.contest_id AS contest, l.order_id AS paid_order, p.status AS status, CAST(SUM(l.delta) AS BIGINT) AS tickets
        FROM ticket_ledger l JOIN payments p ON p.id = l.order_id
        GROUP BY l.contest_id, l.order_id, p.status
        HAVING (p.status IN ('refunded', 'charged_back') AND SUM(l.delta) <> 0)
            OR (p.status NOT IN ('refunded', 'charged_back') AND MIN(l.delta) < 0)
        ORDER BY l.contest_id, l.order_id
    """,
)

TICKETS: tuple[Invariant, ...] = (
    one_award_per_order_and_reason,
    every_eligible_order_is_decided,
    award_job_is_born_with_the_order,
    tickets_equal_the_decision,
    one_qualified_payment_per_friend,
    ref_events_agree_with_the_ledger,
    tickets_follow_the_money,
)
