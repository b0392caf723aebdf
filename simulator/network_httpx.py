"""The only door to httpx: a transport that hands a client's requests to a world's network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from simulator.network_http import HttpRequest, NoReplyError, UnreachableError

if TYPE_CHECKING:
    from simulator.network import Network


class WorldTransport(httpx.AsyncBaseTransport):
    """For ``httpx.AsyncClient(transport=...)``: the client stays as it is, timeouts included."""

    def __init__(self, network: Network) -> None:
        self._network = network

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends one request and waits for its answer.

        Raises:
            httpx.TransportError: the kind that a real network would have caused.
        """
        timeouts = request.extensions.get("timeout", {})
        try:
            response = await self._network.send(
                await _as_value(request), connect_s=timeouts.get("connect"), read_s=timeouts.get("read")
            )
        except UnreachableError as error:
            kind = httpx.ConnectTimeout if error.timed_out else httpx.ConnectError
            raise kind(str(error), request=request) from error
        except NoReplyError as error:
            failure = httpx.ReadTimeout if error.timed_out else httpx.ReadError
            raise failure(str(error), request=request) from error
        return httpx.Response(response.status, headers=list(response.headers), content=response.body)


async def _as_value(request: httpx.Request) -> HttpRequest:
    headers = tuple(
        (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in request.headers.raw
    )
    url = request.url
    return HttpRequest(
        request.method, url.path, url.host, url.query.decode("latin-1"), headers, await request.aread()
    )


def client(transport: httpx.AsyncBaseTransport, **options: Any) -> httpx.AsyncClient:
    """A client that goes nowhere else: the machine's proxies would lead round the transport."""
    return httpx.AsyncClient(transport=transport, trust_env=False, **options)
