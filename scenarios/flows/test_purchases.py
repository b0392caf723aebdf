"""Purchase and extension: the scenarios that ablations run, as they stand; and purchases as they come."""

from __future__ import annotations

from reference.storage.schema import metadata
from scenarios.flows import purchase_work, purchases
from scenarios.flows.buyers import ALWAYS_CLAIMS, CLAIMS, buy, draw
from scenarios.flows.shop import Shop
from simulator import Crash, World, restarted, simulate

test_one_payment = purchases.one_payment
test_somebody_dies = purchases.somebody_dies
test_nobody_tells = purchases.nobody_tells
test_two_payments = purchases.two_payments
test_two_relays = purchases.two_relays
test_put_back_by_hand = purchases.put_back_by_hand
test_put_back_by_hand_and_told = purchases.put_back_by_hand_and_told
test_the_wrong_amount = purchases.the_wrong_amount
test_money_goes_back = purchases.money_goes_back
test_a_trial_and_a_payment = purchases.a_trial_and_a_payment
test_two_taps = purchase_work.two_taps
test_two_relays_alive = purchase_work.two_relays_alive
test_a_worker_dies = purchase_work.a_worker_dies
test_telegram_is_down = purchase_work.telegram_is_down
test_an_overtaken_worker = purchase_work.an_overtaken_worker
test_a_server_is_down = purchase_work.a_server_is_down
test_told_at_the_door = purchase_work.told_at_the_door
test_a_forged_notification = purchase_work.a_forged_notification
test_nobody_is_turned_away = purchase_work.nobody_is_turned_away


@simulate(
    schema=metadata,
    always=ALWAYS_CLAIMS,
    eventually=CLAIMS,
    sometimes=[restarted("api"), restarted("worker")],
)
async def test_purchases_as_they_come(world: World) -> None:
    """Whoever bought, told, died or took the money back: one subscription each, and time and money add up."""
    shop = Shop(world)
    buy(world, shop, draw(world))
    world.inject(Crash("api"), Crash("worker"))
    await world.quiesce()


def test_every_scenario_is_a_test() -> None:
    """What ablations rely on must hold by itself."""
    tested = [thing for name, thing in globals().items() if name.startswith("test_")]

    assert all(scenario in tested for scenario in (*purchases.ALL_OF_THEM, *purchase_work.ALL_OF_THEM))
