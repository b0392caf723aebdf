"""The three paths that lead to a message being sent, which as deployed were three senders: timer, sweep and recovery.

They differ in when they run, and in nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from reference.flows import messages_reconciler, messages_sender

if TYPE_CHECKING:
    from reference.service import Service


async def send_when_due(service: Service, lead_id: str) -> int:
    """The timer: ten minutes after the form. It is lost with its process, which costs at most a minute: the sweep comes."""
    await trio.sleep(service.lead_delay_s)
    return await messages_sender.send_due(service, lead_id=lead_id)


async def sweep(service: Service, *, messages_max: int = messages_sender.SEND_MAX) -> int:
    """Every minute: what is due, and what nobody answers for. Two of them at once share the work.

    Args:
        service: the service.
        messages_max: at most so many of each; the next run takes the rest.

    Returns:
        How many messages were touched.
    """
    settled = await messages_reconciler.reconcile(service, messages_max=messages_max)
    return settled + await messages_sender.send_due(service, messages_max=messages_max)


async def recover(service: Service) -> int:
    """At start: the same. What the process before us was doing is in the rows; that it is *this* process that starts says nothing."""
    return await sweep(service)
