"""All ablations, flow by flow, and the keys of the schema that need none, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scenarios.ablations import messages, purchase_work, purchases, rest_sessions, tickets, tickets_terms
from scenarios.ablations.ablation import Ablation

BY_FLOW: Mapping[str, Sequence[Ablation]] = {
    "Purchase and extension": purchases.ABLATIONS,
    "The work around a purchase": purchase_work.ABLATIONS,
    "The payments of a deal": rest_sessions.ABLATIONS,
    "Tickets": tickets.ABLATIONS,
    "The terms of a contest": tickets_terms.ABLATIONS,
    "Leads and messages": messages.ABLATIONS,
}
ALL: tuple[Ablation, ...] = tuple(ablation for group in BY_FLOW.values() for ablation in group)

_FROM_OUTSIDE = "its values come from outside; a second row of one name is somebody's mistake and not a race"

KEYS_WITHOUT_ABLATION: Mapping[str, str] = {
    "pk_users": _FROM_OUTSIDE,
    "pk_tariffs": _FROM_OUTSIDE,
    "pk_servers": _FROM_OUTSIDE,
    "pk_payments": "derived from create_key, whose own key is ablated",
    "pk_subscriptions": "derived from the key of the grant that opened it, whose own key is ablated",
    "uq_subscriptions_token": "tokens are random; a second one in a row that is taken is a broken generator, and tests/reference draws it",
    "uq_payments_provider_provider_payment_id": "it refuses that two of our payments claim one of the provider's, which needs a provider"
    " that gives one id to two requests",
    "uq_entitlement_grants_subscription_id_seq": "on PostgreSQL it is one of the two keys that `lock_on_the_buyer` runs into; on SQLite"
    " BEGIN IMMEDIATE lets nobody compute the same number",
    "pk_traffic_resets": "a second note of the same reset changes nothing; what is done about a retry is `reset_is_noted`",
    "pk_attention": "a second note to a person about the same thing is one too many, and nothing else",
    "pk_audit": "the same",
    "pk_sweeps": "it saves cost: two workers in one sweep are safe, which the scenarios with two sweeps show",
    "uq_session_claims_session_id": "Stripe's answer carries the claim's id, so a session is no second claim's: it refuses what only a"
    " mistake of Stripe's could bring",
    "uq_settlements_session_id": "a settlement is made from the claim that has the session, and that is one",
    "pk_message_counts": "a cause is met once, because the fence lets one decide; a second row would count it twice, and nothing else",
    "uq_messages_channel_provider_message_id": "it refuses a provider that gives two messages one id; `ours` compares number and text",
}


def named(names: Sequence[str]) -> list[Ablation]:
    """These ablations, or all of them.

    Raises:
        LookupError: there is none of a name.
    """
    known = {ablation.name: ablation for ablation in ALL}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise LookupError(f"there is no ablation {', '.join(unknown)}; there are: {', '.join(known)}")
    return [known[name] for name in names] or list(ALL)
