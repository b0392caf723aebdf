"""The network of a world: who answers for a host, and what may happen between a request and its reply.

A call is two points. Others may move before the request arrives and before the reply is heard, and a process that dies
between the two has had its effect and never hears of it. What the service does in between is one step, because a remote
service shares nothing with us; one that wants its work to take time says so with `Network.pause`.

It refuses to be a server: no sockets, no HTTP syntax. httpx is needed by `Network.transport` only, and imported there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import trio

from simulator.errors import SimulatorError
from simulator.network_delivery import deliver, limit, post
from simulator.network_faults import LateReply, LateRequest, LostReply, LostRequest, NetworkFault, ServerError
from simulator.network_http import Application, HttpRequest, HttpResponse, NoReplyError, UnreachableError
from simulator.network_service import PAUSE, Service, Work, refuse
from simulator.runtime.conductor import FAULT

if TYPE_CHECKING:
    import httpx

    from simulator.process import Process
    from simulator.world import World

_SYSTEM_GIVES_UP_S = 127.0  # Linux: tcp_syn_retries = 6; a client without a connect timeout waits that long


class Network:
    """Routes requests between the processes of one world and the services around it.

    Rules for a service that is not a process of the world: it is an ASGI application that awaits nothing but `receive`,
    `send` and `pause`; its clock and its chance come from outside; it keeps its state in memory that belongs to this
    world. Anything else it awaits is refused by name, because a call that dies would tear it to pieces.

    Args:
        world: whose lanes call.
        works_on_s: how long a service that was left in the middle of its work (see `pause`) needs to finish it.
    """

    def __init__(self, world: World, *, works_on_s: float = 1.0) -> None:
        self._world = world
        self._conductor = world.conductor
        self._works_on_s = works_on_s
        self._services: dict[str, Service] = {}
        self._injected: dict[str, int] = {}

    # What scenarios say ------------------------------------------------------------------------------------

    def serve(
        self,
        host: str,
        application: Application | None = None,
        *,
        name: str = "",
        process: Process | None = None,
    ) -> None:
        """Makes somebody answer for a host.

        Args:
            host: as it stands in URLs, without a port.
            application: an ASGI application; None for what a process's factory returns.
            name: in points and faults; the host if not given.
            process: where it runs; None for a remote service, which neither dies nor takes part in a schedule.
        """
        if host in self._services:
            raise ValueError(f"{host} is served already, by {self._services[host].name}")
        if application is None and process is None:
            raise ValueError(
                f"serve({host!r}, ...) takes an ASGI application, a process that has one, or both"
            )
        if any(service.name == (name or host) for service in self._services.values()):
            raise ValueError(
                f"two services are called {name or host!r}; points and faults tell them apart by name"
            )
        self._services[host] = Service(name or host, application, process)

    def inject(self, *faults: NetworkFault) -> None:
        """Plans faults, each for one call or for none; which one is chosen now, so draw the scenario's data before.

        Raises:
            ValueError: a fault names a service that there is not.
        """
        for fault in faults:
            service = next((one for one in self._services.values() if one.name == fault.service), None)
            if service is None:
                known = ", ".join(one.name for one in self._services.values()) or "none yet"
                raise ValueError(f"{fault!r}: there is no service {fault.service!r}; services: {known}")
            count = self._injected[fault.name] = self._injected.get(fault.name, 0) + 1
            moments = self._world._moments_of(service.counted_as)
            name = fault.name if count == 1 else f"{fault.name}~{count}"
            moment = self._world._chosen("fault", name, moments + 1, of=service.counted_as)
            if moment:
                service.planned.append((moment, fault))

    def transport(self) -> httpx.AsyncBaseTransport:
        """For ``httpx.AsyncClient(transport=...)``.

        Raises:
            SimulatorError: httpx is not installed.
        """
        try:
            from simulator.network_httpx import WorldTransport
        except ImportError as error:
            raise SimulatorError(
                f"a world's transport needs httpx ({error}): pip install 'turnstile[services]'"
            ) from error
        return WorldTransport(self)

    def client(self, **options: Any) -> httpx.AsyncClient:
        """An ``httpx.AsyncClient`` on this network; ``options`` are its own.

        Raises:
            SimulatorError: httpx is not installed.
        """
        transport = self.transport()
        from simulator.network_httpx import client

        return client(transport, **options)

    def pause(self) -> Awaitable[None]:
        """Awaited by a service in the middle of its work: others may move, and their calls find the work unfinished.

        A caller that dies or gives up there does not stop the service, which finishes ``works_on_s`` later.
        """
        return PAUSE

    # A call ------------------------------------------------------------------------------------------------

    async def send(
        self, request: HttpRequest, *, connect_s: float | None = None, read_s: float | None = None
    ) -> HttpResponse:
        """Sends a request from the lane that is moving now, or from outside of every process.

        Args:
            request: its host says to whom.
            connect_s: how long the caller waits until its request arrives; None: as long as the system does.
            read_s: how long it waits for the answer after that; None: for ever.

        Raises:
            UnreachableError: nothing was sent.
            NoReplyError: it was, and its effect may have happened.
            SimulatorError: nobody serves that host.
        """
        service = self._service(request)
        call = f"{request.method} {service.name} {request.path}"
        with limit(connect_s) as connecting:
            await self._conductor.point("call", call)
            self._touch(service)
            fault = self._strike(service, call)
            if isinstance(fault, LostRequest):
                await trio.sleep(_SYSTEM_GIVES_UP_S)
        if connecting.cancelled_caught or isinstance(fault, LostRequest):
            raise UnreachableError(f"{call}: no connection came about", timed_out=True)
        with limit(read_s):
            response = await self._effect(service, request, call, fault)
            if isinstance(fault, LostReply):
                if fault.reset:
                    raise NoReplyError(f"{call}: the connection was reset")
                await trio.sleep_forever()
            if isinstance(fault, LateReply):
                await trio.sleep(fault.seconds)
            await self._conductor.point("reply", f"reply to {call}")
            self._world.note(f"answered {response.status}")
            return response
        raise NoReplyError(f"{call}: no answer within {read_s} s", timed_out=True)

    async def _effect(
        self, service: Service, request: HttpRequest, call: str, fault: NetworkFault | None
    ) -> HttpResponse:
        if isinstance(fault, ServerError):
            if fault.applied:
                await self._answer(service, request, call)
            return HttpResponse(fault.status, (("content-type", "text/html"),), b"<html>bad gateway</html>")
        if isinstance(fault, LateRequest):
            return await self._answer_late(service, request, fault.seconds)
        return await self._answer(service, request, call)

    async def _answer(self, service: Service, request: HttpRequest, call: str) -> HttpResponse:
        if service.process is not None:
            return await self.deliver(service.process, request, application=service.application)
        work = Work(self._world, service, request)
        while not work.go_on():
            try:
                await self._conductor.point("call", f"{service.name} works on {call}")
                self._touch(service)
            except BaseException:  # cancelled or killed, which is nothing to the service
                if not self._conductor.killed:
                    self._world.act_at(self._world.clock.now_s + self._works_on_s, work.finish)
                raise
        return work.response()

    async def _answer_late(self, service: Service, request: HttpRequest, seconds: float) -> HttpResponse:
        if service.process is not None:
            await trio.sleep(seconds)
            return await self.deliver(service.process, request, application=service.application)
        work = Work(self._world, service, request)
        self._world.act_at(self._world.clock.now_s + seconds, work.finish)
        await work.done.wait()
        return work.response()

    def _touch(self, service: Service) -> None:
        if self._conductor.trace.recording:
            self._conductor.trace.collect().share(service.name)

    def _strike(self, service: Service, call: str) -> NetworkFault | None:
        fault = service.next_fault()
        # The probe's count of calls bounds the moments of later executions, as its count of steps does for processes.
        self._conductor.moved[service.counted_as] = service.calls
        if fault is not None:
            self._conductor.trace.steps.append((FAULT, f"{fault.name}: {call}", self._world.clock.now_s))
        return fault

    def _service(self, request: HttpRequest) -> Service:
        service = self._services.get(request.host)
        if service is None:
            known = ", ".join(self._services) or "nobody"
            raise refuse(
                self._world,
                f"{request.method} {request.host}{request.path}: nobody serves that host in this world; "
                f"network.serve() knows {known}",
            )
        return service

    # The other direction -----------------------------------------------------------------------------------

    async def deliver(self, process: Process, request: HttpRequest, **options: Any) -> HttpResponse:
        """Hands a request to an ASGI application in a process and waits for the answer: `network_delivery.deliver`."""
        return await deliver(self._world, process, request, **options)

    def post(
        self,
        process: Process,
        request: HttpRequest,
        heard: Callable[[HttpResponse | None], None],
        **options: Any,
    ) -> None:
        """Has somebody outside of every process deliver a request: `network_delivery.post`."""
        post(self._world, process, request, heard, **options)
