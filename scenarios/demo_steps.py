"""What `reference demo` walks through: each step is an HTTP request that anybody can make, and what a user sees of it."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import trio

from reference import Service
from reference import audit as auditing
from reference.invariants import ALL

BOT, CRM, ADMIN = "demo-token-of-the-bot", "demo-token-of-the-crm", "demo-token-of-the-staff"
DAY_S = 86_400
LEAD_DELAY_S = 3  # ten minutes in life
WITHIN_S = 15.0
USER = 7


class StepFailed(Exception):
    """A step did not do what it says."""


@dataclass(frozen=True, slots=True)
class Demo:
    """Where everything is.

    Args:
        url: the service's.
        control: the stand-ins' other side.
        http: to both.
        service: for what no user can see.
    """

    url: str
    control: str
    http: httpx.AsyncClient
    service: Service

    async def ask(self, method: str, url: str, body: Any = None, **headers: str) -> Any:
        """Make a request, and show it as a curl line; returns the answer.

        Raises:
            StepFailed: it was refused.
        """
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        say(f"   $ {_curl(method, url, body, named)}")
        response = await self.http.request(method, url, json=body, headers=named)
        if response.status_code >= 400:
            raise StepFailed(f"{method} {url} was answered with {response.status_code}: {response.text}")
        return response.json()

    async def seen(self, what: str, look: Callable[[], Awaitable[Any]]) -> Any:
        """Wait until there is something to be seen; returns it.

        Raises:
            StepFailed: there was nothing for too long.
        """
        with trio.move_on_after(WITHIN_S):
            while not (found := await look()):
                await trio.sleep(0.05)
            return found
        raise StepFailed(f"{what}: nothing for {WITHIN_S:.0f} s")

    async def at_control(self, path: str) -> Any:
        """Look at what reached somebody."""
        return (await self.http.get(f"{self.control}{path}")).json()

    def say_how_to_go_on(self) -> None:
        """For curl."""
        say(
            f"\nIt stays up: the service at {self.url}, what lies around it at {self.control}. Ctrl-C ends it."
        )
        say("   every route of the service:   " + _curl("GET", f"{self.url}/openapi.json", None, {}))
        say("   what customers can do:        " + _curl("GET", f"{self.control}/", None, {}))


def say(line: str) -> None:
    """To the terminal, at once."""
    print(line, flush=True)


async def walk(demo: Demo) -> None:
    """All of it.

    Raises:
        StepFailed: at the first step that does not do what it says.
    """
    say(f"The service is at {demo.url}; whatever lies around it, at {demo.control}, is a stand-in.")
    first = await _purchase(demo)
    await _extension(demo, first)
    await _lead(demo)
    await _rest_session(demo)
    await _in_the_end(demo)


async def _purchase(demo: Demo) -> dict[str, Any]:
    say(
        "\n1. A purchase: the bot asks for a page, the buyer pays on it, YooKassa tells us; and tells us again"
    )
    order = await _orders(demo, "tap-1", tariff=1, provider="yookassa")
    remote = str(order["confirmation_url"]).split("=")[-1]
    await demo.ask("POST", f"{demo.control}/yookassa/{remote}/pay")
    bought = await _completed(demo, order["payment_id"])
    notices = await demo.seen("a notice", lambda: demo.at_control(f"/telegram?to={USER}"))
    say(f"   Telegram to {USER}: {notices[0]['text']}")
    keys = await demo.seen("a key", lambda: _keys(demo))
    say(f"   a key on nl-1: {keys[0]}")
    again = {"type": "notification", "event": "payment.succeeded", "object": {"id": remote}}
    heard = await demo.ask("POST", f"{demo.url}/yookassa/webhook", again, X_Forwarded_For="77.75.156.11")
    say(f"   told once more, the service answers {json.dumps(heard)}, and the end stays where it is:")
    if (await _completed(demo, order["payment_id"]))["expires_at"] != bought["expires_at"]:
        raise StepFailed("the same notification extended the subscription")
    return bought


async def _extension(demo: Demo, first: dict[str, Any]) -> None:
    say("\n2. An extension: the same buyer, Platega, ten days; they are added to the end, not to today")
    order = await _orders(demo, "tap-2", tariff=2, provider="platega")
    await demo.ask("POST", f"{demo.control}/platega/{str(order['confirmation_url']).split('/')[-1]}/pay")
    bought = await _completed(demo, order["payment_id"])
    if bought["expires_at"] - first["expires_at"] != 10 * DAY_S:
        raise StepFailed(f"expected ten days more than {_moment(first['expires_at'])}")


async def _lead(demo: Demo) -> None:
    say("\n3. A lead: a form, sent twice by a nervous finger; one SMS and one e-mail, later")
    form = {
        "name": "Ada",
        "phone": "+7 700 000 00 01",
        "email": "ada@example.com",
        "answers": {"colour": "blue"},
    }
    for _ in range(2):
        lead = await demo.ask("POST", f"{demo.url}/api/landing/proftest", form)
    say(f"   both times lead {lead['lead_id']}; due in {LEAD_DELAY_S} s (ten minutes, were this no demo)")
    sms = await demo.seen("an SMS", lambda: demo.at_control("/sms?to=77000000001"))
    mails = await demo.seen("a mail", lambda: demo.at_control("/mail?to=ada@example.com"))
    say(f"   SMS to {sms[0]['to']}: {sms[0]['text']}")
    say(f"   mail to ada@example.com: {mails[0]['subject']}")
    if (len(sms), len(mails)) != (1, 1):
        raise StepFailed(f"{len(sms)} SMS and {len(mails)} mails")


async def _rest_session(demo: Demo) -> None:
    say("\n4. A deal in two payments: the deposit's page comes at once, the rest's when it is due")
    falls_due_at = int(time.time()) + 2
    deal = {
        "id": 1680,
        "title": "A journey",
        "status": "open",
        "user_id": 500,
        "amount_minor": 120_000,
        "currency": "EUR",
        "close_date": falls_due_at
        + 30 * DAY_S,  # from thirty days on it is two payments, and below that the rest is due
        "version": 1,
    }
    await demo.ask("POST", f"{demo.url}/crm/webhook", deal, Authorization=f"Bearer {CRM}")
    deposit = await demo.seen("a page for the deposit", lambda: _page(demo, "deposit"))
    say(f"   Stripe has {deposit['id']}: deposit, {deposit['amount_total'] / 100:.2f} EUR")
    await demo.ask("POST", f"{demo.control}/stripe/{deposit['id']}/pay")
    await demo.seen("the deposit's settlement", lambda: _settled(demo, "deposit"))
    say("   the deposit is settled; the CRM calls again, once the rest is due:")
    await trio.sleep(max(0.0, falls_due_at - time.time() + 1))
    await demo.ask("POST", f"{demo.url}/crm/webhook", deal | {"version": 2}, Authorization=f"Bearer {CRM}")
    rest = await demo.seen("a page for the rest", lambda: _page(demo, "rest"))
    say(
        f"   Stripe has {rest['id']}: rest, {rest['amount_total'] / 100:.2f} EUR. The customer lost it; the staff press a button:"
    )
    link = await demo.ask(
        "POST",
        f"{demo.url}/v1/admin/deals/1680/payments/rest/new-link",
        {"operator": "grace"},
        Authorization=f"Bearer {ADMIN}",
    )
    say(f"   the old page is closed, the new one is {link['session_id']}")
    await demo.ask("POST", f"{demo.control}/stripe/{link['session_id']}/pay")
    await demo.seen("the rest's settlement", lambda: _settled(demo, "rest"))
    say("   the rest is settled, once")


async def _in_the_end(demo: Demo) -> None:
    say("\n5. What the staff see")
    statistics = await demo.ask(
        "GET", f"{demo.url}/v1/admin/award-retry-stats", Authorization=f"Bearer {ADMIN}"
    )
    say(f"   {json.dumps(statistics)}")
    say("   $ reference audit")
    await demo.seen("rest", lambda: _all_done(demo))
    violations = await auditing.audit(demo.service.engine)
    for line in auditing.as_text(violations, checked=len(ALL)).splitlines():
        say(f"   {line}")
    if violations:
        raise StepFailed("a claim is broken")


# Looks ----------------------------------------------------------------------------------------------------------------


async def _orders(demo: Demo, tap: str, *, tariff: int, provider: str) -> dict[str, Any]:
    wanted = {"user_id": USER, "tariff_id": tariff, "provider": provider}
    order = await demo.ask(
        "POST", f"{demo.url}/v1/payments", wanted, Authorization=f"Bearer {BOT}", Idempotency_Key=tap
    )
    say(f"   the buyer is sent to {order['confirmation_url']}")
    return dict(order)


async def _completed(demo: Demo, payment_id: str) -> dict[str, Any]:
    """Wait until the payment has been delivered, and show the request that says so."""
    path, token = f"{demo.url}/v1/payments/{payment_id}", {"Authorization": f"Bearer {BOT}"}

    async def look() -> dict[str, Any] | None:
        order = dict((await demo.http.get(path, headers=token)).json())
        return order if order.get("status") == "completed" else None

    await demo.seen(f"{payment_id} completed", look)
    order = dict(await demo.ask("GET", path, Authorization=token["Authorization"]))
    say(f"   completed; the subscription runs until {_moment(order['expires_at'])}")
    return order


async def _keys(demo: Demo) -> list[str]:
    return list((await demo.at_control("/keys"))["nl-1"])


async def _page(demo: Demo, kind: str) -> dict[str, Any] | None:
    sessions = await demo.at_control("/stripe")
    open_now = [one for one in sessions if one["status"] == "open" and one["metadata"]["kind"] == kind]
    return dict(open_now[0]) if open_now else None


async def _settled(demo: Demo, kind: str) -> bool:
    return bool(await _rows(demo, f"SELECT 1 FROM settlements WHERE deal_id = 1680 AND kind = '{kind}'"))


async def _all_done(demo: Demo) -> bool:
    return not await _rows(
        demo,
        "SELECT dedupe_key FROM outbox WHERE done_at IS NULL UNION ALL SELECT object_id FROM inbox WHERE done_at IS NULL "
        "UNION ALL SELECT object_id FROM checkout_inbox WHERE done_at IS NULL",
    )


async def _rows(demo: Demo, sql: str) -> list[Any]:
    async with demo.service.engine.snapshot() as connection:
        return list((await connection.exec_driver_sql(sql)).all())


def _moment(unix: int) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _curl(method: str, url: str, body: Any, headers: dict[str, str]) -> str:
    parts = ["curl", "-s", *(["-X", method] if method != "GET" and body is None else []), url]
    for name, value in headers.items():
        parts += ["-H", f"{name}: {value}"]
    if body is not None:
        parts += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    return shlex.join(parts)
