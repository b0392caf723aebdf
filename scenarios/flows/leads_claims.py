"""What must hold of messages at the providers, whatever our own tables say; and a claim about rows that only one scenario can break."""

from __future__ import annotations

from itertools import pairwise

from reference import Invariant
from reference.flows.messages_rules import CALL_MAX_S, SMS_EVERY_S
from scenarios.flows.leads import ALWAYS, EVENTUALLY, landing_of
from simulator import World
from simulator.oracles import Claim


def one_sms_per_lead(world: World) -> str | None:
    """An SMS costs money each time."""
    taken = [one.reference for one in landing_of(world).mobizon.taken]
    twice = next((reference for reference in taken if taken.count(reference) > 1), None)
    return f"{taken.count(twice)} SMS went out as {twice}" if twice else None


def an_hour_between_sms(world: World) -> str | None:
    """One SMS to a number in an hour from call to call, whichever lead it is for; Mobizon may take a call's time to accept."""
    taken = landing_of(world).mobizon.taken
    for first, second in pairwise(taken):
        apart_s = second.accepted_at - first.accepted_at
        if first.recipient == second.recipient and apart_s < SMS_EVERY_S - CALL_MAX_S:
            return f"{second.accepted_at - first.accepted_at} s between {first.message_id} and {second.message_id}"
    return None


def one_mail_per_form(world: World) -> str | None:
    """To an address that has filled in one form there goes one mail."""
    addresses = [to for to, _ in landing_of(world).resend.mails.values()]
    twice = next((to for to in addresses if addresses.count(to) > 1), None)
    return f"{addresses.count(twice)} mails for one form" if twice else None


def every_lead_has_its_mail(world: World) -> str | None:
    """Whatever became of the SMS."""
    bodies = [body for _, body in landing_of(world).resend.mails.values()]
    rows = world.database.rows("SELECT id FROM landing_leads ORDER BY id")
    missing = [row["id"] for row in rows if not any(row["id"] in body for body in bodies)]
    return f"no mail went out for {missing[0]}" if missing else None


def what_went_out_is_called_sent(world: World) -> str | None:
    """An SMS that Mobizon has taken and shows is ``sent``, under its name there."""
    rows = world.database.rows(
        "SELECT client_ref, state, provider_message_id FROM messages WHERE channel = 'sms'"
    )
    known = {row["client_ref"]: (row["state"], row["provider_message_id"]) for row in rows}
    for one in landing_of(world).mobizon.taken:
        if known.get(str(one.reference)) != ("sent", one.message_id):
            return f"{one.message_id} went out, and its message is {known.get(str(one.reference))}"
    return None


def nobody_waits_in_vain(world: World) -> str | None:
    """What Mobizon has certainly not taken is tried again, until it has."""
    taken = {one.reference for one in landing_of(world).mobizon.taken}
    rows = world.database.rows("SELECT client_ref, state FROM messages WHERE channel = 'sms' ORDER BY id")
    missing = [row for row in rows if row["client_ref"] not in taken]
    return (
        f"no SMS went out for {missing[0]['client_ref']}, which is {missing[0]['state']}" if missing else None
    )


def somebody_of_two_is_told(world: World) -> str | None:
    """A refused SMS does not take the number's hour from the next one."""
    return None if landing_of(world).mobizon.taken else "no SMS went out"


def nobody_is_called_about_a_mail(world: World) -> str | None:
    """A mail that goes out under its key needs no person."""
    rows = world.database.rows("SELECT why FROM attention WHERE subject LIKE 'message:%email%'")
    return f"a person was called: {rows[0]['why']}" if rows else None


ONE_ROW_PER_REPORT = Invariant(
    name="one_row_per_report",
    claim="what Mobizon reports any number of times is one row",
    when="always",
    sql="SELECT event_id, COUNT(*) AS n FROM delivery_reports GROUP BY event_id HAVING COUNT(*) > 1",
)
STRICT: list[Claim] = [*ALWAYS, one_sms_per_lead, an_hour_between_sms]
AT_REST: list[Claim] = [*EVENTUALLY, every_lead_has_its_mail]
FORM: list[Claim] = [*AT_REST, one_mail_per_form]
