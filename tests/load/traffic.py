"""Customers, visitors, the CRM and a bot: they press buttons, pay, pay twice as late as they should, and ask how it is going."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import trio

from reference import Service
from scenarios.services.on_loopback import StandIns

BOT, CRM, ADMIN = "bot-token-of-the-load-run", "crm-token-of-the-load-run", "staff-token-of-the-load-run"
MONTH, TEN_DAYS = 1, 2
TRIES_MAX = 12


@dataclass
class Traffic:
    """Everybody who wants something.

    Args:
        around: the stand-ins.
        http: to the service.
        bot: a service of the bot's own, by which it polls; its database is everybody's.
        dice: who does what.
        users: how many buyers there are.
        page_within_s: how long a customer waits for the page of their deal.

    Attributes:
        did: how often what was done.
        retried: how often a request of ours had to be repeated, by the status that it got (0: no answer).
        leads: phone numbers, each with one lead.
        ended: how many deliveries had been made when the last customer left, and when that was, by trio's clock.
    """

    around: StandIns
    http: httpx.AsyncClient
    bot: Service
    dice: random.Random
    users: int
    page_within_s: float
    did: Counter[str] = field(default_factory=Counter)
    retried: Counter[int] = field(default_factory=Counter)
    leads: set[str] = field(default_factory=set)
    ended: tuple[int, float] = (0, 0.0)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _afterwards: trio.Nursery | None = None

    def deliveries(self) -> int:
        """Requests that arrived at our webhooks so far."""
        return sum(sum(courier.answers.values()) for courier in self.around.couriers.values())

    async def flow(self, *, until: int, buyers: int) -> None:
        """Customers come and go until so many deliveries have been made."""
        async with trio.open_nursery() as nursery:
            self._afterwards = nursery
            async with trio.open_nursery() as customers:
                for _ in range(buyers):
                    customers.start_soon(self._customer, until)
            self.ended = self.deliveries(), trio.current_time()

    async def _customer(self, until: int) -> None:
        while self.deliveries() < until:
            drawn = self.dice.random()
            if drawn < 0.92:
                await self._buys()
            elif drawn < 0.96:
                await self._fills_in_the_form()
            else:
                await self._signs()

    # A buyer --------------------------------------------------------------------------------------------------------

    async def _buys(self) -> None:
        number = next(self._numbers)
        provider = self.dice.choice(("yookassa", "yookassa", "platega"))
        wanted = {
            "user_id": 1000 + self.dice.randrange(self.users),
            "tariff_id": self.dice.choice((MONTH, TEN_DAYS)),
            "provider": provider,
        }
        order = await self._ask(
            "POST", "/v1/payments", json=wanted, headers=_bearer(BOT) | {"Idempotency-Key": f"tap-{number}"}
        )
        self.did["orders" if order else "orders given up"] += 1
        if not order or not order["confirmation_url"]:
            return
        await trio.sleep(self.dice.uniform(0, 0.2))
        remote = _remote_id(self.around, provider, order["confirmation_url"])
        drawn = self.dice.random()
        if drawn < 0.04:
            self.did["never paid"] += 1
        elif drawn < 0.07:
            self._decline(provider, remote)
        else:
            await self._pays(order["payment_id"], provider, remote)

    def _decline(self, provider: str, remote: str) -> None:
        if provider == "yookassa":
            self.around.yookassa.payments.decline(remote)
        else:
            self.around.platega.cancel(remote)
        self.did["declined"] += 1

    async def _pays(self, payment_id: str, provider: str, remote: str) -> None:
        control, then = self.around.control, self._afterwards
        assert then is not None
        polls = self.dice.choice((0, 0, 1, 2))
        for _ in range(polls):
            then.start_soon(self._polls, payment_id)
        (control.pay_yookassa if provider == "yookassa" else control.pay_platega)(remote)
        self.did["paid"] += 1
        if provider == "platega" and self.dice.random() < 0.05:
            then.start_soon(self._charges_back, remote)
        if self.dice.random() < 0.2:
            await self._ask("GET", f"/v1/payments/{payment_id}", headers=_bearer(BOT))

    async def _polls(self, payment_id: str) -> None:
        """The bot asks the provider and brings the payment as far as it goes, while webhook, sweep and others do the same."""
        await trio.sleep(self.dice.uniform(0, 0.5))
        try:
            await self.bot.poll_once(payment_id)
            self.did["polls"] += 1
        except Exception as error:
            self.did[f"polls that failed: {type(error).__name__}"] += 1

    async def _charges_back(self, remote: str) -> None:
        await trio.sleep(self.dice.uniform(0, 3))
        self.around.platega.charge_back(remote)
        self.did["charged back"] += 1

    # A visitor ------------------------------------------------------------------------------------------------------

    async def _fills_in_the_form(self) -> None:
        number = next(self._numbers)
        phone = f"7700{number:07}"  # +7 700 000 0000 and on: nobody's, and nothing leaves this machine
        self.leads.add(phone)
        form = {
            "name": "Visitor",
            "phone": f"+{phone}",
            "email": f"v{number}@example.com",
            "answers": {"q": number},
        }
        async with trio.open_nursery() as nursery:
            for _ in range(self.dice.choice((1, 1, 1, 2))):
                nursery.start_soon(self._submits, form)

    async def _submits(self, form: dict[str, Any]) -> None:
        if await self._ask("POST", "/api/landing/proftest", json=form):
            self.did["forms"] += 1

    # A customer of the CRM ------------------------------------------------------------------------------------------

    async def _signs(self) -> None:
        number = next(self._numbers)
        deal = {
            "id": number,
            "title": f"Deal {number}",
            "status": "open",
            "user_id": 500_000 + number,
            "amount_minor": 120_000,
            "currency": "EUR",
            "close_date": int(time.time()) + self.dice.choice((10, 60)) * 86_400,
            "version": 1,
        }
        assert self._afterwards is not None
        async with trio.open_nursery() as nursery:
            for _ in range(self.dice.choice((1, 2))):
                nursery.start_soon(lambda: self._ask("POST", "/crm/webhook", json=deal, headers=_bearer(CRM)))
        self.did["deals"] += 1
        self._afterwards.start_soon(self._pays_a_page, number)

    async def _pays_a_page(self, deal_id: int) -> None:
        """As soon as there is one. A delayed payment is complete first and paid afterwards."""
        sessions = self.around.stripe.sessions
        with trio.move_on_after(self.page_within_s):
            while not (found := [one for one in sessions.all.values() if _is_open_page_of(one, deal_id)]):
                await trio.sleep(0.25)
            if self.dice.random() < 0.8:
                self.around.control.pay_stripe(found[0]["id"])
            else:
                sessions.complete_unpaid(found[0]["id"])
                await trio.sleep(self.dice.uniform(0, 2))
                sessions.settle(found[0]["id"], succeeded=True)
            self.did["pages paid"] += 1
            return
        self.did["pages that did not come soon"] += 1

    # ----------------------------------------------------------------------------------------------------------------

    async def _ask(self, method: str, path: str, **request: Any) -> Any:
        """Ask as a good client does: again after a 5xx or no answer, with the same key; None when it gives up."""
        for attempt in range(TRIES_MAX):
            try:
                response = await self.http.request(method, path, **request)
                if response.status_code < 500:
                    if response.status_code >= 400:
                        self.did[f"{path.split('/')[-1]} {response.status_code}"] += 1
                        return None
                    return response.json()
                self.retried[response.status_code] += 1
            except httpx.HTTPError:
                self.retried[0] += 1
            await trio.sleep(min(0.2 * 2**attempt, 3.0))
        return None


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _remote_id(around: StandIns, provider: str, url: str) -> str:
    """The provider's payment behind the page that the buyer was sent to."""
    known = around.yookassa.payments.all if provider == "yookassa" else around.platega.transactions
    end = url.rstrip("/").split("/")[-1].split("=")[-1]
    assert end in known, f"{url} is no page of {provider}'s"
    return end


def _is_open_page_of(session: dict[str, Any], deal_id: int) -> bool:
    return bool(session["status"] == "open" and session["metadata"].get("deal_id") == str(deal_id))


async def every(seconds: float, act: Callable[[], Awaitable[None] | None]) -> None:
    """Do something again and again."""
    while True:
        await trio.sleep(seconds)
        done = act()
        if done is not None:
            await done
