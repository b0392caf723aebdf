"""One backend in many versions: as deployed, with each fix, and the reference; a scenario knows none of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import trio

from reference import Form, Service
from reference.clients import ClientSettings, MobizonAccount, ResendAccount, make_clients
from reference.storage.schema import metadata
from scenarios.incidents.triple_sms.deployed.deployment import Deployment
from scenarios.incidents.triple_sms.deployed.landing import Landing
from scenarios.incidents.triple_sms.deployed.notification_scheduler import NotificationScheduler
from scenarios.incidents.triple_sms.deployed.scheduled_notifications import ScheduledNotifications
from scenarios.incidents.triple_sms.deployed.supabase import SCHEMA, Supabase
from scenarios.incidents.triple_sms.deployed.tracked_sends import TrackedSends
from scenarios.incidents.triple_sms.remote import Remote, WorldFetch
from scenarios.wiring import DATABASE_ERRORS, engine, open_async_connection
from simulator import Process, World


class Paths(Protocol):
    """What a running backend can be asked to do from outside; timers and recovery are its own business."""

    def submit(self, name: str, email: str, phone: str) -> Awaitable[None]:
        """Somebody sends the form."""

    def every_minute(self) -> Awaitable[None]:
        """The cron job."""


class Backend(Protocol):
    """A version of the backend."""

    def schema(self, engine: Any, /) -> Any:
        """Its tables, for either engine."""

    def process(self, world: World, remote: Remote) -> Callable[[Process], Awaitable[Paths]]:
        """The factory of its processes, which begins with recovery."""


class DeployedBackend:
    """The backend as it was deployed, or with some of its parts replaced.

    Args:
        sends: makes the functions that send; asked twice, as there were two copies.
        notifications: the timer and recovery.
        scheduler: the cron job.
        more_schema: what a fix adds to the tables.
    """

    def __init__(
        self,
        *,
        sends: Callable[[Deployment, Remote], TrackedSends] = lambda deployment, _: TrackedSends(deployment),
        notifications: Callable[[Deployment, TrackedSends], ScheduledNotifications] = ScheduledNotifications,
        scheduler: Callable[[Deployment, TrackedSends], NotificationScheduler] = NotificationScheduler,
        more_schema: str = "",
    ) -> None:
        self._sends = sends
        self._notifications = notifications
        self._scheduler = scheduler
        self._more_schema = more_schema

    def schema(self, _engine: Any) -> str:
        """The landing's two tables."""
        return SCHEMA + self._more_schema

    def process(self, world: World, remote: Remote) -> Callable[[Process], Awaitable[Paths]]:
        """A process: the web server, the timers and the cron job are all in one."""

        async def start(process: Process) -> Paths:
            def set_timeout(delay_s: float, callback: Callable[[], Awaitable[None]]) -> None:
                async def wait() -> None:
                    await trio.sleep(delay_s)
                    await callback()

                process.start_soon(wait, name="timer")

            supabase = Supabase(open_async_connection(world), remote.supabase_fails)
            deployment = Deployment(supabase, WorldFetch(remote.network), set_timeout)
            notifications = self._notifications(deployment, self._sends(deployment, remote))
            scheduler = self._scheduler(deployment, self._sends(deployment, remote))
            process.start_soon(notifications.recover_pending_notifications, name="recovery")
            return _DeployedPaths(Landing(deployment, notifications), scheduler)

        return start


class _DeployedPaths:
    def __init__(self, landing: Landing, scheduler: NotificationScheduler) -> None:
        self._landing = landing
        self._scheduler = scheduler

    async def submit(self, name: str, email: str, phone: str) -> None:
        await self._landing.submit(name, email, phone)

    async def every_minute(self) -> None:
        await self._scheduler.check_and_send_overdue()


_ACCOUNTS = ClientSettings(
    mobizon=MobizonAccount(api_key="test"),
    resend=ResendAccount(api_key="re_test", sender="ProfTest <test@proftest.example>"),
)


class ReferenceBackend:
    """The reference, behind the same door: its own clients, and its engine with the simulator's connector."""

    def schema(self, _engine: Any) -> Any:
        """The reference's own metadata: its constraints are part of what is judged."""
        return metadata

    def process(self, world: World, remote: Remote) -> Callable[[Process], Awaitable[Paths]]:
        """A process: it recovers, and has the same three paths."""

        async def start(process: Process) -> Paths:
            clients = make_clients(_ACCOUNTS, transport=remote.network.transport())
            service = Service(
                engine=engine(world),
                providers=clients.providers,
                notifier=clients.notifier,
                key_servers=clients.key_servers,
                sms=clients.sms,
                mailer=clients.mailer,
            )
            process.start_soon(_surviving, service.recover_messages, name="recovery")
            return _ReferencePaths(service, process)

        return start


class _ReferencePaths:
    def __init__(self, service: Service, process: Process) -> None:
        self._service = service
        self._process = process

    async def submit(self, name: str, email: str, phone: str) -> None:
        form = Form(name=name, email=email, phone=phone, answers={"q1": "a"})
        submitted = await self._service.submit_lead(form)
        self._process.start_soon(
            _surviving, lambda: self._service.send_when_due(submitted.lead_id), name="timer"
        )

    async def every_minute(self) -> None:
        await self._service.sweep_messages()


async def _surviving(task: Callable[[], Awaitable[Any]]) -> None:
    """A task that nobody waits for: an error of the database costs this run of it, as it does behind a supervisor."""
    try:
        await task()
    except DATABASE_ERRORS:
        return
