"""The one sender. Timer, sweep and recovery all come here; none of them checks whether another one has been here before.

For each message: claim, commit; mark the call, commit; call, outside any transaction and for less time than the lease has left;
record, commit. Each gap between two of these is a place to die, and `docs/flows/messages.md` says what becomes of it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from reference import logs
from reference.flows import messages, messages_outcomes
from reference.flows.leads import lead_id_of
from reference.flows.messages_rules import CALL_MAX_S
from reference.model_messages import Attempted, Channel, Message
from reference.ports import KeyConflictError, LaterError, RefusedError

if TYPE_CHECKING:
    from reference.service import Service

log = logging.getLogger("reference.messages")

SEND_MAX = 50  # messages per run; the next run takes the rest


async def send_due(service: Service, *, lead_id: str | None = None, messages_max: int = SEND_MAX) -> int:
    """Send the messages that are due, oldest first.

    Args:
        service: the service.
        lead_id: only this lead's.
        messages_max: at most so many.

    Returns:
        How many were taken in hand or blocked. A failure is recorded and does not stop the others.

    Raises:
        LookupError: this service was put together without an SMS gateway or without a mailer; nothing was claimed.
    """
    service.sms_gateway()  # asked first: a claim that cannot be followed by a call only wears a message out
    service.mail()
    for tried in range(messages_max):
        claimed = await messages.claim(service, lead_id=lead_id)
        if claimed is None:
            return tried
        if isinstance(claimed, Message):
            with logs.about(lead=lead_id_of(claimed.id), message_id=claimed.id):
                await _deliver(service, claimed)
    return messages_max


async def _deliver(service: Service, message: Message) -> None:
    try:
        if await messages.mark_call(service, message):
            await _call_and_record(service, message)
        else:
            why = "overtaken, or too late for a call within the lease"
            await messages_outcomes.not_sent(service, message, Attempted.NOT_CALLED, why)
    except Exception:  # the record failed, not the call: the lease runs out, and the reconciler comes for it
        log.exception("%s, attempt %d, is left to the reconciler", message.id, message.attempt)


async def _call_and_record(service: Service, message: Message) -> None:
    try:
        with trio.fail_after(CALL_MAX_S):
            provider_message_id = await _call(service, message)
    except LaterError as error:
        await messages_outcomes.not_sent(service, message, Attempted.NOT_TAKEN, error)
    except (RefusedError, KeyConflictError) as error:
        await messages_outcomes.refused(service, message, error)
    except Exception as error:  # a timeout, a lost connection, anything else: it may have been taken
        log.warning("%s, attempt %d: no answer: %r", message.id, message.attempt, error)
        await messages_outcomes.no_answer(service, message, error)
    else:
        await messages_outcomes.accepted(service, message, provider_message_id)


async def _call(service: Service, message: Message) -> str:
    if message.channel is Channel.EMAIL:
        return await service.mail().send(message.recipient, message.subject, message.body, message.client_ref)
    receipt = await service.sms_gateway().send(message.recipient, message.body, message.client_ref)
    return receipt.message_id
