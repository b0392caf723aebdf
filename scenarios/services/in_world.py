"""Puts stand-ins into a world: its clock, its timers, its network, and a courier for what they have to tell us."""

from __future__ import annotations

from urllib.parse import urlsplit

from scenarios.services.deliveries import Deliveries, Delivery, Message
from scenarios.services.plumbing import Clock, Service
from simulator import Process, World
from simulator.network import Network
from simulator.network_http import HttpRequest, HttpResponse


def unix_clock(world: World) -> Clock:
    """The world's wall clock, in unix seconds."""
    return lambda: world.clock.now().timestamp()


def wake(world: World, service: Service) -> None:
    """Lets a service do by the clock what time alone brings about (sessions expire); the world waits for it."""
    service.wake_at = lambda at: world.act_at(_loop_time(world, at), service.tick)


def carry(
    world: World,
    network: Network,
    deliveries: Deliveries,
    process: Process,
    *,
    name: str = "webhook",
    client: str = "192.0.2.1",
    tolerates: tuple[type[Exception], ...] = (),
) -> None:
    """Carries a provider's messages to the application in a process, by the provider's own timetable.

    Each attempt is a lane of the process (``name#1``, ``name#2`` ...), so that copies and retries overlap in every way.

    Args:
        world: the process's.
        network: the world's.
        deliveries: what the provider has to tell.
        process: whose factory returns an ASGI application.
        name: of the lanes.
        client: the provider's address.
        tolerates: errors that the application's server would answer with 500.
    """

    def send(delivery: Delivery) -> None:
        def heard(response: HttpResponse | None) -> None:
            deliveries.answered(delivery, response.status if response is not None else None)

        request = _as_request(delivery.render(delivery), client)
        network.post(process, request, heard, name=name, tolerates=tolerates, timeout_s=deliveries.timeout_s)

    def send_due() -> None:
        for delivery in deliveries.due():
            send(delivery)

    deliveries.wake_at = lambda at: world.act_at(_loop_time(world, at), send_due)
    for delivery in deliveries.all:  # what was said before anybody carried it
        deliveries.wake_at(delivery.due_at)


def _loop_time(world: World, at: float) -> float:
    return max(world.clock.now_s, at - world.clock.start.timestamp())


def _as_request(message: Message, client: str) -> HttpRequest:
    url = urlsplit(message.url)
    return HttpRequest(
        "POST", url.path or "/", url.hostname or "", url.query, message.headers, message.body, client
    )
