"""Keys are what is wanted, confirmed server by server; traffic is reset once for each payment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference import Topic
from reference.policies import GRACE_S

if TYPE_CHECKING:
    from conftest import Shop

DAY = 86_400
NOON = 1_767_355_200
WORK = [Topic.PROVISION, Topic.RESET_TRAFFIC]


async def more_servers(shop: Shop, *servers: str) -> None:
    for server in servers:
        await shop.write("INSERT INTO servers(id) VALUES (:id)", id=server)


async def drain(shop: Shop) -> None:
    """Let the relay work until every job is done, an hour of retries at most."""
    for _ in range(12):
        await shop.service.relay(topics=WORK)
        shop.clock.at += 300


async def test_a_purchase_puts_a_key_on_every_active_server(shop: Shop) -> None:
    """With the limit that was bought; a server out of service is left alone."""
    await more_servers(shop, "de-1", "old-1")
    await shop.write("UPDATE servers SET active = false WHERE id = 'old-1'")
    payment = await shop.bought()
    await drain(shop)
    assert shop.servers.keys == {
        ("de-1", f"sub:pay:{payment}"): 100_000,
        ("nl-1", f"sub:pay:{payment}"): 100_000,
    }
    assert await shop.broken_claims() == {}


async def test_a_server_that_is_down_holds_nobody_up_and_is_called_again_alone(shop: Shop) -> None:
    """What one server has confirmed is not asked of it twice."""
    await more_servers(shop, "de-1")
    await shop.bought()
    shop.servers.down = {"de-1"}
    await shop.service.relay(topics=WORK)
    shop.servers.down = set()
    await drain(shop)
    puts = [call[1] for call in shop.servers.calls if call[0] == "put"]
    assert sorted(puts) == ["de-1", "de-1", "nl-1"]
    assert await shop.broken_claims() == {}


async def test_an_extension_changes_keys_only_where_the_limit_changed(shop: Shop) -> None:
    """The same tariff again: nothing to tell the server. Another one: its limit."""
    await shop.bought("first")
    await drain(shop)
    await shop.bought("second")
    await drain(shop)
    assert [call[0] for call in shop.servers.calls].count("put") == 1
    payment = await shop.bought("third", tariff=2)
    await drain(shop)
    assert list(shop.servers.keys.values()) == [0]
    assert (await shop.one("SELECT version, applied FROM subscription_keys")) == (2, 2)
    assert payment in {call[3] for call in shop.servers.calls if call[0] == "reset"}


async def test_traffic_is_reset_once_for_each_payment_and_server(shop: Shop) -> None:
    """However often the job has to come back for the server that was down."""
    await more_servers(shop, "de-1")
    first = await shop.bought("first")
    await drain(shop)
    shop.servers.calls.clear()
    second = await shop.bought("second")
    shop.servers.down = {"de-1"}
    for _ in range(3):
        await shop.service.relay(topics=WORK)
        shop.clock.at += 60
    shop.servers.down = set()
    await drain(shop)
    assert [call for call in shop.servers.calls if call[0] == "reset" and call[1] == "nl-1"] == [
        ("reset", "nl-1", f"sub:pay:{first}", second)
    ]
    resets = await shop.rows(
        "SELECT payment_id, server_id FROM traffic_resets ORDER BY payment_id, server_id"
    )
    assert sorted(tuple(row) for row in resets) == sorted(
        (p, s) for p in (first, second) for s in ("de-1", "nl-1")
    )


async def test_a_reset_waits_for_its_key(shop: Shop) -> None:
    """Resetting the traffic of a key that is not there yet would be lost."""
    await shop.bought()
    await shop.service.relay(topics=[Topic.RESET_TRAFFIC])
    assert shop.servers.calls == []
    await drain(shop)
    assert [call[0] for call in shop.servers.calls] == ["put", "reset"]


async def test_keys_work_through_the_grace_and_are_taken_away_after_it(shop: Shop) -> None:
    """Grace is for the keys; it is no part of what was sold."""
    await shop.bought()
    await drain(shop)
    shop.clock.at = NOON + 30 * DAY + GRACE_S - 1
    assert await shop.service.retire_expired_keys() == 0
    shop.clock.at += 1
    assert await shop.service.retire_expired_keys() == 1
    assert await shop.service.retire_expired_keys() == 1  # asked for again, and that is asking once
    await drain(shop)
    assert shop.servers.keys == {}
    assert await shop.service.retire_expired_keys() == 0
    assert await shop.broken_claims() == {}


async def test_who_pays_before_the_keys_are_gone_keeps_them(shop: Shop) -> None:
    """The job looks again when it runs."""
    await shop.bought("first")
    await drain(shop)
    shop.clock.at = NOON + 31 * DAY
    await shop.service.retire_expired_keys()
    await shop.bought("second")
    await drain(shop)
    assert "remove" not in {call[0] for call in shop.servers.calls}


async def test_who_comes_back_later_gets_the_keys_back(shop: Shop) -> None:
    """The same row, wanted again."""
    await shop.bought("first")
    await drain(shop)
    shop.clock.at = NOON + 40 * DAY
    await shop.service.retire_expired_keys()
    await drain(shop)
    await shop.bought("second")
    await drain(shop)
    assert len(shop.servers.keys) == 1
    assert (await shop.one("SELECT wanted, version, applied FROM subscription_keys")) == ("present", 3, 3)


async def test_a_late_confirmation_does_not_take_a_newer_one_back(shop: Shop) -> None:
    """A worker that slept confirms the version it knew; the row has a newer one."""
    from reference.flows import provisioning

    payment = await shop.bought()
    await drain(shop)
    await shop.bought("other limit", tariff=2)
    await drain(shop)
    await provisioning._confirm(
        shop.service, f"sub:pay:{payment}", provisioning.Key("nl-1", "present", 100_000, 1)
    )
    assert (await shop.one("SELECT version, applied FROM subscription_keys")) == (2, 2)
