"""Finding out whether a request whose answer never came has made a session: Stripe's list, searched for the claim's id.

The list cannot be asked for a reference or for metadata, so it is read: all of a window of time, page by page. An error on any
page is an error, and a list too long to read is one too: "not found" is only said of a list that was read to its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference import policies_rest
from reference.model_rest import CheckoutSession, Claim
from reference.ports import RefusedError

if TYPE_CHECKING:
    from reference.service import Service

PAGES_MAX = 500  # of 100 sessions: as many as a day and a half can hold at one every three seconds


class UndecidedError(Exception):
    """The list does not tell what became of a claim's request; a person has to look."""


async def find(service: Service, claim: Claim) -> CheckoutSession | None:
    """The session that carries this claim's id, or None when there is none.

    The answer "none" is final only when nothing can be created for the claim any more, which is after its `expires_at`: Stripe
    refuses a creation with an `expires_at` in the past, also when it has forgotten the key, and however late it arrives.

    Raises:
        UndecidedError: there are several, the window holds more than can be read, or Stripe refuses to list it.
        Exception: whatever else the client raises.
    """
    since = claim.claimed_at - policies_rest.CLOCK_SKEW_S
    until = claim.expires_at + policies_rest.CLOCK_SKEW_S
    found: list[CheckoutSession] = []
    after: str | None = None
    for _ in range(PAGES_MAX):
        try:
            page = await service.checkout().list_created(since, until, starting_after=after)
        except RefusedError as error:
            # Of the list, and not of the claim's request: it must not close the claim.
            raise UndecidedError(f"Stripe refuses its list: {error}") from error
        found += [session for session in page.sessions if session.reference == claim.id]
        after = page.next_after
        if after is None:
            break
    else:
        raise UndecidedError(f"more than {PAGES_MAX} pages of sessions between {since} and {until}")
    if len(found) > 1:
        names = ", ".join(session.id for session in found)
        raise UndecidedError(f"several sessions carry the reference {claim.id}: {names}")
    return found[0] if found else None
