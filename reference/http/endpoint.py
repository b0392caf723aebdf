"""One route as a value: who may come in, what they say, what is done, what they hear. Both the router and the API's description are
made from it, so that neither can promise what the other does not do.

The order of the checks is the point of it. Who is calling is decided before the body is read, whether the body is genuine before it is
parsed, and whether it has the right form before anything is done: nothing that is refused has cost more than it had to, and no row
was written for it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import trio
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reference import logs
from reference.http import bodies
from reference.http.guards import Anybody, Guard
from reference.http.problems import INTERNAL, NOT_NOW, PROVIDER_REFUSED, Kind, Problem
from reference.http.seals import Seal
from reference.http.tally import Tally
from reference.ports import AmbiguousError, KeyConflictError, LaterError, RefusedError
from reference.service import Service
from reference.storage.transactions import TransactionConflictError

log = logging.getLogger("reference.http")

RETRY_AFTER_S = 5
_LATER = {"retry-after": str(RETRY_AFTER_S)}


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something in the path, the query or a header.

    Args:
        name: as it is spelled there.
        where: `path`, `query` or `header`.
        form: how it has to look.
        description: for readers of the API's description.
        default: when it is not there; ... when it has to be.
    """

    name: str
    where: Literal["path", "query", "header"]
    form: TypeAdapter[Any]
    description: str
    default: Any = ...

    def read(self, request: Request) -> Any:
        """Its value.

        Raises:
            Problem: it is not there, or not of that form.
        """
        sources: Mapping[str, Mapping[str, str]] = {
            "path": request.path_params,
            "query": request.query_params,
            "header": request.headers,
        }
        found = sources[self.where].get(self.name)
        if found is None and self.default is not ...:
            return self.default
        try:
            return self.form.validate_strings("" if found is None else found)
        except ValidationError as error:
            raise bodies.invalid(error, under=f"{self.where}:{self.name}") from None


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in.

    Args:
        service: the service.
        body: of the form that was asked for; None for a route without one.
        parameters: by name.
        noted: identifiers for the log line of this request; filled in on the way.
    """

    service: Service
    body: Any
    parameters: Mapping[str, Any]
    noted: dict[str, Any] = field(default_factory=dict)


Work = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A route.

    Args:
        method: in capitals.
        path: with ``{parameters}``.
        name: unique, for the API's description.
        summary: a line.
        description: what a caller should know.
        work: what is done; returns the answer, or a `Response`, or raises `Problem`.
        answer: the form of the answer; None: the response is `work`'s.
        status: of the answer.
        media_type: of a response that is `work`'s.
        guard: who may come in.
        body: the form of the body; None: there is none.
        any_object: of which the form is documentation only: whatever a provider sends is taken, and looked at by a worker.
        seal: what vouches for the body.
        parameters: in path, query and headers.
        problems: further ones that `work` raises.
    """

    method: Literal["GET", "POST"]
    path: str
    name: str
    summary: str
    description: str = ""
    work: Work
    answer: TypeAdapter[Any] | None = None
    status: int = 200
    media_type: str = "application/json"
    guard: Guard = Anybody()  # noqa: RUF009 - a value without state
    body: TypeAdapter[Any] | None = None
    any_object: bool = False
    seal: Seal | None = None
    parameters: tuple[Parameter, ...] = ()
    problems: tuple[Kind, ...] = ()

    def route(self, service: Service, tally: Tally, *, bytes_max: int) -> Route:
        """The route for the router."""

        async def endpoint(request: Request) -> Response:
            return await self._run(request, service, tally, bytes_max=bytes_max)

        return Route(self.path, endpoint, methods=[self.method], name=self.name, include_in_schema=False)

    async def _run(self, request: Request, service: Service, tally: Tally, *, bytes_max: int) -> Response:
        """Answer, count, and leave one line in the log; a request that is cancelled has no answer and leaves none."""
        began = trio.current_time()
        noted: dict[str, Any] = {}
        try:
            response = await self._answer(request, service, noted, bytes_max=bytes_max)
        except Exception as error:  # goes on to the server; here it is only counted
            noted["cause"] = type(error).__name__
            self._done(tally, INTERNAL.status, noted, trio.current_time() - began)
            raise
        self._done(tally, response.status_code, noted, trio.current_time() - began)
        return response

    def _done(self, tally: Tally, status: int, noted: Mapping[str, Any], took_s: float) -> None:
        tally.answered(self.method, self.path, status, noted.get("problem", ""), took_s)
        with logs.about(method=self.method, route=self.path, status=status, took_s=f"{took_s:.6f}", **noted):
            log.log(_level(status), "%s %s: %d", self.method, self.path, status)

    async def _answer(
        self, request: Request, service: Service, noted: dict[str, Any], *, bytes_max: int
    ) -> Response:
        try:
            return await self._work(request, service, noted, bytes_max=bytes_max)
        except Problem as problem:
            found = problem
        except (TransactionConflictError, PoolTimeoutError, OperationalError, InterfaceError) as error:
            found = _because(error, NOT_NOW, "the database does not take this now", noted, headers=_LATER)
        except (AmbiguousError, LaterError) as error:
            found = _because(error, NOT_NOW, "the provider does not answer now", noted, headers=_LATER)
        except (RefusedError, KeyConflictError) as error:
            found = _because(error, PROVIDER_REFUSED, "the provider refuses what we ask of it", noted)
        noted["problem"] = found.kind.name
        return found.response()

    async def _work(
        self, request: Request, service: Service, noted: dict[str, Any], *, bytes_max: int
    ) -> Response:
        self.guard.admit(request)
        parameters = {one.name: one.read(request) for one in self.parameters}
        body = await self._body(request, service, bytes_max=bytes_max) if self.body is not None else None
        found = await self.work(Call(service, body, parameters, noted))
        if self.answer is None:
            assert isinstance(found, Response), (
                f"{self.name} has no form of an answer, so it makes its response"
            )
            return found
        return Response(self.answer.dump_json(found), self.status, media_type="application/json")

    async def _body(self, request: Request, service: Service, *, bytes_max: int) -> Any:
        assert self.body is not None
        raw = await bodies.read(request, bytes_max=bytes_max)
        bodies.require_json(request)
        if self.seal is not None:
            self.seal.check(request, raw, now=service.now())
        if not self.any_object:
            return bodies.validate(self.body, raw)
        body = bodies.parse(raw)
        # From somebody who is who they say: kept under its digest and looked at by a person, for refusing it would only repeat it.
        return body if isinstance(body, dict) else {"not_an_object": body}


def _because(
    error: Exception,
    kind: Kind,
    detail: str,
    noted: dict[str, Any],
    *,
    headers: Mapping[str, str] | None = None,
) -> Problem:
    """A problem that is not the caller's: the log has the cause, the answer has not."""
    log.warning("%s: %s", kind.name, type(error).__name__, exc_info=error)
    noted["cause"] = type(error).__name__
    return Problem(kind, detail, headers=headers)


def _level(status: int) -> int:
    return logging.ERROR if status >= INTERNAL.status else logging.INFO
