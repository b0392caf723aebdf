"""A request on its way through an ASGI application that runs in one of the world's processes."""

from __future__ import annotations

import contextvars
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from simulator.errors import SimulatorError
from simulator.network_http import (
    Application,
    HttpRequest,
    HttpResponse,
    NoReplyError,
    UnreachableError,
    call_application,
)
from simulator.runtime.conductor import lane_of_task

if TYPE_CHECKING:
    from simulator.process import Process
    from simulator.world import World


@dataclass(slots=True, eq=False)
class Delivery:
    """One request to a process; its `handle` is the program of the lane.

    The answer is a point of its own: a process may die when its work is committed and its 200 is not yet written.

    Attributes:
        application: None for what the process's factory returned.
        tolerates: errors that the application's server would answer with 500; any other is a finding.
        response: None until it has answered.
        ended: set when it has answered or died.
    """

    world: World
    process: Process
    request: HttpRequest
    application: Application | None
    tolerates: tuple[type[Exception], ...]
    response: HttpResponse | None = None
    ended: trio.Event = field(default_factory=trio.Event)

    async def handle(self) -> None:
        """Runs the application."""
        try:
            await call_application(self.application or self.process.app, self.request, self._answered)
        except SimulatorError:
            raise
        except self.tolerates as error:
            self.world.note(f"failed, as it may: {type(error).__name__}: {error}")
            if self.response is None:
                await self._answered(HttpResponse(500))

    async def _answered(self, response: HttpResponse) -> None:
        what = f"answers {response.status} to {self.request.method} {self.request.path}"
        await self.world.conductor.point("reply", what)
        self.process.touch(("answered", self.process.name))
        self.response = response
        self.ended.set()


async def deliver(
    world: World,
    process: Process,
    request: HttpRequest,
    *,
    application: Application | None = None,
    name: str = "request",
    tolerates: tuple[type[Exception], ...] = (),
    timeout_s: float | None = None,
) -> HttpResponse:
    """Hands a request to an ASGI application in a process, as a lane of its own, and waits for the answer.

    Args:
        world: the process's.
        process: it may be down, and it may die while it works.
        request: its host does not matter.
        application: None: what the process's factory returned.
        name: of the lane: ``name#1``, ``name#2`` ...
        tolerates: errors of the application that its server would answer with 500; others fail the execution.
        timeout_s: how long the sender waits; the application goes on after that.

    Raises:
        UnreachableError: the process is down.
        NoReplyError: it died, or took too long.
    """
    delivery = Delivery(world, process, request, application, tolerates)
    what = f"{request.method} {request.path}"
    if world.conductor.trace.recording:
        world.conductor.trace.collect().add(reads=[("life", process.name)])
    if not process._up:
        raise UnreachableError(f"{process.name} is down: {what} was refused")
    process._spawn(name, delivery.handle, (), numbered=True, on_killed=delivery.ended.set)
    with limit(timeout_s):
        await delivery.ended.wait()
    if delivery.response is not None:
        return delivery.response
    if delivery.ended.is_set():
        raise NoReplyError(f"{process.name} died before it answered {what}")
    raise NoReplyError(f"{process.name} did not answer {what} within {timeout_s} s", timed_out=True)


def post(
    world: World,
    process: Process,
    request: HttpRequest,
    heard: Callable[[HttpResponse | None], None],
    **options: Any,
) -> None:
    """Has somebody outside of every process deliver a request; the world is not quiet before they have heard.

    Args:
        world: the process's.
        process: as for `deliver`, whose ``options`` this takes.
        request: the same.
        heard: called with the answer, or with None when none came.
    """

    async def send() -> None:
        try:
            response = await deliver(world, process, request, **options)
        except (UnreachableError, NoReplyError):
            heard(None)
        else:
            heard(response)
        world.conductor.pending -= 1

    world.conductor.pending += 1
    context = contextvars.copy_context()
    context.run(lane_of_task.set, None)  # it belongs to no process: it takes part in no choice
    context.run(world.nursery.start_soon, send)


def limit(seconds: float | None) -> trio.CancelScope:
    """A timeout; None is none."""
    return trio.move_on_after(math.inf if seconds is None else seconds)
