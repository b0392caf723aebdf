"""Leads: a form becomes a lead and its two messages in one transaction, or nothing; the same form again is the same lead.

What is said, to whom and when is written down here, once, and never composed again: a text that changed from attempt to attempt
could not be looked up at the provider.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference.flows.messages_rules import PROMISES
from reference.model_messages import Channel, Form, Template
from reference.storage.schema_messages import landing_leads, messages
from reference.storage.statements import insert_once
from reference.storage.transactions import atomically

if TYPE_CHECKING:
    from reference.service import Service

DIGITS_MIN, DIGITS_MAX = 10, 15  # E.164 ends at fifteen


class FormError(ValueError):
    """The form has no number or no address that a message could go to; nothing was written."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """What came of a form: its lead, and whether this submit made it."""

    lead_id: str
    made: bool


def lead_id_for(phone: str, email: str, answers: str) -> str:
    """A lead's id: derived from what makes two tests different, so that a repeated submit meets the first one."""
    return f"l-{uuid5(NAMESPACE_URL, f'turnstile:lead:{phone}:{email}:{answers}').hex[:20]}"


def digits(phone: str) -> str:
    """A number as digits with its country: "8 (7xx) ..." is how +7 is dialled at home.

    Raises:
        FormError: that is no number.
    """
    found = "".join(sign for sign in phone if sign in "0123456789")
    if len(found) == 11 and found.startswith("8") and not phone.strip().startswith("+"):
        found = f"7{found[1:]}"
    if not DIGITS_MIN <= len(found) <= DIGITS_MAX:
        raise FormError(f"a number has {DIGITS_MIN} to {DIGITS_MAX} digits, this one has {len(found)}")
    return found


def address(email: str) -> str:
    """An address in one spelling.

    Raises:
        FormError: that is no address; whether anybody reads it, only a mail can tell.
    """
    found = email.strip().lower()
    name, at, domain = found.partition("@")
    if not (name and at and "." in domain) or any(sign.isspace() for sign in found):
        raise FormError("that is no e-mail address")
    return found


async def submit_lead(service: Service, form: Form) -> Submitted:
    """Write a lead down with its messages, due in ten minutes.

    Args:
        service: the service.
        form: as it was sent.

    Returns:
        The lead; the same one for the same form, without new messages.

    Raises:
        FormError: there is nowhere to send the result to.
    """
    phone, email = digits(form.phone), address(form.email)
    answers = json.dumps(form.answers, sort_keys=True, ensure_ascii=False)
    lead_id = lead_id_for(phone, email, answers)

    async def write(connection: AsyncConnection) -> Submitted:
        now = service.now()
        row = {
            "id": lead_id,
            "name": form.name,
            "phone": phone,
            "email": email,
            "answers": answers,
            "created_at": now,
        }
        if not await insert_once(connection, landing_leads, row):
            again = update(landing_leads).where(landing_leads.c.id == lead_id)
            await connection.execute(again.values(submits=landing_leads.c.submits + 1))
            return Submitted(lead_id, made=False)
        for message in compose(lead_id, form.name, phone, email, now=now, due_at=now + service.lead_delay_s):
            await connection.execute(messages.insert(), message)
        return Submitted(lead_id, made=True)

    return await atomically(service.engine, write)


def compose(
    lead_id: str, name: str, phone: str, email: str, *, now: int, due_at: int
) -> list[dict[str, Any]]:
    """The rows of a lead's messages; the link makes each text its own, and a look-up by text a look-up of this lead."""
    link = f"https://proftest.example/r/{lead_id}"
    told = {
        Channel.SMS: (phone, "", f"Your test result is ready: {link}"),
        Channel.EMAIL: (email, "Your test result", f"Hello {name},\n\nyour test result is ready: {link}\n"),
    }
    return [
        {
            "id": message_id_for(lead_id, channel),
            "lead_id": lead_id,
            "channel": channel.value,
            "template": Template.PROFTEST_RESULT.value,
            "recipient": recipient,
            "subject": subject,
            "body": body,
            "client_ref": client_ref_for(message_id_for(lead_id, channel)),
            "promise": PROMISES[Template.PROFTEST_RESULT, channel].value,
            "due_at": due_at,
            "created_at": now,
        }
        for channel, (recipient, subject, body) in told.items()
    ]


def message_id_for(lead_id: str, channel: Channel, template: Template = Template.PROFTEST_RESULT) -> str:
    """A message's id: one per lead, channel and template."""
    return f"msg:{lead_id}:{channel}:{template}"


def lead_id_of(message_id: str) -> str:
    """The other way round: whose message it is."""
    return message_id.split(":")[1]


def client_ref_for(message_id: str) -> str:
    """Our name for a message at its provider: short enough for Mobizon's campaign name and for Resend's key."""
    return f"m-{uuid5(NAMESPACE_URL, f'turnstile:message:{message_id}').hex[:20]}"
