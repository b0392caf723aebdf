"""What customers, operators and the weather do to the stand-ins, over HTTP: for a demo, a load run, and for curl.

It is no provider: nothing of the reference calls it. What it shows is the truth about messages and money, which is what users would
see; our tables hold an opinion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from scenarios.services.chances import Chances
from scenarios.services.mobizon import Mobizon
from scenarios.services.platega import Platega
from scenarios.services.plumbing import Answer, Clock, Refused, Request, Service, answer_json, route
from scenarios.services.resend import Resend
from scenarios.services.servers import KeyServer
from scenarios.services.stripe import Stripe
from scenarios.services.stripe_sessions import PageClosed
from scenarios.services.telegram import Telegram
from scenarios.services.yookassa import YooKassa


class Control(Service):
    """The stand-ins' other side.

    ==========================================================  ============================================================
    ``GET /``                                                   these lines
    ``GET, PUT /rates``                                         `chances.Rates`, of which PUT sets those that it names
    ``GET /counts``                                             what went wrong on purpose, and how often
    ``GET /yookassa``, ``/platega``, ``/stripe``                payments, transactions, sessions, newest first
    ``POST /yookassa/ID/pay``, ``decline``                      the buyer, or their bank
    ``POST /platega/ID/pay``, ``cancel``, ``charge-back``
    ``POST /stripe/ID/pay``, ``complete-unpaid``, ``settle``,   the customer; the last two are the end of a delayed payment
    ``fail``
    ``GET /telegram``, ``/sms``, ``/mail``, ``/keys``           what arrived; ``?to=`` for one recipient
    ==========================================================  ============================================================
    """

    def __init__(
        self,
        clock: Clock,
        *,
        chances: Chances,
        yookassa: YooKassa,
        platega: Platega,
        stripe: Stripe,
        mobizon: Mobizon,
        resend: Resend,
        telegram: Telegram,
        servers: dict[str, KeyServer],
    ) -> None:
        super().__init__(clock)
        self._chances = chances
        self._yookassa, self._platega, self._stripe = yookassa, platega, stripe
        self._mobizon, self._resend, self._telegram, self._servers = mobizon, resend, telegram, servers
        self._endpoints: list[tuple[str, str, Callable[[Request, str], Any]]] = [
            ("GET", r"/", lambda _request, _found: {"this is": str(Control.__doc__).splitlines()}),
            ("GET", r"/rates", lambda _request, _found: asdict(chances.rates)),
            ("PUT", r"/rates", self._set_rates),
            ("GET", r"/counts", lambda _request, _found: dict(sorted(chances.counted.items()))),
            ("GET", r"/yookassa", lambda _request, _found: _newest(yookassa.payments.all.values())),
            ("GET", r"/platega", lambda _request, _found: _newest(platega.transactions.values())),
            ("GET", r"/stripe", lambda _request, _found: _newest(stripe.sessions.all.values())),
            ("POST", r"/((?:yookassa|platega|stripe)/[^/]+/[a-z-]+)", self._happen),
            ("GET", r"/telegram", self._notices),
            ("GET", r"/sms", self._sms),
            ("GET", r"/mail", self._mail),
            (
                "GET",
                r"/keys",
                lambda _request, _found: {name: sorted(one.keys) for name, one in servers.items()},
            ),
        ]

    async def answer(self, request: Request) -> Answer:
        """Answers one request."""
        found = route(self._endpoints, request)
        if found is None:
            raise _refused(404, f"no such thing: {request.method} {request.path}; GET / lists what there is")
        endpoint, identifier = found
        return answer_json(endpoint(request, identifier))

    # What happens ----------------------------------------------------------------------------------------------

    def pay_yookassa(self, payment_id: str) -> None:
        """A buyer pays."""
        self._yookassa.payments.pay(payment_id)

    def pay_platega(self, transaction_id: str) -> None:
        """A buyer pays."""
        self._platega.pay(transaction_id)

    def pay_stripe(self, session_id: str) -> None:
        """A customer pays, and Stripe may tell of it in two events."""
        self._with_twins(lambda: self._stripe.sessions.pay(session_id))

    def _with_twins(self, act: Callable[[], Any]) -> None:
        self._stripe.webhooks.twins = int(self._chances.happens("twin"))
        act()
        self._stripe.webhooks.twins = 0

    def _happen(self, _request: Request, found: str) -> dict[str, Any]:
        provider, identifier, verb = found.split("/")
        payments, sessions = self._yookassa.payments, self._stripe.sessions
        verbs: dict[str, Callable[[], Any]] = {
            "yookassa pay": lambda: payments.pay(identifier),
            "yookassa decline": lambda: payments.decline(identifier),
            "platega pay": lambda: self._platega.pay(identifier),
            "platega cancel": lambda: self._platega.cancel(identifier),
            "platega charge-back": lambda: self._platega.charge_back(identifier),
            "stripe pay": lambda: self._with_twins(lambda: sessions.pay(identifier)),
            "stripe complete-unpaid": lambda: self._with_twins(lambda: sessions.complete_unpaid(identifier)),
            "stripe settle": lambda: self._with_twins(lambda: sessions.settle(identifier, succeeded=True)),
            "stripe fail": lambda: self._with_twins(lambda: sessions.settle(identifier, succeeded=False)),
        }
        act = verbs.get(f"{provider} {verb}")
        if act is None:
            raise _refused(404, f"nobody can {verb} at {provider}; GET / lists what there is")
        try:
            act()
        except KeyError:
            raise _refused(404, f"{provider} has no {identifier}") from None
        except (AssertionError, PageClosed) as error:
            raise _refused(409, str(error)) from None
        return {"done": f"{verb} {identifier}"}

    def _set_rates(self, request: Request, _found: str) -> dict[str, Any]:
        try:
            self._chances.rates = self._chances.rates.changed(request.json())
        except (TypeError, ValueError) as error:
            raise _refused(400, str(error)) from None
        return asdict(self._chances.rates)

    # What arrived ----------------------------------------------------------------------------------------------

    def _notices(self, request: Request, _found: str) -> list[dict[str, Any]]:
        return [
            {"to": one.chat_id, "text": one.text, "at": one.at}
            for one in self._telegram.sent
            if _to(request) in (None, str(one.chat_id))
        ]

    def _sms(self, request: Request, _found: str) -> list[dict[str, Any]]:
        return [
            {"to": one.recipient, "text": one.text, "name": one.name, "status": one.status, "at": one.at}
            for one in self._mobizon.accepted
            if _to(request) in (None, one.recipient)
        ]

    def _mail(self, request: Request, _found: str) -> list[dict[str, Any]]:
        return [
            {"to": list(one.to), "subject": one.subject, "text": one.payload.get("text"), "at": one.at}
            for one in self._resend.accepted
            if _to(request) in (None, *one.to)
        ]


def _to(request: Request) -> str | None:
    return dict(request.query).get("to")


def _newest(objects: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(objects)[::-1][:100]


def _refused(status: int, why: str) -> Refused:
    return Refused(answer_json({"error": why}, status))
