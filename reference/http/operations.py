"""What machines look at: whether the process lives, whether it can work, and what is counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from reference.http import metrics
from reference.http.endpoint import Call, Endpoint
from reference.http.guards import Anybody, Bearer, Guard
from reference.http.problems import NOT_NOW, NOT_READY, Problem
from reference.http.settings import HttpSettings
from reference.http.tally import Tally
from reference.service import Service
from reference.storage import metadata
from reference.storage.transactions import reading

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class State:
    """A short word.

    Args:
        status: ok.
    """

    status: str


_STATE = TypeAdapter(State)


def endpoints(settings: HttpSettings, tally: Tally) -> list[Endpoint]:
    """Health, readiness and metrics."""
    scraper: Guard = Bearer("metrics", settings.metrics_token) if settings.metrics_token else Anybody()
    health = Endpoint(
        method="GET",
        path="/health",
        name="health",
        summary="The process lives",
        description="Asks nobody: a database that is down is no reason to start this process again.",
        work=_live,
        answer=_STATE,
    )
    ready = Endpoint(
        method="GET",
        path="/ready",
        name="ready",
        summary="The process can work",
        description="The database answers, and has every table and column that this version reads and writes.",
        work=_ready,
        answer=_STATE,
        problems=(NOT_READY,),
    )

    async def show(call: Call) -> Response:
        return await _metrics(call.service, tally)

    numbers = Endpoint(
        method="GET",
        path="/metrics",
        name="metrics",
        summary="What is counted, for Prometheus",
        description="`turnstile_http_*` are this process's; everything else is read from the database, and all processes say the same.",
        work=show,
        media_type=METRICS_TYPE,
        guard=scraper,
        problems=(NOT_NOW,),
    )
    return [health, ready, numbers]


async def _live(_call: Call) -> State:
    return State("ok")


async def _ready(call: Call) -> State:
    async def look(connection: AsyncConnection) -> None:
        for table in metadata.sorted_tables:
            try:
                await connection.execute(select(table).limit(0))
            except SQLAlchemyError as error:
                call.noted["cause"] = type(error).__name__
                raise Problem(
                    NOT_READY, f"{table.name} cannot be read as this version of the code expects it"
                ) from None

    try:
        await reading(call.service.engine, look)
    except SQLAlchemyError as error:
        call.noted["cause"] = type(error).__name__
        raise Problem(NOT_READY, "the database does not answer") from None
    return State("ok")


async def _metrics(service: Service, tally: Tally) -> Response:
    registry = CollectorRegistry()
    registry.register(_Snapshot(metrics.families(await service.statistics())))
    return Response(
        generate_latest(tally.registry) + generate_latest(registry), headers={"content-type": METRICS_TYPE}
    )


class _Snapshot:
    """What Prometheus's library calls a collector: it only hands over what was read before."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        """All of it."""
        return self._families
