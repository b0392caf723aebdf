"""Stripe as short as it can be, behind the reference's port: what can bring money, and what came, is counted here.

`scenarios.services.stripe` is the long one. Not modelled: errors other than those drawn in `Stripe.trouble`, events by themselves (a
scenario sends its own), rate limits, what a request is refused for beyond the bounds of `expires_at`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs

import trio

from reference import (
    AmbiguousError,
    CheckoutSession,
    KeyConflictError,
    LaterError,
    RefusedError,
    SessionPage,
    SessionPayment,
    SessionRequest,
    SessionStatus,
)
from simulator import World

CALL_MAX_S = 20  # the real client's own
KEYS_LIVE_S = 24 * 3600
LIFE_MIN_S = 30 * 60
ASLEEP_S = 90  # longer than the lease
_AT_WORK_S = {"slow": 15, "late": 90}
_WAITS_S = {"slow": 16, "late": CALL_MAX_S, "answered late": 16, "refused, told late": ASLEEP_S}


@dataclass
class _Kept:
    """What Stripe keeps under a key: what was asked, and what it answered."""

    body: str
    until: float
    answer: CheckoutSession | Exception


class Stripe:
    """An account: sessions, answers kept by key, requests that are still at work.

    Attributes:
        trouble: what happens to the n-th creation: ``lost request``, ``lost answer``, ``kept 500`` (made, and "500" is what every
            repetition is told), ``slow`` (15 s; a repetition meets a 409), ``late`` (made 90 s later, long after the caller gave up),
            ``answered late`` (made at once), ``refused``, ``refused, told late`` (to a worker that was asleep).
        asleep: the n-th caller stops for 90 s before its request; 0: nobody.
        slow_look_at: who asks for a record at this unix second hears 15 s later what it was.
        received: minor units by session.
        doubles: each time two pages of one debt could bring money.
        needless: sessions that were made for what had been paid.
        conflicts: requests whose key had come with another body.
        in_use: requests whose key was at work.
        refusals: requests that were refused.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._sessions: dict[str, CheckoutSession] = {}
        self._kept: dict[str, _Kept] = {}
        self._at_work: set[str] = set()
        self._lagging: dict[str, CheckoutSession] = {}
        self.trouble: dict[int, str] = {}
        self.asleep = 0
        self.slow_look_at = 0
        self.is_down = False
        self.list_is_refused = False
        self.received: Counter[str] = Counter()
        self.doubles: list[str] = []
        self.needless: list[str] = []
        self._entered = self.creations = self.conflicts = self.in_use = self.refusals = 0

    # What the reference asks ------------------------------------------------------------------------------------------

    async def create(self, request: SessionRequest) -> CheckoutSession:
        """POST, as `CheckoutSessions.create` says."""
        self._entered += 1
        if self._entered == self.asleep:
            await trio.sleep(ASLEEP_S)
        answers: list[CheckoutSession | Exception] = []
        trouble = await self._world.call("stripe create", lambda: self._begin(request, answers))
        if trouble in _WAITS_S:
            await trio.sleep(_WAITS_S[trouble])
        if not answers or trouble in ("lost request", "lost answer"):
            raise AmbiguousError(trouble)
        return _unless_raised(answers[0])

    def _begin(self, request: SessionRequest, answers: list[CheckoutSession | Exception]) -> str:
        self.creations += 1
        trouble = self.trouble.get(self.creations, "")
        if trouble not in _AT_WORK_S or request.idempotency_key in self._at_work:
            answers.append(self._answer(request, trouble))
            return "" if trouble in _AT_WORK_S else trouble

        def finish() -> None:
            self._at_work.discard(request.idempotency_key)
            answers.append(self._answer(request, ""))

        self._at_work.add(request.idempotency_key)
        self._world.act_at(self._world.clock.now_s + _AT_WORK_S[trouble], finish)
        return trouble

    def _answer(self, request: SessionRequest, trouble: str) -> CheckoutSession | Exception:
        if trouble == "lost request" or self.is_down:
            return AmbiguousError("connection lost")
        if request.idempotency_key in self._at_work:
            self.in_use += 1
            return LaterError("409: the key is in use")
        kept = self._kept.get(request.idempotency_key)
        if kept is not None and kept.until > self.now:
            if kept.body == request.body:
                return kept.answer
            self.conflicts += 1
            return KeyConflictError("400: idempotency_error")
        answer = self._made(request, refused=trouble.startswith("refused"))
        if isinstance(answer, RefusedError):
            return answer  # refused before anything was done, and not kept
        if trouble == "kept 500":
            answer = AmbiguousError("500")
        self._kept[request.idempotency_key] = _Kept(request.body, self.now + KEYS_LIVE_S, answer)
        return answer

    def _made(self, request: SessionRequest, *, refused: bool) -> CheckoutSession | Exception:
        asked = {name: values[0] for name, values in parse_qs(request.body).items()}
        if refused or not LIFE_MIN_S <= int(asked["expires_at"]) - self.now <= KEYS_LIVE_S:
            self.refusals += 1
            return RefusedError("400: expires_at, or something else of the request")
        return self.add(
            asked["client_reference_id"],
            int(asked["line_items[0][price_data][unit_amount]"]),
            asked["line_items[0][price_data][currency]"].upper(),
            int(asked["expires_at"]),
        )

    async def retrieve(self, session_id: str) -> CheckoutSession | None:
        """The record, or None."""

        def look() -> CheckoutSession | Exception | None:
            if self.is_down:
                return AmbiguousError("connection lost")
            return self._lagging.get(session_id) or self.sessions.get(session_id)

        asked_at = self.now
        found = await self._world.call("stripe retrieve", look)
        if asked_at == self.slow_look_at:
            await trio.sleep(15)
        if isinstance(found, Exception):
            raise found
        return found

    async def list_created(self, since: int, until: int, *, starting_after: str | None = None) -> SessionPage:
        """One page of two, newest first."""

        def look() -> SessionPage | Exception:
            if self.list_is_refused:
                return RefusedError("400: no list today")
            if self.is_down:
                return AmbiguousError("connection lost")
            names = [name for name, one in self.sessions.items() if since <= one.created <= until][::-1]
            begin = names.index(starting_after) + 1 if starting_after is not None else 0
            shown = names[begin : begin + 2]
            more = begin + 2 < len(names)
            return SessionPage(tuple(self.sessions[name] for name in shown), shown[-1] if more else None)

        found = await self._world.call("stripe list", look)
        if isinstance(found, Exception):
            raise found
        return found

    async def expire(self, session_id: str) -> CheckoutSession:
        """Closes a page that is open."""

        def close() -> CheckoutSession | Exception:
            if self.is_down:
                return AmbiguousError("connection lost")
            if self.sessions[session_id].status is not SessionStatus.OPEN:
                return RefusedError("400: it is not open")
            return self._becomes(session_id, SessionStatus.EXPIRED, SessionPayment.UNPAID)

        return _unless_raised(await self._world.call("stripe expire", close))

    # What is so -------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """Unix seconds, by Stripe's clock."""
        return int(self._world.clock.now().timestamp())

    @property
    def sessions(self) -> dict[str, CheckoutSession]:
        """All of them, as they are by now: a page that nobody closed closes itself."""
        for name, one in self._sessions.items():
            if one.status is SessionStatus.OPEN and one.expires_at <= self.now:
                self._sessions[name] = replace(one, status=SessionStatus.EXPIRED, url=None)
        return self._sessions

    def may_bring_money(self, debt: str) -> list[str]:
        """The pages of a debt (``rest:1680``) that are open, or complete with the money on its way."""
        return [
            name
            for name, one in self.sessions.items()
            if debt_of(one) == debt
            and (
                one.status is SessionStatus.OPEN
                or (one.status is SessionStatus.COMPLETE and one.payment is SessionPayment.UNPAID)
            )
        ]

    def closed_for_s(self, session_id: str) -> int:
        """For how long a page has run out; 0 when it has not, or somebody has closed it."""
        one = self.sessions[session_id]
        return max(0, self.now - one.expires_at) if one.status is SessionStatus.EXPIRED else 0

    def add(self, reference: str, amount_minor: int, currency: str, expires_at: int) -> CheckoutSession:
        """A session, made by whomever."""
        name = f"cs_test_{len(self._sessions) + 1}"
        url = f"https://checkout.example.com/{name}"
        made = CheckoutSession(
            name,
            SessionStatus.OPEN,
            SessionPayment.UNPAID,
            amount_minor,
            currency,
            reference,
            url,
            self.now,
            expires_at,
        )
        self._sessions[name] = made
        self._world.note(f"{name} is made for {reference}")
        if any(
            self.received[other] and debt_of(one) == debt_of(made) for other, one in self._sessions.items()
        ):
            self.needless.append(name)
        pages = self.may_bring_money(debt_of(made))
        if len(pages) > 1:
            self.doubles.append(" and ".join(pages))
        return made

    # What customers and banks do --------------------------------------------------------------------------------------

    def pay(self, session_id: str, *, amount_minor: int | None = None) -> None:
        """The money is there."""
        one = self.sessions[session_id]
        amount = one.amount_minor if amount_minor is None else amount_minor
        self.received[session_id] += amount
        self._becomes(session_id, SessionStatus.COMPLETE, SessionPayment.PAID, amount_minor=amount)

    def pay_if_there(self, session_id: str) -> None:
        """The money is there, if the page is by now."""
        if session_id in self.sessions:
            self.pay(session_id)

    def pay_by_bank(self, session_id: str) -> None:
        """The money is on its way."""
        self._becomes(session_id, SessionStatus.COMPLETE, SessionPayment.UNPAID)

    def bank_declines(self, session_id: str) -> None:
        """It will not come."""
        self._becomes(session_id, SessionStatus.COMPLETE, SessionPayment.FAILED)

    def lags(self, session_id: str, seconds: int) -> None:
        """For a while the record that is shown is the one of now."""
        self._lagging[session_id] = self.sessions[session_id]
        self._world.act_at(self._world.clock.now_s + seconds, lambda: self._catches_up(session_id))

    def _catches_up(self, session_id: str) -> None:
        self._lagging.pop(session_id, None)

    def _becomes(
        self, name: str, status: SessionStatus, payment: SessionPayment, **changes: Any
    ) -> CheckoutSession:
        self._sessions[name] = replace(
            self.sessions[name], status=status, payment=payment, url=None, **changes
        )
        self._world.note(f"{name}: {status}, {payment}")
        return self._sessions[name]


def _unless_raised(answer: CheckoutSession | Exception) -> CheckoutSession:
    if isinstance(answer, Exception):
        raise answer
    return answer


def debt_of(session: CheckoutSession) -> str:
    """What a session is to pay for: ``rest:1680``."""
    return str(session.reference).rpartition(":")[0]
