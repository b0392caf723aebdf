"""What must hold of leads and their messages, as plain SQL; see `reference.invariants` for the manner.

They judge by the attempts and not by a flag: ``sms_sent = true`` is the same after one SMS and after three. What the provider has
really taken only its own list can tell; a simulation counts there as well.
"""

from __future__ import annotations

from reference.invariant import Invariant

one_message_per_lead_channel_and_template = Invariant(
    name="one_message_per_lead_channel_and_template",
    claim="a lead has at most one message per channel and template",
    when="always",
    sql="""
        SELECT lead_id AS lead, channel AS channel, template AS template, COUNT(*) AS messages
        FROM messages GROUP BY lead_id, channel, template HAVING COUNT(*) > 1 ORDER BY lead_id, channel, template
    """,
)

every_lead_has_its_messages = Invariant(
    name="every_lead_has_its_messages",
    claim="a lead that was written down has its SMS and its e-mail",
    when="always",
    sql="""
        SELECT l.id AS lead, l.created_at AS created_at, COUNT(m.id) AS messages
        FROM landing_leads l LEFT JOIN messages m ON m.lead_id = l.id AND m.template = 'proftest_result'
        GROUP BY l.id, l.created_at HAVING COUNT(DISTINCT m.channel) <> 2 ORDER BY l.id
    """,
)

at_most_once_is_accepted_at_most_once = Invariant(
    name="at_most_once_is_accepted_at_most_once",
    claim="of a message that is promised at most once, the provider has accepted at most one",
    when="always",
    sql="""
        SELECT m.id AS message, m.channel AS channel, COUNT(*) AS accepted
        FROM messages m JOIN message_attempts a ON a.message_id = m.id AND a.outcome IN ('accepted', 'found')
        WHERE m.promise = 'at_most' GROUP BY m.id, m.channel HAVING COUNT(*) > 1 ORDER BY m.id
    """,
)

no_call_follows_silence = Invariant(
    name="no_call_follows_silence",
    claim="a message that is promised at most once is not called again unless the call before was certainly not taken",
    when="always",
    # Stronger than the one above, and true before any provider has answered: it looks at what was risked, not at what came of it.
    sql="""
        SELECT m.id AS message, first.n AS earlier, first.outcome AS came_of_it, second.n AS called_again
        FROM messages m
        JOIN message_attempts first ON first.message_id = m.id AND first.called_at IS NOT NULL
        JOIN message_attempts second ON second.message_id = m.id AND second.called_at IS NOT NULL AND second.n > first.n
        WHERE m.promise = 'at_most' AND (first.outcome IS NULL OR first.outcome <> 'not_taken')
        ORDER BY m.id, first.n, second.n
    """,
)

sent_is_the_providers_word = Invariant(
    name="sent_is_the_providers_word",
    claim="a message is sent exactly when an attempt was accepted, or found at the provider",
    when="always",
    sql="""
        SELECT m.id AS message, m.state AS state, COUNT(a.n) AS accepted
        FROM messages m LEFT JOIN message_attempts a ON a.message_id = m.id AND a.outcome IN ('accepted', 'found')
        GROUP BY m.id, m.state HAVING (m.state = 'sent') <> (COUNT(a.n) > 0) ORDER BY m.id
    """,
)

no_message_in_limbo_without_a_date = Invariant(
    name="no_message_in_limbo_without_a_date",
    claim="a message that somebody may be sending, or may have sent, has a date on which it is looked at, and an attempt to judge by",
    when="always",
    sql="""
        SELECT m.id AS message, m.state AS state, m.look_at AS look_at, m.attempts AS attempt
        FROM messages m
        WHERE m.state IN ('sending', 'unknown') AND (m.look_at IS NULL OR NOT EXISTS (
            SELECT 1 FROM message_attempts a WHERE a.message_id = m.id AND a.n = m.attempts))
        ORDER BY m.id
    """,
)

every_message_is_settled = Invariant(
    name="every_message_is_settled",
    claim="every message ends as sent, failed or cancelled",
    when="eventually",
    sql="""
        SELECT id AS message, state AS state, due_at AS due_at, look_at AS look_at
        FROM messages WHERE state IN ('pending', 'sending', 'unknown') ORDER BY id
    """,
)

one_sms_per_number_and_hour = Invariant(
    name="one_sms_per_number_and_hour",
    claim="between the SMS of two messages to one number there is an hour",
    when="always",
    # Calls that may have been taken count, whether or not they were; the same message may be called again.
    sql="""
        SELECT m.recipient AS number, m.id AS earlier, n.id AS later, b.called_at - a.called_at AS apart_s
        FROM messages m
        JOIN message_attempts a ON a.message_id = m.id AND a.called_at IS NOT NULL
        JOIN messages n ON n.recipient = m.recipient AND n.id <> m.id AND n.channel = 'sms'
        JOIN message_attempts b ON b.message_id = n.id AND b.called_at IS NOT NULL
        WHERE m.channel = 'sms' AND b.called_at - a.called_at < 3600
          AND (b.called_at > a.called_at OR (b.called_at = a.called_at AND n.id > m.id))
          AND COALESCE(a.outcome, 'open') NOT IN ('not_taken', 'refused')
          AND COALESCE(b.outcome, 'open') NOT IN ('not_taken', 'refused')
        ORDER BY m.recipient, m.id, n.id
    """,
)

blocked_duplicates_are_counted_and_told = Invariant(
    name="blocked_duplicates_are_counted_and_told",
    claim="an SMS that was blocked has a row in the counts and an alert",
    when="always",
    sql="""
        SELECT m.id AS message
        FROM messages m
        WHERE m.state = 'cancelled' AND NOT (
            EXISTS (SELECT 1 FROM message_counts c WHERE c.message_id = m.id AND c.what = 'blocked_duplicate')
            AND EXISTS (SELECT 1 FROM outbox o WHERE o.dedupe_key = 'alert:blocked:' || m.id AND o.topic = 'alert'))
        ORDER BY m.id
    """,
)

MESSAGES: tuple[Invariant, ...] = (
    one_message_per_lead_channel_and_template,
    every_lead_has_its_messages,
    at_most_once_is_accepted_at_most_once,
    no_call_follows_silence,
    sent_is_the_providers_word,
    no_message_in_limbo_without_a_date,
    every_message_is_settled,
    one_sms_per_number_and_hour,
    blocked_duplicates_are_counted_and_told,
)
