"""The ASGI application: the routes that the settings allow, their description, and an answer in one shape to everything else."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reference import logs
from reference.http import admin, operations, shop, webhooks
from reference.http.endpoint import Endpoint
from reference.http.openapi import describe
from reference.http.problems import INTERNAL, NOT_FOUND, WRONG_METHOD, Problem
from reference.http.settings import HttpSettings
from reference.http.tally import Tally
from reference.service import Service

log = logging.getLogger("reference.http")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


def application(service: Service, settings: HttpSettings) -> Application:
    """Make the application.

    Args:
        service: whose flows are called. To sell it needs its providers' clients, for a deal's new link Stripe's; webhooks need none.
        settings: secrets and limits; a route whose secret is not set is not there.

    Returns:
        An ASGI application for trio. It keeps nothing between requests but the counters of its process, so any number of processes may run it.
        An error of ours is answered with 500 and raised again, for the server's log or for the harness that looks for it.

    Raises:
        ValueError: a secret or limit with which anybody could come in.
    """
    tally = Tally()
    endpoints = _endpoints(service, settings, tally)
    routes = [one.route(service, tally, bytes_max=settings.body_max_bytes) for one in endpoints]
    return Starlette(
        routes=[*routes, _description(endpoints)],
        exception_handlers={HTTPException: _no_route, Exception: _our_mistake},
    )


def _endpoints(service: Service, settings: HttpSettings, tally: Tally) -> list[Endpoint]:
    return [
        *webhooks.endpoints(settings),
        *shop.endpoints(settings),
        *admin.endpoints(settings, deals=service.checkout_sessions is not None),
        *operations.endpoints(settings, tally),
    ]


def _description(endpoints: list[Endpoint]) -> Route:
    document = json.dumps(describe(endpoints), indent=1)

    async def show(_request: Request) -> Response:
        return Response(document, media_type="application/json")

    return Route("/openapi.json", show, methods=["GET"])


async def _no_route(request: Request, error: Exception) -> Response:
    """What the router says itself: 404 and 405."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == WRONG_METHOD.status:
        return Problem(
            WRONG_METHOD, f"use {headers.get('Allow', 'another method')}", headers=headers
        ).response()
    with logs.about(method=request.method, status=error.status_code):
        log.info("no such route")
    return Problem(NOT_FOUND, "there is no such route here", headers=headers).response()


async def _our_mistake(_request: Request, _error: Exception) -> Response:
    return Problem(INTERNAL, "it has been written down; nothing is known of whether it happened").response()
