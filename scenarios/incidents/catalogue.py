"""All incidents, in the order in which the command and the documents show them."""

from __future__ import annotations

import importlib

from scenarios.incidents.variants import Incident

NAMES = ("deal_1680", "subscription_224", "triple_sms", "ticket_award")


def incident(name: str) -> Incident:
    """The incident of that name; its folder is imported when it is asked for.

    Raises:
        LookupError: there is none.
    """
    if name not in NAMES:
        raise LookupError(f"there is no incident {name!r}; there are: {', '.join(NAMES)}")
    found: Incident = importlib.import_module(f"scenarios.incidents.{name}.incident").INCIDENT
    return found


def incidents() -> list[Incident]:
    """All of them."""
    return [incident(name) for name in NAMES]
