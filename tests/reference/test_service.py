"""The composition root is a value: engine, ports and clock, with every flow as a method."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest
from freezegun import freeze_time

import reference
from reference import Ensured, Service
from reference.storage import ForeignCallError, atomically

if TYPE_CHECKING:
    from conftest import Shop
    from sqlalchemy.ext.asyncio import AsyncConnection


async def test_a_method_can_be_run_as_a_program_with_the_service_as_its_first_argument(shop: Shop) -> None:
    """That is how a harness starts an actor."""
    program, arguments = Service.ensure, (shop.service, "p-nobody")
    assert (await program(*arguments)).result is Ensured.UNKNOWN


async def test_the_clock_is_the_machines_and_looked_up_at_each_call(shop: Shop) -> None:
    """So frozen and simulated time are seen by a service that was made before."""
    service = Service(engine=shop.engine, providers={}, notifier=shop.telegram, key_servers=shop.servers)
    with freeze_time("2026-01-08 20:27:23"):
        assert service.now() == 1_767_904_043
    with freeze_time("2026-01-08 20:27:24.9"):
        assert service.now() == 1_767_904_044


async def test_every_port_is_closed_inside_a_transaction(shop: Shop) -> None:
    """Also for a flow that was given the service and means well."""
    service = shop.service
    calls = [
        lambda: service.notifier.send(7, "text", "ref"),
        lambda: service.key_servers.put("nl-1", "s", 0),
        lambda: service.provider(reference.Provider.YOOKASSA).look_up("remote"),
    ]
    for call in calls:

        async def pay(_connection: AsyncConnection, call=call) -> None:  # type: ignore[no-untyped-def]
            await call()

        with pytest.raises(ForeignCallError):
            await atomically(service.engine, pay)


def test_every_public_method_is_documented() -> None:
    """What people copy from says what it does."""
    methods = [
        method for name, method in inspect.getmembers(Service, inspect.isfunction) if not name.startswith("_")
    ]
    assert len(methods) > 15
    assert [method.__name__ for method in methods if not method.__doc__] == []


def test_the_public_face_is_what_it_says() -> None:
    """Every name in `__all__` is there."""
    assert [name for name in reference.__all__ if not hasattr(reference, name)] == []
