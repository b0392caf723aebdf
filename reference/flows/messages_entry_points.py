"""The three paths that lead to a message being sent, which as deployed were three senders: timer, sweep and recovery.

They differ in when they run, and in nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from reference.flows import messages_reconciler, messages_sender
from reference.flows.messages_rules import SEND_AFTER_S

if TYPE_CHECKING:
    from reference.service import Service


async def send_when_due(service: Service, lead_id: str) -> int:
    """The timer: ten minutes after the form. It is lost with its process, which costs at most a minute: the sweep comes."""
    await trio.sleep(SEND_AFTER_S)
    return await messages_sender.send_due(service, lead_id=lead_id)


async def sweep(service: Service) -> int:
    """Every minute: what is due, and what nobody answers for. Two of them at once share the work.

    Returns:
        How many messages were touched.
    """
    return await messages_reconciler.reconcile(service) + await messages_sender.send_due(service)


async def recover(service: Service) -> int:
    """At start: the same. What the process before us was doing is in the rows; that it is *this* process that starts says nothing."""
    return await sweep(service)
