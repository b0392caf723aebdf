"""A remote service as a world's network sees it, and its work on one request. It knows nothing of who called."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from simulator.errors import SimulatorError
from simulator.network_faults import NetworkFault
from simulator.network_http import Application, HttpRequest, HttpResponse, call_application

if TYPE_CHECKING:
    from simulator.process import Process
    from simulator.world import World


class Pause:
    """What a service awaits where its work takes time; the network, which runs the service, stops there."""

    def __await__(self) -> Generator[Pause, None, None]:
        yield self


PAUSE = Pause()


@dataclass(slots=True, eq=False)
class Service:
    """Who answers for a host. It changes: calls are counted, and faults that have struck are gone.

    Attributes:
        name: in points and faults.
        application: what answers; None for what the process's factory returns.
        process: where it runs; None for a remote service.
        calls: how many reached the network so far.
        planned: faults, each with the number of the call that it strikes.
    """

    name: str
    application: Application | None
    process: Process | None
    calls: int = 0
    planned: list[tuple[int, NetworkFault]] = field(default_factory=list)

    @property
    def counted_as(self) -> str:
        """Under which name its calls are counted, where steps of processes are counted too."""
        return f"calls to {self.name}"

    def next_fault(self) -> NetworkFault | None:
        """Counts a call and returns what strikes it; of two faults that chose one call, the second strikes the next."""
        self.calls += 1
        for index, (moment, fault) in enumerate(self.planned):
            if moment <= self.calls:
                del self.planned[index]
                return fault
        return None


class Work:
    """A remote service at work on one request; it stops where the service pauses.

    The service's code is nobody's: no fence and no point while it runs, and whoever called may die without stopping it.

    Attributes:
        done: set when the service has answered.
    """

    def __init__(self, world: World, service: Service, request: HttpRequest) -> None:
        assert service.application is not None
        self._world = world
        self._name = service.name
        self._coroutine: Coroutine[Any, Any, None] = call_application(
            service.application, request, self._answered
        )
        self._response: HttpResponse | None = None
        self.done = trio.Event()

    def go_on(self) -> bool:
        """Goes on to the next pause or to the end; returns whether that was the end."""
        waits_for: Any = None
        try:
            with self._world.conductor.outside():
                waits_for = self._coroutine.send(None)
        except StopIteration:
            self.done.set()
            return True
        except Exception as error:
            raise refuse(
                self._world, f"the service {self._name} raised {type(error).__name__}: {error}"
            ) from error
        if waits_for is not PAUSE:
            self._coroutine.close()
            raise refuse(
                self._world,
                f"the service {self._name} waited for something of its own; a remote service answers within one step, "
                "awaits network.pause() where its work takes time, or is served in a process: serve(..., process=...)",
            )
        return False

    def finish(self) -> None:
        """Goes on to the end, without stopping."""
        while not self.go_on():
            pass

    def response(self) -> HttpResponse:
        """What it answered; asked only when it is done."""
        assert self._response is not None
        return self._response

    async def _answered(self, response: HttpResponse) -> None:
        self._response = response


def refuse(world: World, reason: str) -> SimulatorError:
    """Ends the execution also where the code under test catches what is raised; returns what to raise."""
    error = SimulatorError(reason)
    world.abort(error)
    return error
