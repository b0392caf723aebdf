"""What is true in this incident: the pages at Stripe, the money that came, and what the customer was told.

Claims are about these and never about our own tables: a table is an opinion, and a session that nobody saved
can be paid on as well as any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import trio

from scenarios.services.in_world import unix_clock
from scenarios.services.kept_answers import DAY_S
from scenarios.services.stripe import Stripe
from scenarios.wiring import Remote
from simulator import World
from simulator.network import Network

DEAL = 1680
STRIPE_HOST, STRIPE = "api.stripe.com", "stripe"
_PAGE = "https://checkout.example.com/c/pay/"
_newest: list[
    Account
] = []  # executions come one after the other; a map of all of them would keep their worlds alive


@dataclass(eq=False)
class Account:
    """The shop's account at Stripe, on the network of a world, with somebody who counts.

    Args:
        world: whose.
        webhook_url: where events go; None: the shop listens to none.
        keeps_keys_s: how long Stripe remembers a key, which is a day or longer.
        answers_in_s: what each call of the deployed code takes; 0 leaves it to the schedule.

    Attributes:
        doubles: each time two pages of the deal's rest were there to bring money: the names of the pages.
        turned_away: what the customer found when she wanted to pay and could not.
    """

    world: World
    webhook_url: str | None = None
    keeps_keys_s: float = DAY_S
    answers_in_s: float = 0.0
    doubles: list[tuple[str, ...]] = field(default_factory=list)
    turned_away: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.network = Network(self.world)
        self._made = 0
        self.remote = _Remote(self.world)
        self.stripe = Stripe(
            unix_clock(self.world),
            work=self.network.pause,  # another request may come while a page is being made
            webhook_url=self.webhook_url,
            keeps_keys_s=self.keeps_keys_s,
        )
        self.network.serve(STRIPE_HOST, self._serve, name=STRIPE)
        _newest[:] = [self]

    async def _serve(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        await self.stripe(scope, receive, send)
        for name, _ in self.pages()[self._made :]:
            self.world.note(f"{name} is made")
        self._made = len(self.pages())
        pages = tuple(name for name, page in self.pages() if self._may_bring_money(page))
        if len(pages) > 1:
            self.doubles.append(pages)

    def http(self) -> Any:
        """A client for a process of the shop."""
        client = self.network.client()
        return _Slow(client, self.answers_in_s) if self.answers_in_s else client

    def pages(self) -> list[tuple[str, dict[str, Any]]]:
        """Every session for the rest of deal 1680, by name, in the order in which they were made."""
        return [(name, one) for name, one in self.stripe.sessions.all.items() if _is_of_the_deal(one)]

    def _may_bring_money(self, page: Mapping[str, Any]) -> bool:
        if page["status"] == "open":
            return True
        intent = self.stripe.payments.intents.get(str(page["payment_intent"]))
        return intent is not None and intent["status"] == "processing"

    def received_minor(self) -> int:
        """What the customer has paid for the rest of this deal."""
        intents = self.stripe.payments.intents
        paid = [intents[page["payment_intent"]] for _, page in self.pages() if page["payment_intent"]]
        return sum(int(intent["amount_received"]) for intent in paid)

    # What the customer does, always on the page that she was told of last --------------------------------------

    async def pays(self) -> None:
        """By card, if the page is open."""
        await self._goes_to_her_page("pays by card", self.stripe.sessions.pay)

    async def pays_by_bank(self) -> None:
        """By a method whose money comes days later."""
        await self._goes_to_her_page("pays by bank debit", self.stripe.sessions.complete_unpaid)

    async def _goes_to_her_page(self, how: str, act: Any) -> None:
        def effect() -> None:
            name = self._told_last()
            page = self.stripe.sessions.all.get(name or "")
            if page is not None and page["status"] == "open":
                act(name)
                self._say(str(name), page)
            elif self.received_minor() == 0 and not (page and self._may_bring_money(page)):
                found = f"{name}, which is {page['status']}" if page is not None else "nothing"
                self.turned_away.append(f"{self._clock()} the customer wants to pay and has {found}")
                self.world.note(f"turned away: {found}")

        await self.world.call(f"customer {how}", effect)

    def _told_last(self) -> str | None:
        links = [text.split(_PAGE)[1].split()[0] for text in self.remote.told if _PAGE in text]
        return links[-1] if links else None

    async def bank_pays(self) -> None:
        """The delayed payments arrive."""

        def effect() -> None:
            for name, page in self.pages():
                if page["status"] == "complete" and page["payment_status"] == "unpaid":
                    self.stripe.sessions.settle(name, succeeded=True)
                    self._say(name, page)

        await self.world.call("bank transfers", effect)

    def _say(self, name: str, page: Mapping[str, Any]) -> None:
        self.world.note(f"{name}: {page['status']}, {page['payment_status']}")

    def _clock(self) -> str:
        return f"{self.world.clock.now():%Y-%m-%d %H:%M:%S}"


class _Remote(Remote):
    """The bot, which says in the story when it could not deliver."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._noting = world

    async def send_message(self, user_id: int, text: str, /) -> bool:
        told = await super().send_message(user_id, text)
        if not told:
            self._noting.note("not delivered")
        return told


class _Slow:
    """An HTTP client whose every request is a while on its way."""

    def __init__(self, client: Any, seconds: float) -> None:
        self._client = client
        self._seconds = seconds

    async def request(self, *arguments: Any, **options: Any) -> Any:
        await trio.sleep(self._seconds)
        return await self._client.request(*arguments, **options)


def account_of(world: World) -> Account:
    """The account that was opened in a world, which is the one that runs."""
    [account] = _newest
    assert account.world is world, "no account was opened in this world"
    return account


def _is_of_the_deal(session: Mapping[str, Any]) -> bool:
    metadata = session["metadata"]
    kind = metadata.get("payment_type") or metadata.get("kind")
    return (metadata.get("deal_id"), kind) == (str(DEAL), "rest")


# Claims ------------------------------------------------------------------------------------------------------------


def one_page_per_deal(world: World) -> str | None:
    """Of a deal's rest there is never more than one page by which money can come."""
    account = account_of(world)
    if not account.doubles:
        return None
    pages = dict(account.pages())
    shown = " and ".join(
        f"{name} (created {created_at(pages[name]):%H:%M:%S})" for name in account.doubles[0]
    )
    return f"deal {DEAL} can be paid on {shown}"


def one_session_in_stripes_records(world: World) -> str | None:
    """What the analysis read nine days later: asked when the world has come to rest, so every page has ended."""
    pages = account_of(world).pages()
    shown = [
        f"{name}: {created_at(page):%Y-%m-%d %H:%M:%S}, {page['status']}, {page['payment_status']}"
        for name, page in pages
    ]
    return "; ".join(shown) if len(pages) > 1 else None


def nobody_pays_twice(world: World) -> str | None:
    """The rest of a deal is paid once."""
    account = account_of(world)
    received = account.received_minor()
    asked = max((page["amount_total"] for _, page in account.pages()), default=0)
    return f"{received} cents came for a rest of {asked} cents" if received > asked else None


def whoever_wants_to_pay_can(world: World) -> str | None:
    """Liveness: as long as the rest is owed, the link that the customer has leads to a page that takes her money."""
    turned_away = account_of(world).turned_away
    return turned_away[0] if turned_away else None


def one_reminder_per_deal(world: World) -> str | None:
    """What option 2 is about: a customer is reminded once that a link has expired."""
    reminders = [text for text in account_of(world).remote.told if "has expired" in text]
    return f"{len(reminders)} reminders about one deal" if len(reminders) > 1 else None


# What a story must have reached --------------------------------------------------------------------------------------


def paid_once(world: World) -> str | None:
    """The money is there."""
    account = account_of(world)
    return f"{account.received_minor()} cents" if account.received_minor() else None


def a_second_page_after_the_first(world: World) -> str | None:
    """A page was followed by another when it was closed, as it should be."""
    states = [page["status"] for _, page in account_of(world).pages()]
    return ", ".join(states) if len(states) > 1 and states[0] == "expired" else None


def money_on_its_way(world: World) -> str | None:
    """A page is complete and waits for the bank."""
    on_its_way = [name for name, page in account_of(world).pages() if _waits_for_the_bank(page)]
    return on_its_way[0] if on_its_way else None


def asked_again_with_one_key(world: World) -> str | None:
    """A key came to Stripe twice."""
    keys = [request.headers.get("idempotency-key") for request in account_of(world).stripe.arrived]
    return next((key for at, key in enumerate(keys) if key is not None and key in keys[:at]), None)


def looked_twice_and_made_one(world: World) -> str | None:
    """Stripe's list was asked at two times, and there is one page."""
    account = account_of(world)
    looks = [request.at for request in account.stripe.arrived if request.method == "GET"]
    return "one page" if len(set(looks)) > 1 and len(account.pages()) == 1 else None


def two_had_the_lock(world: World) -> str | None:
    """Under option 3: somebody came to the lock and found the page there."""
    [row] = world.database.rows("SELECT locks FROM deals")
    return f"{row['locks']} times" if row["locks"] > 1 else None


def _waits_for_the_bank(page: Mapping[str, Any]) -> bool:
    return (page["status"], page["payment_status"]) == ("complete", "unpaid")


def created_at(page: Mapping[str, Any]) -> datetime:
    """When a page was made."""
    return datetime.fromtimestamp(page["created"], UTC)
