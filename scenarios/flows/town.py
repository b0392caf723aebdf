"""All flows over one database: a buyer, a contest, a deal and a lead, each with its own trouble, and one worker for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reference import AmbiguousError, Form, Invariant, Service, SessionStatus, SmsReceipt, SmsRecord
from reference.invariants import ALL
from scenarios.flows.buyers import buy, draw
from scenarios.flows.deals import crm, event
from scenarios.flows.deals_stripe import Stripe
from scenarios.flows.shop import MINUTE, NOON, TARIFF, Shop
from scenarios.wiring import DATABASE_ERRORS
from simulator import Cron, Operator, World

FORM = Form(name="Ada", phone="+77000000001", email="ada@example.com", answers={"q": 1})
HOUR = 60 * MINUTE
TOLERATED = (*DATABASE_ERRORS, AmbiguousError)
ALWAYS = tuple(invariant for invariant in ALL if invariant.when == "always")
REACHED = tuple(
    Invariant(name=name, claim="", when="eventually", sql=sql)
    for name, sql in {
        "an_sms_was_sent": "SELECT id FROM messages WHERE channel = 'sms' AND state = 'sent'",
        "an_answer_was_lost_and_looked_up": "SELECT id FROM messages WHERE lookups > 0",
        "the_deal_was_paid": "SELECT deal_id FROM settlements",
        "tickets_were_given": "SELECT id FROM ticket_ledger WHERE delta > 0",
        "tickets_were_taken_back": "SELECT id FROM ticket_ledger WHERE delta < 0",
        "money_was_owed_back": "SELECT refund_key FROM refunds",
    }.items()
)
"""What the story must have been through in at least one execution, as queries for the rows that show it."""
EVENTUALLY = tuple(invariant for invariant in ALL if invariant.when == "eventually")


@dataclass
class Post:
    """An SMS gateway and a mailer, which count what they take; the answer to some calls is lost.

    Attributes:
        world: whose.
        sms: what was taken, in order.
        mails: what was taken, by key.
        lost: so many of the next answers are lost after their effect.
    """

    world: World
    sms: list[SmsRecord]
    mails: dict[str, str]
    lost: int = 0

    async def send_sms(self, recipient: str, text: str, reference: str) -> SmsReceipt:
        """Mobizon."""

        def take() -> str:
            name = f"sms-{len(self.sms) + 1}"
            self.sms.append(
                SmsRecord(name, recipient, text, reference, int(self.world.clock.now().timestamp()))
            )
            return name

        return SmsReceipt(await self._call("mobizon send", take))

    async def find(self, recipient: str, text: str, since: int, until: int) -> list[SmsRecord]:
        """Mobizon's list, which is up to date."""

        def look() -> list[SmsRecord]:
            return [
                one
                for one in self.sms
                if (one.recipient, one.text) == (recipient, text) and since <= one.accepted_at <= until
            ]

        return await self.world.call("mobizon find", look)

    async def send_mail(self, key: str) -> str:
        """Resend."""
        return await self._call(
            "resend send", lambda: self.mails.setdefault(key, f"mail-{len(self.mails) + 1}")
        )

    async def _call(self, what: str, effect: Callable[[], str]) -> str:
        def answer() -> tuple[str, bool]:
            lost, self.lost = self.lost > 0, max(0, self.lost - 1)
            return effect(), lost

        name, lost = await self.world.call(what, answer)
        if lost:
            raise AmbiguousError(f"{what}: no answer")
        return name


@dataclass(frozen=True, slots=True)
class Gateway:
    """`Post` behind the port of an SMS gateway."""

    post: Post

    async def send(self, recipient: str, text: str, reference: str) -> SmsReceipt:
        """One SMS."""
        return await self.post.send_sms(recipient, text, reference)

    async def find(self, recipient: str, text: str, since: int, until: int) -> list[SmsRecord]:
        """What was taken."""
        return await self.post.find(recipient, text, since, until)


@dataclass(frozen=True, slots=True)
class Mail:
    """`Post` behind the port of a mailer."""

    post: Post

    async def send(self, _to: str, _subject: str, _body: str, key: str) -> str:
        """One mail."""
        return await self.post.send_mail(key)


class Town:
    """Everything at once, from what was drawn.

    Attributes:
        shop: where subscriptions are sold.
        stripe: where the deal is paid for.
        post: what goes out to leads.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.stripe = Stripe(world)
        self.post = Post(world, [], {}, world.choose("answers of the post that are lost", (0, 1, 2)))
        self.shop = Shop(
            world,
            checkout_sessions=self.stripe,
            sms=Gateway(self.post),
            mailer=Mail(self.post),
            alerts_chat=-100,
        )
        self._open_a_contest()
        buy(world, self.shop, draw(world))
        self._sell_a_deal()
        self._take_a_lead()
        works = Cron(_work, every=HOUR, ticks=4, after=MINUTE, tolerates=TOLERATED, name="queues")
        self.shop.runs("queues", works)
        self.shop.runs(
            "last worker",
            Cron(_work, every=HOUR, ticks=4, after=12 * HOUR, tolerates=TOLERATED, name="the rest"),
        )

    def _open_a_contest(self) -> None:
        began = int(NOON.timestamp()) - 86_400
        insert = self.world.database.insert
        insert(
            "contests", id="january", starts_at=began, ends_at=began + 30 * 86_400, attribution_window_days=30
        )
        insert("contest_tickets", contest_id="january", tariff_id=TARIFF, tickets=5)

    def _sell_a_deal(self) -> None:
        self.shop.runs("crm", crm(deliveries=2))
        if self.world.choose("the deal is paid", (False, True)):
            self.shop.runs("customer", Operator(self._pays, name="the customer pays", after=30 * MINUTE))
            self.shop.runs("stripe", event("cs_test_1", after=31 * MINUTE, deliveries=2))

    async def _pays(self, _service: Service) -> None:
        def pay() -> None:
            for name, session in self.stripe.sessions.items():
                if session.status is SessionStatus.OPEN:
                    self.stripe.pay(name)
                    return

        await self.world.call("the customer pays", pay)

    def _take_a_lead(self) -> None:
        async def submits(service: Service) -> None:
            lead = await service.submit_lead(FORM)
            await service.send_when_due(lead.lead_id)

        self.shop.runs(
            "site",
            Operator(submits, name="form", tolerates=TOLERATED),
            Operator(submits, name="form again", tolerates=TOLERATED),
        )


async def _work(service: Service) -> None:
    await service.work_inbox()
    await service.work_checkout_inbox()
    await service.relay()
    await service.award_undecided_orders()
    await service.sweep_messages()
    await service.watch_sessions()
