"""A form becomes a lead and its two messages, once; and texts are written down, not composed again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio

from reference.flows import leads
from reference.flows.leads import FormError, address, client_ref_for, digits
from reference.model_messages import Form

if TYPE_CHECKING:
    from conftest import Shop

NOON = 1_767_355_200
FORM = Form(name="Test", phone="+7 700 000 00 01", email="Test@Example.com ", answers={"q1": "a", "q2": 2})


async def test_a_form_becomes_a_lead_and_two_messages_due_in_ten_minutes(either_shop: Shop) -> None:
    """With contact details in one spelling, and texts that carry the lead's own link."""
    made = await either_shop.service.submit_lead(FORM)
    lead = await either_shop.one("SELECT * FROM landing_leads")
    assert (lead.id, lead.phone, lead.email, lead.answers) == (
        made.lead_id,
        "77000000001",
        "test@example.com",
        '{"q1": "a", "q2": 2}',
    )
    rows = await either_shop.rows("SELECT * FROM messages ORDER BY channel")
    assert [(row.channel, row.recipient, row.promise, row.due_at, row.state) for row in rows] == [
        ("email", "test@example.com", "at_least", NOON + 600, "pending"),
        ("sms", "77000000001", "at_most", NOON + 600, "pending"),
    ]
    assert all(made.lead_id in row.body for row in rows)
    assert all(len(row.client_ref) <= 255 and row.client_ref == client_ref_for(row.id) for row in rows)


async def test_the_same_form_again_is_the_same_lead(either_shop: Shop) -> None:
    """A double click, a retry of the browser, another spelling, another order of the answers: no second message."""
    same = replace(FORM, phone="8 (700) 000-00-01", email="test@example.com", answers={"q2": 2, "q1": "a"})
    results = []

    async def submit(form: Form) -> None:
        results.append(await either_shop.service.submit_lead(form))

    async with trio.open_nursery() as nursery:
        for form in (FORM, same, FORM):
            nursery.start_soon(submit, form)
    assert len({result.lead_id for result in results}) == 1
    assert sorted(result.made for result in results) == [False, False, True]
    assert (await either_shop.one("SELECT submits FROM landing_leads")).submits == 3
    assert len(await either_shop.rows("SELECT 1 FROM messages")) == 2


async def test_other_answers_are_another_lead(shop: Shop) -> None:
    """A second test has a second result."""
    first = await shop.service.submit_lead(FORM)
    second = await shop.service.submit_lead(replace(FORM, answers={"q1": "b"}))
    assert second.made
    assert second.lead_id != first.lead_id


async def test_a_crash_between_lead_and_messages_leaves_neither(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the browser's retry finds nothing and makes both."""

    def crash(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(leads, "compose", crash)
        with pytest.raises(KeyboardInterrupt):
            await shop.service.submit_lead(FORM)
    assert await shop.rows("SELECT id FROM landing_leads UNION ALL SELECT id FROM messages") == []
    assert (await shop.service.submit_lead(FORM)).made


@pytest.mark.parametrize(
    "phone",
    [
        "",
        "12345",
        "+7 700",
        "1234567890123456",
        "no number",
        "\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669\u0660",
    ],
)
async def test_a_form_without_a_number_is_refused_and_leaves_nothing(shop: Shop, phone: str) -> None:
    """Digits of other scripts are no digits to a gateway."""
    with pytest.raises(FormError, match="digits"):
        await shop.service.submit_lead(replace(FORM, phone=phone))
    assert await shop.rows("SELECT 1 FROM landing_leads") == []


@pytest.mark.parametrize("email", ["", "nobody", "@example.com", "a@", "a@b", "a b@example.com"])
def test_an_address_without_a_place_is_refused(email: str) -> None:
    """Whether anybody reads it, only a mail can tell."""
    with pytest.raises(FormError, match="address"):
        address(email)


@pytest.mark.parametrize(
    ("phone", "kept"),
    [
        ("8 700 000 00 01", "77000000001"),
        ("+7 (700) 000-00-01", "77000000001"),
        ("+49 151 00000000", "4915100000000"),
        ("+84 1234 56789", "84123456789"),
    ],
)
def test_a_number_is_kept_as_digits_with_its_country(phone: str, kept: str) -> None:
    """Eight is a way of dialling +7, unless a plus says that it is a country's own."""
    assert digits(phone) == kept
