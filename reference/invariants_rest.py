"""What must hold of deals, claims and settlements, as plain SQL: each statement selects the rows that break the claim.

Like those of the purchase flow (`reference.invariants`) they read the tables only, run on SQLite and PostgreSQL unchanged, and judge
what a live database holds as well as each commit of a simulation.
"""

from __future__ import annotations

from reference.invariant import Invariant

one_rest_session_per_deal = Invariant(
    name="one_rest_session_per_deal",
    claim="a deal has at most one claim of a kind by which money can still come",
    when="always",
    sql="""
        SELECT deal_id AS deal, kind AS kind, COUNT(*) AS live_sessions,
               MIN(COALESCE(session_id, id)) AS one, MAX(COALESCE(session_id, id)) AS another
        FROM session_claims WHERE state IN ('claimed', 'open', 'processing')
        GROUP BY deal_id, kind HAVING COUNT(*) > 1 ORDER BY deal_id, kind
    """,
)

one_settlement_per_deal_and_kind = Invariant(
    name="one_settlement_per_deal_and_kind",
    claim="of a deal's payments of a kind at most one is settled",
    when="always",
    sql="""
        SELECT deal_id AS deal, kind AS kind, COUNT(*) AS settlements, MIN(session_id) AS one, MAX(session_id) AS another
        FROM settlements GROUP BY deal_id, kind HAVING COUNT(*) > 1 ORDER BY deal_id, kind
    """,
)

no_claim_without_due_job = Invariant(
    name="no_claim_without_due_job",
    claim="a claim whose session is not known has a job that will come back to it",
    when="always",
    sql="""
        SELECT c.id AS claim, c.claimed_at AS claimed_at FROM session_claims c
        WHERE c.state = 'claimed' AND NOT EXISTS (
            SELECT 1 FROM outbox o
            WHERE o.dedupe_key = 'rest_session:' || c.id AND o.topic = 'rest_session'
              AND o.done_at IS NULL AND o.dead_at IS NULL)
        ORDER BY c.id
    """,
)

generations_have_no_gaps = Invariant(
    name="generations_have_no_gaps",
    claim="the generations of a deal's payment count from one, and only the last can be live",
    when="always",
    sql="""
        SELECT deal_id AS deal, kind AS kind, COUNT(*) AS claims, MIN(generation) AS first, MAX(generation) AS last,
               MAX(CASE WHEN state IN ('claimed', 'open', 'processing') THEN generation END) AS live
        FROM session_claims GROUP BY deal_id, kind
        HAVING MIN(generation) <> 1 OR MAX(generation) <> COUNT(*)
            OR MAX(CASE WHEN state IN ('claimed', 'open', 'processing') THEN generation END) <> MAX(generation)
        ORDER BY deal_id, kind
    """,
)

settlements_point_to_paid_sessions = Invariant(
    name="settlements_point_to_paid_sessions",
    claim="what is settled is what a paid session of this deal and kind asked for, and received",
    when="always",
    sql="""
        SELECT s.deal_id AS deal, s.kind AS kind, s.session_id AS session, s.amount_minor AS settled_minor,
               c.state AS state, c.amount_minor AS asked_minor, c.received_minor AS received_minor
        FROM settlements s LEFT JOIN session_claims c ON c.session_id = s.session_id
        WHERE c.id IS NULL OR c.deal_id <> s.deal_id OR c.kind <> s.kind OR c.state <> 'paid'
           OR c.amount_minor <> s.amount_minor OR c.currency <> s.currency
           OR c.received_minor <> s.amount_minor OR c.received_currency <> s.currency
        ORDER BY s.deal_id, s.kind
    """,
)

money_in_is_settled_or_owed_back = Invariant(
    name="money_in_is_settled_or_owed_back",
    claim="each amount that came by a claim's session is settled or owed back, and never both",
    when="always",
    # By session and not in sum: two mistakes must not make up for each other. What came by a session that is no claim's is in the
    # refund queue alone.
    sql="""
        SELECT c.id AS claim, c.session_id AS session, c.received_minor AS received_minor, s.amount_minor AS settled_minor,
               r.amount_minor AS owed_minor
        FROM session_claims c
        LEFT JOIN settlements s ON s.session_id = c.session_id LEFT JOIN refund_queue r ON r.session_id = c.session_id
        WHERE COALESCE(c.received_minor, 0) <> COALESCE(s.amount_minor, 0) + COALESCE(r.amount_minor, 0)
        ORDER BY c.id
    """,
)

one_message_per_reminder = Invariant(
    name="one_message_per_reminder",
    claim="a customer is told once about each generation and occasion",
    when="always",
    sql="""
        SELECT r.deal_id AS deal, r.kind AS kind, r.generation AS generation, r.slot AS slot, COUNT(*) AS reminders,
               COUNT(o.dedupe_key) AS messages
        FROM reminders r
        LEFT JOIN session_claims c ON c.deal_id = r.deal_id AND c.kind = r.kind AND c.generation = r.generation
        LEFT JOIN outbox o ON o.topic = 'rest_notice' AND o.dedupe_key = 'rest_notice:' || c.id || ':' || r.slot
        GROUP BY r.deal_id, r.kind, r.generation, r.slot HAVING COUNT(*) <> 1 OR COUNT(o.dedupe_key) <> 1
        ORDER BY r.deal_id, r.kind, r.generation, r.slot
    """,
)

every_open_page_was_announced = Invariant(
    name="every_open_page_was_announced",
    claim="a customer who can pay has been sent the link",
    when="always",
    sql="""
        SELECT c.id AS claim, c.url AS url FROM session_claims c
        WHERE c.state = 'open' AND c.url IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM reminders r
            WHERE r.deal_id = c.deal_id AND r.kind = c.kind AND r.generation = c.generation AND r.slot = 'link')
        ORDER BY c.id
    """,
)

every_claim_gets_its_session = Invariant(
    name="every_claim_gets_its_session",
    claim="no claim stays without a session, unless somebody has been called",
    when="eventually",
    sql="""
        SELECT c.id AS claim, c.claimed_at AS claimed_at FROM session_claims c
        WHERE c.state = 'claimed' AND NOT EXISTS (
            SELECT 1 FROM attention a WHERE a.subject IN ('claim:' || c.id, 'outbox:rest_session:' || c.id))
        ORDER BY c.id
    """,
)

nothing_is_asked_for_twice = Invariant(
    name="nothing_is_asked_for_twice",
    claim="once a payment is settled, or its deal is closed, there is no page for it any more",
    when="eventually",
    sql="""
        SELECT c.id AS claim, c.state AS state, d.status AS deal_status, s.session_id AS settled_by
        FROM session_claims c JOIN deals d ON d.id = c.deal_id
        LEFT JOIN settlements s ON s.deal_id = c.deal_id AND s.kind = c.kind
        WHERE c.state IN ('claimed', 'open') AND (s.session_id IS NOT NULL OR d.status IN ('lost', 'deleted'))
        ORDER BY c.id
    """,
)

REST: tuple[Invariant, ...] = (
    one_rest_session_per_deal,
    one_settlement_per_deal_and_kind,
    no_claim_without_due_job,
    generations_have_no_gaps,
    settlements_point_to_paid_sessions,
    money_in_is_settled_or_owed_back,
    one_message_per_reminder,
    every_open_page_was_announced,
    every_claim_gets_its_session,
    nothing_is_asked_for_twice,
)
