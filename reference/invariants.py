"""What must hold of committed data, as plain SQL: each statement selects the rows that break the claim, so none is good news.

They run unchanged on SQLite and PostgreSQL, on a live database (an audit) as well as after every commit of a simulation, and
they read the tables only: they share no code with the flows that they judge.

The fold of a ledger, ``e = max(e, granted_at) + duration`` line by line, has a closed form that SQL can say without recursion:
the expiry is the largest, over all lines, of *that line's moment plus its own and every later duration*. A line whose moment
gives the largest sum is the last one before which the time had run out. `tests/reference` compares it with `policies.fold`.
"""

from __future__ import annotations

from reference.invariant import Invariant as Invariant
from reference.invariants_messages import MESSAGES
from reference.invariants_messages import (
    at_most_once_is_accepted_at_most_once as at_most_once_is_accepted_at_most_once,
)
from reference.invariants_messages import (
    blocked_duplicates_are_counted_and_told as blocked_duplicates_are_counted_and_told,
)
from reference.invariants_messages import every_lead_has_its_messages as every_lead_has_its_messages
from reference.invariants_messages import every_message_is_settled as every_message_is_settled
from reference.invariants_messages import no_call_follows_silence as no_call_follows_silence
from reference.invariants_messages import (
    no_message_in_limbo_without_a_date as no_message_in_limbo_without_a_date,
)
from reference.invariants_messages import (
    one_message_per_lead_channel_and_template as one_message_per_lead_channel_and_template,
)
from reference.invariants_messages import one_sms_per_number_and_hour as one_sms_per_number_and_hour
from reference.invariants_messages import sent_is_the_providers_word as sent_is_the_providers_word
from reference.invariants_rest import REST
from reference.invariants_rest import every_claim_gets_its_session as every_claim_gets_its_session
from reference.invariants_rest import every_open_page_was_announced as every_open_page_was_announced
from reference.invariants_rest import generations_have_no_gaps as generations_have_no_gaps
from reference.invariants_rest import money_in_is_settled_or_owed_back as money_in_is_settled_or_owed_back
from reference.invariants_rest import no_claim_without_due_job as no_claim_without_due_job
from reference.invariants_rest import nothing_is_asked_for_twice as nothing_is_asked_for_twice
from reference.invariants_rest import one_message_per_reminder as one_message_per_reminder
from reference.invariants_rest import one_rest_session_per_deal as one_rest_session_per_deal
from reference.invariants_rest import one_settlement_per_deal_and_kind as one_settlement_per_deal_and_kind
from reference.invariants_rest import settlements_point_to_paid_sessions as settlements_point_to_paid_sessions
from reference.invariants_tickets import TICKETS
from reference.invariants_tickets import award_job_is_born_with_the_order as award_job_is_born_with_the_order
from reference.invariants_tickets import every_eligible_order_is_decided as every_eligible_order_is_decided
from reference.invariants_tickets import one_award_per_order_and_reason as one_award_per_order_and_reason
from reference.invariants_tickets import one_qualified_payment_per_friend as one_qualified_payment_per_friend
from reference.invariants_tickets import ref_events_agree_with_the_ledger as ref_events_agree_with_the_ledger
from reference.invariants_tickets import tickets_equal_the_decision as tickets_equal_the_decision
from reference.invariants_tickets import tickets_follow_the_money as tickets_follow_the_money

expiry_is_sum_of_paid_durations = Invariant(
    name="expiry_is_sum_of_paid_durations",
    claim="a subscription runs for what was paid for (and given for free), each payment counted once",
    when="eventually",
    # Independent of the ledger's lines for payments: it starts from the payments themselves, so code that keeps no ledger is
    # judged by the same words. Grants that nobody paid for (trial, referral, gift) can only come from the ledger.
    sql="""
        WITH bought AS (
            SELECT COALESCE(p.subscription_id, live.id) AS subscription_id, COALESCE(p.completed_at, p.paid_at) AS moment,
                   p.duration_sec, 'pay:' || p.id AS line
            FROM payments p LEFT JOIN subscriptions live ON live.user_id = p.user_id AND live.is_active
            WHERE p.status = 'completed'
            UNION ALL
            SELECT g.subscription_id, g.granted_at, g.duration_sec, g.grant_key
            FROM entitlement_grants g
            WHERE g.payment_id IS NULL AND g.kind <> 'reversal'
              AND NOT EXISTS (SELECT 1 FROM entitlement_grants r WHERE r.reverses = g.grant_key)
        ), ends AS (
            SELECT subscription_id, duration_sec, CAST(moment + SUM(duration_sec) OVER (
                PARTITION BY subscription_id ORDER BY moment DESC, line DESC ROWS UNBOUNDED PRECEDING) AS BIGINT) AS runs_until
            FROM bought
        ), expected AS (
            SELECT subscription_id, MAX(runs_until) AS expires_at, CAST(SUM(duration_sec) AS BIGINT) AS paid_sec
            FROM ends GROUP BY subscription_id
        )
        SELECT s.id AS subscription, s.user_id AS buyer, COALESCE(e.paid_sec, 0) AS paid_sec,
               COALESCE(e.expires_at, 0) AS should_expire_at, s.expires_at AS expires_at,
               s.expires_at - COALESCE(e.expires_at, 0) AS surplus_sec
        FROM subscriptions s LEFT JOIN expected e ON e.subscription_id = s.id
        WHERE s.policy = 'normal' AND s.expires_at <> COALESCE(e.expires_at, 0)
        ORDER BY s.id
    """,
)

expiry_is_fold_of_ledger = Invariant(
    name="expiry_is_fold_of_ledger",
    claim="the expiry that a subscription carries is the one that its ledger gives",
    when="always",
    sql="""
        WITH ends AS (
            SELECT g.subscription_id, CAST(g.granted_at + SUM(g.duration_sec) OVER (
                PARTITION BY g.subscription_id ORDER BY g.seq DESC ROWS UNBOUNDED PRECEDING) AS BIGINT) AS runs_until
            FROM entitlement_grants g
            WHERE g.kind <> 'reversal' AND NOT EXISTS (SELECT 1 FROM entitlement_grants r WHERE r.reverses = g.grant_key)
        ), folded AS (
            SELECT subscription_id, MAX(runs_until) AS expires_at FROM ends GROUP BY subscription_id
        )
        SELECT s.id AS subscription, COALESCE(f.expires_at, 0) AS ledger_expires_at, s.expires_at AS expires_at
        FROM subscriptions s LEFT JOIN folded f ON f.subscription_id = s.id
        WHERE s.policy = 'normal' AND s.expires_at <> COALESCE(f.expires_at, 0)
        ORDER BY s.id
    """,
)

one_subscription_per_user = Invariant(
    name="one_subscription_per_user",
    claim="a user has at most one live subscription",
    when="always",
    sql="""
        SELECT user_id AS buyer, COUNT(*) AS live_subscriptions, MIN(id) AS one, MAX(id) AS another
        FROM subscriptions WHERE is_active GROUP BY user_id HAVING COUNT(*) > 1 ORDER BY user_id
    """,
)

one_grant_per_paid_payment = Invariant(
    name="one_grant_per_paid_payment",
    claim="a completed payment has exactly one grant, of the duration it bought; a payment that was not paid has none",
    when="always",
    sql="""
        SELECT p.id AS payment, p.status AS status, COUNT(g.grant_key) AS grants, p.duration_sec AS bought_sec,
               CAST(COALESCE(SUM(g.duration_sec), 0) AS BIGINT) AS granted_sec
        FROM payments p LEFT JOIN entitlement_grants g ON g.payment_id = p.id AND g.reverses IS NULL
        GROUP BY p.id, p.status, p.duration_sec
        HAVING (p.status = 'completed' AND (COUNT(g.grant_key) <> 1 OR SUM(g.duration_sec) <> p.duration_sec))
            OR (p.status IN ('pending', 'canceled', 'paid', 'refund_due') AND COUNT(g.grant_key) <> 0)
            OR COUNT(g.grant_key) > 1
        ORDER BY p.id
    """,
)

no_paid_payment_without_due_job = Invariant(
    name="no_paid_payment_without_due_job",
    claim="a payment that is paid and not yet delivered has a job that will come back to it",
    when="always",
    sql="""
        SELECT p.id AS payment, p.paid_at AS paid_at FROM payments p
        WHERE p.status = 'paid' AND NOT EXISTS (
            SELECT 1 FROM outbox o
            WHERE o.dedupe_key = 'ensure:' || p.id AND o.topic = 'ensure' AND o.done_at IS NULL AND o.dead_at IS NULL)
        ORDER BY p.id
    """,
)

every_paid_payment_is_delivered = Invariant(
    name="every_paid_payment_is_delivered",
    claim="no payment stays paid without being completed or refunded",
    when="eventually",
    sql="SELECT id AS payment, user_id AS buyer, paid_at AS paid_at FROM payments WHERE status = 'paid' ORDER BY id",
)

one_notice_per_payment = Invariant(
    name="one_notice_per_payment",
    claim="the buyer is told once about a payment that was completed, and not about one that is still open",
    when="always",
    sql="""
        SELECT p.id AS payment, p.status AS status, COUNT(o.dedupe_key) AS notices
        FROM payments p LEFT JOIN outbox o ON o.payment_id = p.id AND o.topic = 'notice'
        GROUP BY p.id, p.status
        HAVING (p.status = 'completed' AND COUNT(o.dedupe_key) <> 1)
            OR (p.status IN ('pending', 'paid', 'canceled') AND COUNT(o.dedupe_key) <> 0)
            OR COUNT(o.dedupe_key) > 1
        ORDER BY p.id
    """,
)

one_key_per_subscription_and_server = Invariant(
    name="one_key_per_subscription_and_server",
    claim="a subscription has at most one key on a server",
    when="always",
    sql="""
        SELECT subscription_id AS subscription, server_id AS server, COUNT(*) AS keys
        FROM subscription_keys GROUP BY subscription_id, server_id HAVING COUNT(*) > 1 ORDER BY subscription_id, server_id
    """,
)

keys_match_what_is_wanted = Invariant(
    name="keys_match_what_is_wanted",
    claim="every server has confirmed the key as it is wanted now, unless somebody has been called",
    when="eventually",
    sql="""
        SELECT k.subscription_id AS subscription, k.server_id AS server, k.wanted AS wanted, k.version AS version, k.applied AS applied
        FROM subscription_keys k JOIN servers s ON s.id = k.server_id AND s.active
        WHERE k.applied < k.version AND NOT EXISTS (
            SELECT 1 FROM outbox o WHERE o.subscription_id = k.subscription_id AND o.topic = 'provision' AND o.dead_at IS NOT NULL)
        ORDER BY k.subscription_id, k.server_id
    """,
)

traffic_reset_once_per_payment = Invariant(
    name="traffic_reset_once_per_payment",
    claim="traffic is reset only for a payment that bought something",
    when="always",
    sql="""
        SELECT t.payment_id AS payment, t.server_id AS server, t.done_at AS reset_at
        FROM traffic_resets t
        WHERE NOT EXISTS (SELECT 1 FROM entitlement_grants g WHERE g.grant_key = 'pay:' || t.payment_id)
        ORDER BY t.payment_id, t.server_id
    """,
)

money_in_is_granted_or_refunded = Invariant(
    name="money_in_is_granted_or_refunded",
    claim="what was received is what was granted, plus what is owed back or was returned",
    when="eventually",
    # A chargeback took the money out again by itself; a surplus payment never entered `payments`, only `refunds`.
    sql="""
        WITH entries AS (
            SELECT COALESCE(received_currency, currency) AS currency, COALESCE(received_minor, amount_minor) AS received,
                   0 AS granted, 0 AS owed
            FROM payments WHERE status IN ('paid', 'completed', 'refund_due', 'refunded')
            UNION ALL
            SELECT p.currency, 0, p.amount_minor, 0
            FROM entitlement_grants g JOIN payments p ON p.id = g.payment_id
            WHERE g.reverses IS NULL AND NOT EXISTS (SELECT 1 FROM entitlement_grants r WHERE r.reverses = g.grant_key)
            UNION ALL
            SELECT f.currency, 0, 0, f.amount_minor
            FROM refunds f JOIN payments p ON p.id = f.payment_id AND p.status IN ('refund_due', 'refunded')
            WHERE f.why <> 'surplus'
            UNION ALL
            SELECT p.currency, 0, 0, p.amount_minor
            FROM payments p WHERE p.status = 'refunded' AND NOT EXISTS (
                SELECT 1 FROM refunds f WHERE f.payment_id = p.id AND f.why <> 'surplus')
        )
        SELECT currency AS currency, CAST(SUM(received) AS BIGINT) AS received_minor,
               CAST(SUM(granted) AS BIGINT) AS granted_minor, CAST(SUM(owed) AS BIGINT) AS owed_minor
        FROM entries GROUP BY currency HAVING SUM(received) <> SUM(granted) + SUM(owed) ORDER BY currency
    """,
)

links_follow_the_ledger = Invariant(
    name="links_follow_the_ledger",
    claim="a payment is linked to the subscription that its grant went to",
    when="always",
    sql="""
        SELECT p.id AS payment, p.subscription_id AS linked_to, g.subscription_id AS granted_to
        FROM payments p JOIN entitlement_grants g ON g.grant_key = 'pay:' || p.id
        WHERE p.subscription_id IS NULL OR p.subscription_id <> g.subscription_id
        ORDER BY p.id
    """,
)

ALL: tuple[Invariant, ...] = (
    expiry_is_sum_of_paid_durations,
    expiry_is_fold_of_ledger,
    one_subscription_per_user,
    one_grant_per_paid_payment,
    no_paid_payment_without_due_job,
    every_paid_payment_is_delivered,
    one_notice_per_payment,
    one_key_per_subscription_and_server,
    keys_match_what_is_wanted,
    traffic_reset_once_per_payment,
    money_in_is_granted_or_refunded,
    links_follow_the_ledger,
    *REST,
    *TICKETS,
    *MESSAGES,
)
