"""The subcommands: each opens what it needs, runs until it is done or told to stop, and returns an exit code."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import trio

from reference import audit as auditing
from reference import logs
from reference.clients import open_clients
from reference.configuration import Settings
from reference.invariants import ALL
from reference.ports import Clock
from reference.service import Service
from reference.storage import migrations, open_engine
from reference.worker import run as run_worker

if TYPE_CHECKING:
    from reference.http.application import Application

log = logging.getLogger("reference.command")

DONE, FAILED, MISUSED = 0, 1, 2
BACKLOG = (
    512  # connections that wait to be accepted: a provider that is refused one tries again, but minutes later
)
DEMO_GROUP = "reference.demo"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class CannotStartError(Exception):
    """Something around us is missing; the message says what and, where we know, what to do about it."""


def init_db(_given: argparse.Namespace, settings: Settings, _clock: Clock) -> int:
    """`reference init-db`."""
    with _told_clearly():
        before, after = migrations.upgrade(settings.database_url)
    print(
        f"the database is at {after}"
        + (", as before" if before == after else f"; it was {before or 'empty'}")
    )
    return DONE


def serve(given: argparse.Namespace, settings: Settings, clock: Clock) -> int:
    """`reference serve`."""
    if given.bind is not None:
        settings = replace(settings, bind=given.bind)
    logs.configure(settings.log_level)

    async def work(stopping: trio.Event) -> int:
        async with open_service(settings, clock) as service:
            await serve_http(service, settings, stopping=stopping)
        return DONE

    return _run(work)


def worker(_given: argparse.Namespace, settings: Settings, clock: Clock) -> int:
    """`reference worker`."""
    logs.configure(settings.log_level)

    async def work(stopping: trio.Event) -> int:
        async with open_service(settings, clock) as service:
            finished = await run_worker(
                service, stopping=stopping, tasks=settings.worker_tasks, grace_s=settings.grace_s
            )
        return FAILED if finished.cut_off else DONE

    return _run(work)


def audit(given: argparse.Namespace, settings: Settings, _clock: Clock) -> int:
    """`reference audit`."""
    invariants = [each for each in ALL if given.when == "all" or each.when == given.when]

    async def ask() -> list[auditing.Violation]:
        engine = open_engine(settings.database_url)
        await migrations.require_head(engine)
        return await auditing.audit(engine, invariants=invariants)

    with _told_clearly():
        violations = trio.run(ask)
    if given.json:
        report = auditing.as_json(violations, checked=len(invariants))
        print(json.dumps(report, indent=2, ensure_ascii=False, default=str))
    else:
        print(auditing.as_text(violations, checked=len(invariants)))
    return FAILED if violations else DONE


def demo(given: argparse.Namespace, _settings: Settings | None, clock: Clock) -> int:
    """`reference demo`: it needs stand-ins, which are not the reference's to know; so it is found by an entry point."""
    found = list(entry_points(group=DEMO_GROUP))
    if not found:
        raise CannotStartError(
            f"the demo is not installed: no package offers an entry point in the group {DEMO_GROUP!r}"
        )
    try:
        run_demo: Callable[[argparse.Namespace, Clock], int] = found[0].load()
    except ImportError as error:
        raise CannotStartError(f"the demo cannot be loaded: {error}") from error
    return run_demo(given, clock)


# What they are made of ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def open_service(settings: Settings, clock: Clock) -> AsyncIterator[Service]:
    """The service of a process: a pool, the clients that the settings name, and a database that is what it should be.

    Raises:
        SchemaError: the database is of another age.
    """
    engine = open_engine(settings.database_url, pool_size=settings.pool_size)
    try:
        await migrations.require_head(engine)
        async with open_clients(settings.clients) as clients:
            yield Service(
                engine=engine,
                providers=clients.providers,
                notifier=clients.notifier,
                key_servers=clients.key_servers,
                clock=clock,
                checkout_sessions=clients.checkout_sessions,
                return_url=settings.return_url,
                sms=clients.sms,
                mailer=clients.mailer,
                alerts_chat=settings.alerts_chat,
                lead_delay_s=settings.lead_delay_s,
            )
    finally:
        with trio.CancelScope(shield=True):
            await engine.dispose()


async def serve_http(
    service: Service,
    settings: Settings,
    *,
    stopping: trio.Event,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer HTTP until told to stop; then take no new connections, and give the open ones `grace_s` to end.

    Args:
        service: the service.
        settings: where to listen, and the door's.
        stopping: set it to stop.
        task_status: told when it listens.

    Raises:
        CannotStartError: the address is taken, or hypercorn is not installed.
    """
    try:
        import hypercorn.config
        import hypercorn.trio
    except ModuleNotFoundError as missing:
        raise CannotStartError(f"serve needs {missing.name}: pip install 'turnstile[reference]'") from missing
    from reference.http import application  # needs the extra too

    app: Application = application(service, settings.http)
    config = hypercorn.config.Config()
    config.bind = [f"fd://{_listening(settings.bind)}"]
    config.graceful_timeout = settings.grace_s
    config.include_server_header = False
    config.accesslog = None  # a line per request would hold what people put into paths
    config.errorlog = logging.getLogger("hypercorn.error")

    async def heard(task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED) -> None:
        await hypercorn.trio.serve(
            app,  # type: ignore[arg-type]  # its own TypedDicts for scopes, ours are mappings
            config,
            shutdown_trigger=stopping.wait,
            task_status=task_status,
        )

    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(heard)
        log.info("listening on %s", ", ".join(addresses))
        task_status.started()


def _listening(bind: str) -> int:
    """A socket that listens; hypercorn takes it over, and closes it. Its own way to make one leaks it when the address is taken.

    Raises:
        CannotStartError: it is taken, or none of ours.
    """
    if bind.startswith("fd://"):
        return int(bind.removeprefix("fd://"))
    host, _, port = bind.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), int(port)), family=family, backlog=BACKLOG).detach()
    except OSError as error:
        raise CannotStartError(f"cannot listen on {bind}: {error}") from None


def _run(work: Callable[[trio.Event], Awaitable[int]]) -> int:
    """Run until done. The first SIGTERM or SIGINT asks it to stop, the second ends it at once."""

    async def main() -> int:
        stopping, code = trio.Event(), FAILED
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_listen, stopping, nursery.cancel_scope)
            code = await work(stopping)
            nursery.cancel_scope.cancel()
        return code

    with _told_clearly():
        return trio.run(main)


async def _listen(stopping: trio.Event, everything: trio.CancelScope) -> None:
    with trio.open_signal_receiver(*STOP_SIGNALS) as signals:
        async for number in signals:
            name = signal.Signals(number).name
            if stopping.is_set():
                log.warning("%s again: ending at once; leases run out, and others go on", name)
                everything.cancel()
                return
            log.info("%s: no new work, what is in hand is finished; the same again ends at once", name)
            stopping.set()


@contextmanager
def _told_clearly() -> Iterator[None]:
    """Turn what cannot be our mistake into one sentence; whatever else happens keeps its traceback."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except* migrations.SchemaError as errors:
        raise CannotStartError(str(leaf(errors))) from None
    except* DBAPIError as errors:
        error: Any = leaf(errors)
        raise CannotStartError(f"the database cannot be used: {' '.join(str(error.orig).split())}") from None
    except* ModuleNotFoundError as errors:
        raise CannotStartError(str(leaf(errors))) from None
    except* CannotStartError as errors:
        raise CannotStartError(str(leaf(errors))) from None


def leaf(errors: BaseExceptionGroup[Any]) -> BaseException:
    """The first error in a group, however deep: the others are mostly its consequences."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
