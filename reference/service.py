"""The composition root: a `Service` is an engine, the ports and a clock, with every flow as a method.

It is a value. Nothing is cached in it, so any number of tasks and processes may have one, and a process that starts again
begins with exactly what it had. A harness can run a method as a program: ``(Service.ensure, service, "p-1")``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reference import policies
from reference.flows import (
    dead_letters,
    entry_points,
    grants,
    leads,
    maintenance,
    messages_counts,
    messages_entry_points,
    messages_reports,
    messages_sender,
    outbox,
    payments,
    progress,
    purchase,
    rest_entry_points,
    rest_inbox,
    rest_offer,
    sales,
    statistics,
    tickets,
    tickets_contests,
    tickets_entry_points,
    tickets_statistics,
)
from reference.flows.inbox_rows import Receipt
from reference.flows.messages_rules import SEND_AFTER_S
from reference.model import EnsureOutcome, Payment, Provider, Subscription, Topic
from reference.model_messages import Delivered, Form
from reference.model_rest import Claim, Deal, DealUpdate, Offered, PaymentKind
from reference.model_tickets import Contest, Decision
from reference.ports import (
    CheckoutSessions,
    Clock,
    KeyServers,
    Mailer,
    Notifier,
    PaymentProvider,
    SmsGateway,
    wall_clock,
)
from reference.storage.engine import TrioEngine
from reference.storage.transactions import outside_transactions


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The reference service.

    Args:
        engine: from `open_engine`.
        providers: who can be asked about a payment.
        notifier: Telegram.
        key_servers: the V2Ray servers.
        clock: unix seconds; `time.time`, looked up at each call.
        checkout_sessions: Stripe, for the payments of deals; None for a service without deals.
        return_url: where a customer lands after paying; frozen with each sale and each claim.
        sms: Mobizon, for leads; None for a service without leads.
        mailer: Resend, for leads.
        alerts_chat: where Telegram alerts for the staff go.
        lead_delay_s: from a lead's form to its messages.

    Every port is wrapped so that calling it inside a transaction raises `ForeignCallError`.
    """

    engine: TrioEngine
    providers: Mapping[Provider, PaymentProvider]
    notifier: Notifier
    key_servers: KeyServers
    clock: Clock = wall_clock
    checkout_sessions: CheckoutSessions | None = None
    return_url: str = "https://shop.example/thanks"
    sms: SmsGateway | None = None
    mailer: Mailer | None = None
    alerts_chat: int | None = None
    lead_delay_s: int = SEND_AFTER_S

    def __post_init__(self) -> None:
        fenced = {name: outside_transactions(port) for name, port in self.providers.items()}
        object.__setattr__(self, "providers", fenced)
        object.__setattr__(self, "notifier", outside_transactions(self.notifier))
        object.__setattr__(self, "key_servers", outside_transactions(self.key_servers))
        if self.checkout_sessions is not None:
            object.__setattr__(self, "checkout_sessions", outside_transactions(self.checkout_sessions))
        if self.sms is not None:
            object.__setattr__(self, "sms", outside_transactions(self.sms))
        if self.mailer is not None:
            object.__setattr__(self, "mailer", outside_transactions(self.mailer))

    def now(self) -> int:
        """Unix seconds, whole: the resolution in which time is sold."""
        return int(self.clock())

    def provider(self, name: Provider) -> PaymentProvider:
        """The client of a provider.

        Raises:
            LookupError: this service was put together without it.
        """
        if name not in self.providers:
            raise LookupError(
                f"this service has no client for {name}; it has: {', '.join(self.providers) or 'none'}"
            )
        return self.providers[name]

    def sms_gateway(self) -> SmsGateway:
        """Mobizon's client.

        Raises:
            LookupError: this service was put together without it.
        """
        if self.sms is None:
            raise LookupError("this service has no client for an SMS gateway")
        return self.sms

    def mail(self) -> Mailer:
        """Resend's client.

        Raises:
            LookupError: this service was put together without it.
        """
        if self.mailer is None:
            raise LookupError("this service has no client for e-mail")
        return self.mailer

    def checkout(self) -> CheckoutSessions:
        """Stripe's client.

        Raises:
            LookupError: this service was put together without it.
        """
        if self.checkout_sessions is None:
            raise LookupError("this service has no client for Stripe's Checkout Sessions")
        return self.checkout_sessions

    # What a buyer does ------------------------------------------------------------------------------------------------

    async def create_payment(self, offer: sales.Offer) -> Payment:
        """Sell: see `reference.flows.sales.create`."""
        return await sales.create(self, offer)

    async def ensure(self, payment_id: str) -> EnsureOutcome:
        """Give what a paid payment bought, once: see `reference.flows.purchase.ensure`."""
        return await purchase.ensure(self, payment_id)

    # The five ways in which a payment comes to us ---------------------------------------------------------------------

    async def yookassa_webhook(self, body: Mapping[str, Any]) -> EnsureOutcome | None:
        """YooKassa's notification, as parsed JSON."""
        return await entry_points.yookassa_webhook(self, body)

    async def platega_webhook(self, body: Mapping[str, Any]) -> EnsureOutcome | None:
        """Platega's callback, as parsed JSON."""
        return await entry_points.platega_webhook(self, body)

    async def yookassa_webhook_received(self, body: Mapping[str, Any]) -> Receipt:
        """YooKassa's notification, written down and left to `work_inbox`; also the one at the bot's API, for tickets."""
        return await entry_points.yookassa_webhook_received(self, body)

    async def platega_webhook_received(self, body: Mapping[str, Any]) -> Receipt:
        """Platega's callback, written down and left to `work_inbox`."""
        return await entry_points.platega_webhook_received(self, body)

    async def wait_for_payment(
        self, payment_id: str, *, every_s: float = policies.POLL_EVERY_S, for_s: float = policies.POLL_FOR_S
    ) -> EnsureOutcome:
        """The bot's polling while the buyer pays."""
        return await entry_points.wait_for_payment(self, payment_id, every_s=every_s, for_s=for_s)

    async def process_pending_paid_payments(self) -> list[EnsureOutcome]:
        """The sweep over what is paid and undelivered, or pending for a while."""
        return await entry_points.process_pending_paid_payments(self)

    async def retry_failed_subscription_notifications(self) -> int:
        """The sweep over notices that were not sent; it cannot extend anything."""
        return await entry_points.retry_failed_subscription_notifications(self)

    # What a worker does -----------------------------------------------------------------------------------------------

    async def poll_once(self, payment_id: str) -> EnsureOutcome:
        """One question of the poller."""
        return await entry_points.settle(self, await payments.get(self, payment_id))

    async def work_inbox(self, *, limit: int = entry_points.SWEEP_MAX) -> int:
        """Work on the notifications that are due."""
        return await entry_points.work_inbox(self, limit=limit)

    async def relay(self, *, topics: Iterable[Topic] = tuple(Topic), jobs_max: int = outbox.RELAY_MAX) -> int:
        """Do the outbox jobs that are due."""
        return await outbox.relay(self, topics=topics, jobs_max=jobs_max)

    async def fix_payments_without_subscription_id(self) -> maintenance.Repaired:
        """Link payments to what the ledger says they bought."""
        return await maintenance.fix_payments_without_subscription_id(self)

    async def retire_expired_keys(self) -> int:
        """Ask for keys to be taken away whose grace is over."""
        return await maintenance.retire_expired_keys(self)

    # What is given without a payment ----------------------------------------------------------------------------------

    async def trial(self, user_id: int, tariff_id: int) -> Subscription | None:
        """A free tariff's time, once per user."""
        return await grants.trial(self, user_id, tariff_id)

    async def referral(self, *, referrer_id: int, referred_id: int, duration_sec: int) -> Subscription | None:
        """A referrer's reward, once per referred user."""
        return await grants.referral(
            self, referrer_id=referrer_id, referred_id=referred_id, duration_sec=duration_sec
        )

    async def gift(self, *, ticket: str, user_id: int, duration_sec: int) -> Subscription | None:
        """Days given by hand, once per ticket."""
        return await grants.gift(self, ticket=ticket, user_id=user_id, duration_sec=duration_sec)

    async def set_vip(self, user_id: int, *, vip: bool, operator: str) -> None:
        """Make a user a VIP, or not any more."""
        await grants.set_vip(self, user_id, vip=vip, operator=operator)

    async def pin_expiry(self, user_id: int, expires_at: int | None, *, operator: str) -> None:
        """Set an end by hand, or give the decision back to the ledger."""
        await grants.pin_expiry(self, user_id, expires_at, operator=operator)

    # Tickets ----------------------------------------------------------------------------------------------------------

    async def award(self, order_id: str) -> tuple[Decision, ...]:
        """Decide an order in every open contest, once; see `reference.flows.tickets.award`."""
        return await tickets.award(self, order_id)

    async def payments_webhook(self, body: Mapping[str, Any]) -> tuple[Decision, ...]:
        """YooKassa's notification at the bot's API: settle the payment, then award."""
        return await tickets_entry_points.payments_webhook(self, body)

    async def order_processed(self, order_id: str) -> tuple[Decision, ...]:
        """The bot's order processing: settle the payment, then award."""
        return await tickets_entry_points.order_processed(self, order_id)

    async def award_undecided_orders(self) -> int:
        """The sweep over orders that are not decided in a contest that is open."""
        return await tickets_entry_points.sweep(self)

    async def open_contest(self, contest: Contest) -> bool:
        """Open a contest, or open it again as it was."""
        return await tickets_contests.open_contest(self, contest)

    async def close_contest(self, contest_id: str) -> None:
        """Close a contest whose orders are all decided."""
        await tickets_contests.close_contest(self, contest_id)

    async def bind_referral(self, *, referrer_id: int, referred_id: int) -> bool:
        """Write down who invited a user, once and for good."""
        return await tickets_contests.bind_referral(self, referrer_id=referrer_id, referred_id=referred_id)

    async def award_retry_statistics(self) -> tickets_statistics.RetryStatistics:
        """How many awards wait, which ones fail and why, what has been given."""
        return await tickets_statistics.retry_statistics(self)

    # The payments of deals --------------------------------------------------------------------------------------------

    async def offer(self, deal_id: int, kind: PaymentKind) -> Offered:
        """See to it that a deal's payment has a page to be paid on: see `reference.flows.rest_offer.offer`."""
        return await rest_offer.offer(self, deal_id, kind)

    async def new_payment_link(self, deal_id: int, kind: PaymentKind, *, operator: str) -> Offered:
        """An operator's "new link now"."""
        return await rest_offer.new_link(self, deal_id, kind, operator=operator)

    async def crm_webhook(self, news: DealUpdate) -> list[Offered]:
        """The CRM's word on a deal."""
        return await rest_entry_points.crm_webhook(self, news)

    async def crm_webhook_received(self, news: DealUpdate) -> Deal:
        """The CRM's word on a deal, taken over; what is due is offered by a job."""
        return await rest_entry_points.crm_webhook_received(self, news)

    async def stripe_webhook(self, body: Mapping[str, Any]) -> Claim | None:
        """Stripe's event, as parsed JSON."""
        return await rest_entry_points.stripe_webhook(self, body)

    async def stripe_webhook_received(self, body: Mapping[str, Any]) -> Receipt:
        """Stripe's event, written down and left to `work_checkout_inbox`."""
        return await rest_entry_points.stripe_webhook_received(self, body)

    async def work_checkout_inbox(self, *, limit: int = rest_inbox.SWEEP_MAX) -> int:
        """Work on the events of Stripe's that are due."""
        return await rest_inbox.work_all(self, limit=limit)

    async def offer_what_is_due(self) -> list[Offered]:
        """The hourly sweep over deals."""
        return await rest_entry_points.offer_what_is_due(self)

    async def daily_payment_run(self) -> list[Offered]:
        """The run at 09:00: the same, with reminders."""
        return await rest_entry_points.daily_run(self)

    async def watch_sessions(self) -> int:
        """The sweep over sessions that are open, or wait for the bank."""
        return await rest_entry_points.watch_sessions(self)

    # Leads and their messages -----------------------------------------------------------------------------------------

    async def submit_lead(self, form: Form) -> leads.Submitted:
        """``POST /api/landing/proftest``: a lead and its messages, due in ten minutes, once for the same form."""
        return await leads.submit_lead(self, form)

    async def send_when_due(self, lead_id: str) -> int:
        """The timer that a submit may start."""
        return await messages_entry_points.send_when_due(self, lead_id)

    async def sweep_messages(self, *, messages_max: int = messages_sender.SEND_MAX) -> int:
        """The sweep of every minute: what is due, and what nobody answers for."""
        return await messages_entry_points.sweep(self, messages_max=messages_max)

    async def recover_messages(self) -> int:
        """What a process does when it starts."""
        return await messages_entry_points.recover(self)

    async def mobizon_webhook(self, body: Mapping[str, Any]) -> bool:
        """Mobizon's delivery report, as parsed JSON."""
        return await messages_reports.mobizon_webhook(self, body)

    async def delivery_of(self, message_id: str) -> Delivered | None:
        """What became of an SMS."""
        return await messages_reports.delivery_of(self, message_id)

    async def message_statistics(self) -> messages_counts.MessageStatistics:
        """Messages, calls and what went wrong, counted."""
        return await messages_counts.statistics(self)

    # What a buyer, an operator and a monitor look at ------------------------------------------------------------------

    async def progress(self, payment_id: str) -> progress.Progress:
        """How far a payment has come, as its buyer may see it."""
        return await progress.get(self, payment_id)

    async def dead_letters(self, *, limit: int = 100, after: str | None = None) -> dead_letters.DeadLetters:
        """A page of the jobs that were given up."""
        return await dead_letters.list_dead(self, limit=limit, after=after)

    async def retry_dead_letter(self, key: str, *, operator: str) -> bool:
        """Have a job that was given up tried once more; returns whether there was such a job."""
        return await dead_letters.retry(self, key, operator=operator)

    async def statistics(self) -> statistics.Statistics:
        """Everything that is counted, in one snapshot."""
        return await statistics.statistics(self)
