"""The deployed code of deal 1680 run in sequence: what each look sees, and what each fix changes about it."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from scenarios.incidents.deal_1680.account import DEAL, Account
from scenarios.incidents.deal_1680.deployed.database import Deal, PaymentRepository
from scenarios.incidents.deal_1680.deployed.deployment import Deployment
from scenarios.incidents.deal_1680.deployed.entry_points import EntryPoints
from scenarios.incidents.deal_1680.deployed.second_payment_scheduler import DAY_S, SecondPaymentScheduler
from scenarios.incidents.deal_1680.deployed.session_creation import SessionCreation, rest_form
from scenarios.incidents.deal_1680.deployed.stripe_api import StripeApi, StripeError
from scenarios.incidents.deal_1680.desks import AS_DEPLOYED, CUSTOMER, REST_MINOR
from scenarios.incidents.deal_1680.fixes.deterministic_key import CreatedUnderOneKey
from scenarios.incidents.deal_1680.fixes.lease_lock import CreatedUnderALease
from scenarios.incidents.deal_1680.fixes.option_1 import ExpiredCounts
from scenarios.incidents.deal_1680.fixes.option_2 import OneTaskPerDeal
from scenarios.incidents.deal_1680.fixes.option_3 import CreatedUnderALock, CreatedUnderALockAskingStripe
from scenarios.incidents.deal_1680.scenario import FIRST
from scenarios.wiring import open_async_connection
from simulator import Operator, World, simulate

THE_DEAL = Deal(DEAL, f"Deal {DEAL}", CUSTOMER, REST_MINOR, "eur")
in_a_world = simulate(schema=AS_DEPLOYED.schema, sequential=True, executions=1)


class Office:
    """The deployed code in a world where nobody else moves."""

    def __init__(self, world: World, *, api_key: str = "sk_test_deal_1680") -> None:
        world.begin_at(FIRST)
        self.world = world
        self.account = Account(world)
        AS_DEPLOYED.stock(world)
        self.api = StripeApi(self.account.http(), api_key)
        self.deployment = Deployment(open_async_connection(world), self.api, self.account.remote)

    def scheduler(
        self, kind: type[SecondPaymentScheduler] = SecondPaymentScheduler
    ) -> SecondPaymentScheduler:
        return kind(self.deployment, SessionCreation(self.deployment))

    def page(self, deal_id: int = DEAL, **changes: Any) -> dict[str, Any]:
        """A rest session that is there when the test begins."""
        price = {"currency": "eur", "unit_amount": REST_MINOR}
        session = self.account.stripe.sessions.create(
            {
                "mode": "payment",
                "success_url": "https://shop.example.com/thanks",
                "line_items": [{"price_data": price, "quantity": 1}],
                "metadata": {"deal_id": str(deal_id), "payment_type": "rest"},
            }
        )
        session |= changes
        return session

    def asked(self, method: str) -> list[Any]:
        return [request for request in self.account.stripe.arrived if request.method == method]

    async def result(self, program: Callable[[], Awaitable[Any]]) -> Any:
        """What a program returns when it is run in the world."""
        results = []

        async def run() -> None:
            results.append(await program())

        self.world.run(Operator(run))
        await self.world.quiesce()
        return results[0]

    def rows(self) -> list[dict[str, Any]]:
        return self.world.database.rows("SELECT * FROM payments WHERE payment_type = 'rest' ORDER BY id")


# What hasSecondPaymentSession sees -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "payment_status", "deployed", "option_1"),
    [
        ("open", "unpaid", True, True),
        ("complete", "paid", True, True),
        ("expired", "unpaid", False, True),
        ("complete", "unpaid", False, False),
    ],
)
@pytest.mark.parametrize("version", ["deployed", "option_1"])
@in_a_world
async def test_what_counts_as_a_session(
    world: World, status: str, payment_status: str, deployed: bool, option_1: bool, version: str
) -> None:
    """Line 146, and what option 1 adds. Neither of them knows of money that is on its way."""
    office = Office(world)
    office.page(status=status, payment_status=payment_status)
    kind, expected = (
        (ExpiredCounts, option_1) if version == "option_1" else (SecondPaymentScheduler, deployed)
    )

    assert await office.result(lambda: office.scheduler(kind).has_second_payment_session(DEAL)) is expected


@in_a_world
async def test_every_page_of_the_list_is_read(world: World) -> None:
    """The deal's session is the oldest of 121: it is on the second page."""
    office = Office(world)
    office.page()
    for other in range(120):
        office.page(2000 + other)

    assert await office.result(lambda: office.scheduler().has_second_payment_session(DEAL)) is True
    assert [dict(request.query).get("starting_after") for request in office.asked("GET")] == [
        None,
        "cs_test_22",
    ]


@pytest.mark.parametrize(
    ("days", "kind", "found"),
    [
        (6, SecondPaymentScheduler, True),
        (8, SecondPaymentScheduler, False),
        (8, ExpiredCounts, True),
        (31, ExpiredCounts, False),
    ],
)
@in_a_world
async def test_how_far_back_it_looks(
    world: World, days: int, kind: type[SecondPaymentScheduler], found: bool
) -> None:
    """Line 130: a week; with option 1 thirty days."""
    office = Office(world)
    page = office.page(status="complete", payment_status="paid")
    page["created"] -= days * DAY_S

    assert await office.result(lambda: office.scheduler(kind).has_second_payment_session(DEAL)) is found


@in_a_world
async def test_an_error_is_read_as_no_session(world: World) -> None:
    """The session is there; the look is refused; the answer is "none"."""
    office = Office(world, api_key="a wrong key")
    office.page()

    assert await office.result(lambda: office.scheduler().has_second_payment_session(DEAL)) is False


@in_a_world
async def test_only_deals_whose_rest_is_due_and_unpaid_are_listed(world: World) -> None:
    """Of four deals one needs a session: one closes too late, one has paid, one has an open page."""
    office = Office(world)
    for deal_id in (1681, 1682, 1683):
        AS_DEPLOYED.due(world, deal_id, closes=datetime(2026, 6, 1, tzinfo=UTC) if deal_id == 1681 else None)
    world.database.insert("payments", deal_id=1682, payment_type="rest", status="paid")
    office.page(1683)

    eligible = await office.result(office.scheduler().find_eligible_deals)

    assert [deal.id for deal in eligible] == [DEAL]


# The other paths -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["open", "paid", "expired"])
@in_a_world
async def test_the_processor_is_content_with_any_row(world: World, status: str) -> None:
    """Line 2518 looks at kinds of payments, and at nothing else."""
    office = Office(world)
    world.database.insert("payments", deal_id=DEAL, payment_type="rest", status=status)

    await office.result(lambda: EntryPoints(office.deployment).crm_webhook(DEAL))

    assert office.account.pages() == []


@in_a_world
async def test_the_processor_does_not_see_what_is_only_at_stripe(world: World) -> None:
    """It never asks."""
    office = Office(world)
    office.page()

    await office.result(lambda: EntryPoints(office.deployment).crm_webhook(DEAL))

    assert len(office.account.pages()) == 2
    assert office.asked("GET") == []


@in_a_world
async def test_a_database_that_cannot_be_asked_has_no_payments(world: World) -> None:
    """``{ data: null, error }``."""

    def refused(_path: str) -> Any:
        raise ConnectionRefusedError

    assert await Office(world).result(lambda: PaymentRepository(refused).existing_payments(DEAL)) == []


@pytest.mark.parametrize(("told", "pages"), [(True, 1), (False, 2)])
@in_a_world
async def test_a_person_makes_a_link_when_the_customer_has_none(world: World, told: bool, pages: int) -> None:
    """And only then; but the page that there is stays open."""
    office = Office(world)
    office.account.remote.bot_works = told
    entry_points = EntryPoints(office.deployment)

    async def story() -> None:
        await entry_points.hourly()
        await entry_points.new_link_by_hand(DEAL)

    await office.result(story)

    assert [page["status"] for _, page in office.account.pages()] == ["open"] * pages


@pytest.mark.parametrize(("kind", "reminders"), [(SecondPaymentScheduler, 2), (OneTaskPerDeal, 1)])
@in_a_world
async def test_reminders_about_expired_sessions(
    world: World, kind: type[SecondPaymentScheduler], reminders: int
) -> None:
    """One for each session, and with option 2 one for each deal; sessions of other kinds are none of its business."""
    office = Office(world)
    for _ in range(2):
        office.page(status="expired")
    office.page(status="expired")["metadata"]["payment_type"] = "deposit"

    await office.result(office.scheduler(kind).process_expired_sessions)

    assert office.account.remote.told == ["The payment link of Deal 1680 has expired."] * reminders


# Creation, as deployed and as proposed -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("creation", "pages"),
    [
        (SessionCreation, 2),
        (CreatedUnderALock, 1),
        (CreatedUnderALockAskingStripe, 1),
        (CreatedUnderALease, 1),
        (CreatedUnderOneKey, 1),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
@in_a_world
async def test_creating_twice_one_after_the_other(
    world: World, creation: type[SessionCreation], pages: int
) -> None:
    """As deployed creation does not look at all; each fix is right as long as nobody is in its way."""
    office = Office(world)
    create = creation(office.deployment).create

    async def twice() -> None:
        await create(THE_DEAL)
        await create(THE_DEAL)

    await office.result(twice)

    assert len(office.account.pages()) == pages
    assert {row["session_id"] for row in office.rows()} == {name for name, _ in office.account.pages()}


@pytest.mark.parametrize(
    ("creation", "pages"),
    [(CreatedUnderALock, 2), (CreatedUnderALockAskingStripe, 1)],
    ids=["the database", "the database and Stripe"],
)
@in_a_world
async def test_what_is_looked_at_under_the_lock(
    world: World, creation: type[SessionCreation], pages: int
) -> None:
    """A session without a row is seen by the variant that asks Stripe as well."""
    office = Office(world)
    office.page()

    await office.result(lambda: creation(office.deployment).create(THE_DEAL))

    assert len(office.account.pages()) == pages


@pytest.mark.parametrize(("held_for_s", "pages"), [(0, 1), (1, 0)])
@in_a_world
async def test_a_lease_that_is_held_keeps_others_out_and_one_that_has_lapsed_does_not(
    world: World, held_for_s: int, pages: int
) -> None:
    """A second more or less."""
    office = Office(world)
    office.world.database.insert(
        "cron_locks", name="another lock", holder="", held_until=0
    )  # which is nobody's business
    held_until = int(FIRST.timestamp()) + held_for_s
    await office.result(lambda: _hold(office, held_until))

    assert len(office.account.pages()) == pages


async def _hold(office: Office, held_until: int) -> None:
    async with office.deployment.open_async_connection("") as connection:
        await connection.execute(
            "UPDATE cron_locks SET holder = 'somebody', held_until = ? WHERE name = 'rest'", (held_until,)
        )
        await connection.commit()
    await CreatedUnderALease(office.deployment).create(THE_DEAL)


@in_a_world
async def test_each_call_of_the_library_has_a_key_of_its_own(world: World) -> None:
    """So the key protects the library's repetition of a request and not the application's."""
    office = Office(world)

    async def twice() -> None:
        await office.api.create_session(rest_form(THE_DEAL))
        await office.api.create_session(rest_form(THE_DEAL))

    await office.result(twice)

    keys = [request.headers["idempotency-key"] for request in office.asked("POST")]
    assert len(set(keys)) == len(office.account.pages()) == 2
    assert all(uuid.UUID(key.removeprefix("stripe-node-retry-")) for key in keys)


@pytest.mark.parametrize("minutes", [29, 30])
@in_a_world
async def test_stripe_lets_no_session_expire_within_half_an_hour(world: World, minutes: int) -> None:
    """Which is why the session of 22:10:59 was open at 22:12:24."""
    office = Office(world)
    form = rest_form(THE_DEAL) | {"expires_at": str(int(FIRST.timestamp()) + 60 * minutes)}

    async def create() -> str:
        try:
            return str((await office.api.create_session(form))["status"])
        except StripeError as error:
            return str(error)

    answer = await office.result(create)

    assert answer == "open" if minutes >= 30 else "at least 30 minutes" in answer
