"""The reference over HTTP: one ASGI application for trio, made from a `Service` and its `HttpSettings`.

It decides nothing about payments. It lets in who may come in, checks the form of what they say, writes it down and answers; the work is
a worker's. docs/http.md lists the routes, and what a provider makes of each status. It needs the extra `reference`.

Serve it on trio, for example with hypercorn, whose own limits on time and connections apply::

    config = hypercorn.Config.from_mapping(bind=["127.0.0.1:8000"], include_server_header=False)
    await hypercorn.trio.serve(application(service, settings), config)
"""

from reference.http.application import application
from reference.http.settings import YOOKASSA_NETWORKS, HttpSettings

__all__ = ["YOOKASSA_NETWORKS", "HttpSettings", "application"]
