"""``reference demo``: the service, its worker and stand-ins for everybody around them, on loopback, in one process.

It is the real service: its own command's functions, a database in a file, HTTP over sockets, the clients that would call the
providers. Only the providers are not there. When it ends, however it ends, nothing is left.
"""

from __future__ import annotations

import argparse
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path

import httpx
import trio

from reference import Contest, Service, logs
from reference.command.running import CannotStartError, leaf, open_service, serve_http
from reference.configuration import Settings
from reference.http.settings import HttpSettings
from reference.ports import Clock
from reference.storage import migrations, schema
from reference.worker import run as run_worker
from scenarios.demo_steps import ADMIN, BOT, CRM, DAY_S, LEAD_DELAY_S, Demo, StepFailed, walk
from scenarios.services.on_loopback import MOBIZON_SECRET, STRIPE_SECRET, StandIns, stand_ins

DONE, FAILED = 0, 1
GRACE_S = 5.0
TARIFFS = ((1, "a month", 30, 19_900), (2, "ten days", 10, 9_900))


def run(given: argparse.Namespace, clock: Clock) -> int:
    """The entry point of the group ``reference.demo``.

    Args:
        given: `keep_running`; `port`, on which the service listens, and the stand-ins' control on the one after it.
        clock: the service's.

    Returns:
        0, or 1 when a step did not do what it says.

    Raises:
        CannotStartError: a port is taken.
    """
    logs.configure("ERROR")
    with tempfile.TemporaryDirectory(prefix="reference-demo-") as folder:
        try:
            return trio.run(partial(_demo, given, clock, Path(folder)))
        except* OSError as errors:
            raise CannotStartError(
                f"ports {given.port} and {given.port + 1} are needed, see --port: {leaf(errors)}"
            ) from None
        except* CannotStartError as errors:
            raise CannotStartError(str(leaf(errors))) from None


async def _demo(given: argparse.Namespace, clock: Clock, folder: Path) -> int:
    code = FAILED
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_a_signal, nursery.cancel_scope)
        async with _everything(given.port, clock, folder) as demo:
            try:
                await walk(demo)
                code = DONE
            except StepFailed as failure:
                print(f"\nthis did not work: {failure}", flush=True)
            if given.keep_running and code == DONE:
                demo.say_how_to_go_on()
                await trio.sleep_forever()
        nursery.cancel_scope.cancel()
    return code if not given.keep_running else DONE


async def _until_a_signal(everything: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            print("\nthat was it; nothing is left behind", flush=True)
            everything.cancel()


@asynccontextmanager
async def _everything(port: int, clock: Clock, folder: Path) -> AsyncIterator[Demo]:
    """The service, its worker and everybody around, until the block is left."""
    url = f"http://127.0.0.1:{port}"
    async with stand_ins(service_url=url, ports={"control": port + 1}) as around:
        settings = _settings(folder, port, around)
        await trio.to_thread.run_sync(migrations.upgrade, settings.database_url)
        async with open_service(settings, clock) as service, trio.open_nursery() as nursery:
            await _stock(service)
            stopping = trio.Event()
            serving = partial(serve_http, service, settings, stopping=stopping)
            await nursery.start(serving)
            nursery.start_soon(partial(run_worker, service, stopping=stopping, grace_s=GRACE_S))
            async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
                yield Demo(url, around.urls["control"], http, service)
            stopping.set()


def _settings(folder: Path, port: int, around: StandIns) -> Settings:
    platega = around.settings.platega
    assert platega is not None
    door = HttpSettings(
        bot_token=BOT,
        admin_token=ADMIN,
        crm_token=CRM,
        stripe_secrets=(STRIPE_SECRET,),
        platega_merchant_id=platega.merchant_id,
        platega_secret=platega.secret,
        mobizon_secret=MOBIZON_SECRET,
        trusted_proxies=_loopback(),
    )
    return Settings(
        database_url=f"sqlite:///{folder / 'demo.db'}",
        bind=f"127.0.0.1:{port}",
        grace_s=GRACE_S,
        alerts_chat=-100,
        lead_delay_s=LEAD_DELAY_S,
        http=door,
        clients=around.settings,
    )


def _loopback() -> tuple[IPv4Network, ...]:
    return (IPv4Network("127.0.0.1/32"),)


async def _stock(service: Service) -> None:
    """Two tariffs, a server, and a contest, so that there are tickets."""
    async with service.engine.begin() as connection:
        for number, title, days, price_minor in TARIFFS:
            row = {"id": number, "title": title, "price_minor": price_minor, "duration_sec": days * DAY_S}
            await connection.execute(schema.tariffs.insert(), row)
        await connection.execute(schema.servers.insert(), {"id": "nl-1"})
    now = int(time.time())
    await service.open_contest(Contest("demo", now - DAY_S, now + 30 * DAY_S, 30, {1: 5, 2: 2}))
