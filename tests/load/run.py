"""One run from beginning to end: a database, processes, the storm, the calm after it, and the judgement."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import trio

from reference import Contest, Service, TrioEngine, open_engine
from reference.clients import open_clients
from reference.storage import migrations, schema
from scenarios.services.chances import Rates
from scenarios.services.on_loopback import MOBIZON_SECRET, STRIPE_SECRET, StandIns, stand_ins
from tests.load import judge
from tests.load.fleet import Fleet
from tests.load.plan import Plan
from tests.load.traffic import ADMIN, BOT, CRM, Traffic, every

SERVERS = ("nl-1", "de-1")
DAY = 86_400
AHEAD_S = (
    1_000,
    3_000,
    9_000,
    20_000,
    40_000,
)  # every lease and pause is over in one of these lives; a session lives longer
LATE_S = 4.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Took:
    """How long answers took, in ascending order: by the probe, and by the stand-ins, which are busy with everything else."""

    probed_ms: list[float]
    seen_s: list[float]


@dataclass
class Outcome:
    """What a run has shown.

    Args:
        plan: what was asked.
        numbers: for the table and for load.json.
        wrong: why it is not good; empty is good.
    """

    plan: Plan
    numbers: dict[str, Any]
    wrong: list[str] = field(default_factory=list)


async def run(plan: Plan, *, url: str, folder: Path, say: Say) -> Outcome:
    """Run.

    Args:
        plan: what to do.
        url: of an empty database.
        folder: for logs.
        say: takes a line for whoever waits.
    """
    migrations.upgrade(url)
    fleet = Fleet(folder, {})
    engine, bots_engine = open_engine(url, pool_size=2), open_engine(url, pool_size=8)
    try:
        around_us = stand_ins(
            service_url=fleet.url, rates=plan.rates, seed=plan.seed, servers=SERVERS, ladder_scale=0.01
        )
        async with around_us as around, open_clients(around.settings) as clients:
            bot = Service(
                engine=bots_engine,
                providers=clients.providers,
                notifier=clients.notifier,
                key_servers=clients.key_servers,
            )
            await _stock(bot, plan)
            around.yookassa.payments.copies = around.platega.copies = plan.copies
            around.stripe.webhooks.copies = plan.copies
            fleet.environment = _environment(url, around, plan)
            return await _storm_and_calm(plan, fleet, around, bot, engine, say)
    finally:
        with trio.CancelScope(shield=True):
            await engine.dispose()
            await bots_engine.dispose()
        fleet.abandon()


async def _storm_and_calm(
    plan: Plan, fleet: Fleet, around: StandIns, bot: Service, engine: TrioEngine, say: Say
) -> Outcome:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=fleet.url, timeout=15, limits=limits, trust_env=False) as http:
        traffic = Traffic(
            around,
            http,
            bot,
            random.Random(plan.seed),
            users=max(20, plan.deliveries // 20),
            page_within_s=plan.page_within_s,
        )
        for role, number in (("serve", plan.services), ("worker", plan.workers)):
            for _ in range(number):
                fleet.start(role)
        await _until_ready(http)
        measured = fleet.start_probe()
        seconds = await _storm(plan, fleet, traffic, engine, say)
        fleet.end(fleet.of("probe")[0])
        delivered, took = traffic.ended[0], _Took(_probed(measured), sorted(_took(around)))
        say(
            f"{plan.engine}: the storm is over after {seconds:.0f} s: {delivered} deliveries, {fleet.killed} workers killed"
        )
        calm_s = await _calm(plan, fleet, around, engine, say)
    await fleet.stop("serve")
    return await _judged(plan, fleet, around, traffic, engine, delivered, seconds, calm_s, took)


async def _storm(plan: Plan, fleet: Fleet, traffic: Traffic, engine: TrioEngine, say: Say) -> float:
    began = trio.current_time()
    dice = random.Random(plan.seed)

    def kill() -> None:
        fleet.kill(dice.choice(fleet.of("worker")))
        fleet.start("worker")

    async def kill_by_deliveries() -> None:
        for killed in itertools.count(1):
            while traffic.deliveries() < killed * plan.kill_every_deliveries:
                await trio.sleep(0.02)
            kill()

    async def tell() -> None:
        open_now = await judge.open_work(engine, traffic.around)
        rate = traffic.deliveries() / (trio.current_time() - began)
        say(
            f"{plan.engine}: {traffic.deliveries()} of {plan.deliveries} deliveries, {rate:.0f}/s, {traffic.did['paid']} paid, "
            f"{fleet.killed} killed; under way: {_listed(open_now)}"
        )

    async with trio.open_nursery() as nursery:
        if plan.kill_every_s:
            nursery.start_soon(every, plan.kill_every_s, kill)
        if plan.kill_every_deliveries:
            nursery.start_soon(kill_by_deliveries)
        nursery.start_soon(every, 5.0, tell)
        await traffic.flow(until=plan.deliveries, buyers=plan.buyers)
        nursery.cancel_scope.cancel()
    return traffic.ended[1] - began


async def _calm(plan: Plan, fleet: Fleet, around: StandIns, engine: TrioEngine, say: Say) -> float:
    """Nothing goes wrong any more: what is open is finished, first by those who are there, then by those who live later."""
    began = trio.current_time()
    around.chances.rates = Rates()
    await trio.sleep(LATE_S)  # what was late is on its way
    await fleet.until_working()
    await _finished(plan, engine, around, say)
    await fleet.stop("worker")
    for ahead_s in AHEAD_S:
        left = await judge.open_work(engine, around)
        say(f"{plan.engine}: the clocks go {ahead_s} s ahead; open: {_listed(left)}")
        for _ in range(plan.workers):
            fleet.start("worker", ahead_s=ahead_s)
        await fleet.until_working()
        finished = await _finished(plan, engine, around, say)
        await fleet.stop("worker")
        if finished and not await judge.open_work(engine, around):
            break
    return trio.current_time() - began


async def _finished(plan: Plan, engine: TrioEngine, around: StandIns, say: Say) -> bool:
    """Wait until nothing is open, or nothing becomes less for a while."""
    least, looks, seconds = float("inf"), 0, 0
    while looks < plan.patience_s:
        await trio.sleep(1.0)  # a sweep that has just begun has found nothing yet: so at least two looks
        left = await judge.open_work(engine, around)
        now_open = sum(left.values())
        seconds += 1
        if seconds % 10 == 0:
            say(f"{plan.engine}: {_listed(left)} left")
        if not now_open and least == 0:
            return True
        looks = 0 if now_open < least else looks + 1
        least = min(least, now_open)
    return False


async def _judged(
    plan: Plan,
    fleet: Fleet,
    around: StandIns,
    traffic: Traffic,
    engine: TrioEngine,
    delivered: int,
    storm_s: float,
    calm_s: float,
    took: _Took,
) -> Outcome:
    judgement = await judge.judge(engine, around)
    left = await judge.open_work(engine, around)
    verdict = await trio.to_thread.run_sync(partial(_audit, fleet))
    wrong = [*judgement.wrong, *(f"still open: {number} {name}" for name, number in left.items())]
    if verdict[0] != 0:
        wrong.append(f"reference audit: {verdict[1]}")
    wrong += [f"{name} left unasked" for name in fleet.died()]
    wrong += [f"{number} times: {what}" for what, number in fleet.codes.items() if not what.endswith(" 0")]
    errors = Counter(
        str(line["message"])[:110]
        for line in fleet.lines()
        if line["level"] in ("ERROR", "CRITICAL", "RAW") and line["logger"] != "reference.worker"
    )
    numbers = {
        "engine": plan.engine,
        "processes": {"service": plan.services, "worker": plan.workers},
        "deliveries": delivered,
        "storm_s": round(storm_s, 1),
        "deliveries_per_s": round(delivered / storm_s, 1),
        "webhook_p50_ms": round(_quantile(took.probed_ms, 0.5), 1),
        "webhook_p99_ms": round(_quantile(took.probed_ms, 0.99), 1),
        "webhook_p50_ms_at_busy_stand_ins": round(1000 * _quantile(took.seen_s, 0.5), 1),
        "webhook_answers": _answers(around),
        "calm_s": round(calm_s, 1),
        "workers_killed": fleet.killed,
        "went_wrong_on_purpose": dict(sorted(around.chances.counted.items())),
        "retried": {**await judge.retried(engine), "requests to us, by status": dict(traffic.retried)},
        "counted": judgement.counted,
        "done": dict(sorted(traffic.did.items())),
        "exit_codes": dict(fleet.codes),
        "errors_logged": dict(errors.most_common(8)),
        "audit": verdict[1],
        "wrong": wrong[:50],
    }
    return Outcome(plan, numbers, wrong)


def _audit(fleet: Fleet) -> tuple[int, str]:
    """The command itself."""
    done = subprocess.run(
        [sys.executable, "-m", "reference", "audit"],
        env={**os.environ, **fleet.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).strip()[-4000:]


async def _stock(bot: Service, plan: Plan) -> None:
    """Tariffs, servers, an open contest, and a third of the buyers invited by somebody."""
    now = int(time.time())
    async with bot.engine.begin() as connection:
        for tariff, days, price in ((1, 30, 19_900), (2, 10, 9_900)):
            row = {"id": tariff, "kind": "paid", "price_minor": price, "duration_sec": days * DAY}
            await connection.execute(schema.tariffs.insert(), row)
        for server in SERVERS:
            await connection.execute(schema.servers.insert(), {"id": server, "active": True})
    await bot.open_contest(Contest("load", now - DAY, now + 60 * DAY, 30, {1: 5, 2: 2}))
    for user in range(1000, 1000 + max(20, plan.deliveries // 20), 3):
        await bot.bind_referral(referrer_id=900_000 + user % 7, referred_id=user)


def _environment(url: str, around: StandIns, plan: Plan) -> dict[str, str]:
    told = around.settings
    assert told.yookassa is not None
    assert told.platega is not None
    assert told.stripe is not None
    assert told.mobizon is not None
    assert told.resend is not None
    assert told.telegram is not None
    values = {
        "DATABASE_URL": url,
        "POOL_SIZE": "6",
        "GRACE_S": "20",
        "WORKER_TASKS": "2" if plan.engine == "sqlite" else "3",
        "LEAD_DELAY_S": str(plan.lead_delay_s),
        "ALERTS_CHAT": "-100",
        "CALL_ATTEMPT_S": "2",
        "CALL_S": "6",
        "BOT_TOKEN": BOT,
        "CRM_TOKEN": CRM,
        "ADMIN_TOKEN": ADMIN,
        "TRUSTED_PROXIES": "127.0.0.1",
        "YOOKASSA_SHOP_ID": told.yookassa.shop_id,
        "YOOKASSA_SECRET_KEY": told.yookassa.secret_key,
        "YOOKASSA_URL": told.yookassa.base_url,
        "PLATEGA_MERCHANT_ID": told.platega.merchant_id,
        "PLATEGA_SECRET": told.platega.secret,
        "PLATEGA_URL": told.platega.base_url,
        "STRIPE_API_KEY": told.stripe.api_key,
        "STRIPE_WEBHOOK_SECRETS": STRIPE_SECRET,
        "STRIPE_URL": told.stripe.base_url,
        "MOBIZON_API_KEY": told.mobizon.api_key,
        "MOBIZON_REPORT_SECRET": MOBIZON_SECRET,
        "MOBIZON_URL": told.mobizon.base_url,
        "RESEND_API_KEY": told.resend.api_key,
        "RESEND_SENDER": told.resend.sender,
        "RESEND_URL": told.resend.base_url,
        "TELEGRAM_TOKEN": told.telegram.token,
        "TELEGRAM_URL": told.telegram.base_url,
        "KEY_SERVERS": ",".join(f"{name}={server.base_url}" for name, server in told.key_servers.items()),
        "KEY_SERVERS_TOKEN": "test",
    }
    return {f"REFERENCE_{name}": value for name, value in values.items()}


async def _until_ready(http: httpx.AsyncClient) -> None:
    with trio.fail_after(60):
        while (await http.get("/ready")).status_code != 200:
            await trio.sleep(0.1)


def _probed(path: Path) -> list[float]:
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    return sorted(float(words[1]) for words in lines if len(words) == 2)


def _took(around: StandIns) -> list[float]:
    return [seconds for courier in around.couriers.values() for seconds in courier.took_s]


def _answers(around: StandIns) -> dict[str, int]:
    together: Counter[int] = Counter()
    for courier in around.couriers.values():
        together.update(courier.answers)
    return {str(status): number for status, number in sorted(together.items())}


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _listed(open_now: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in open_now.items()) or "nothing"
