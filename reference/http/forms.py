"""The forms of what is sent to us. Numbers fit the database's columns, text holds nothing that a database or a log chokes on."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from reference.model import Provider
from reference.model_messages import Form
from reference.model_rest import DealStatus, DealUpdate

_ID_MAX = 2**53 - 1  # what JSON carries without rounding
_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"
_PHONE = r"^[+( ]{0,3}([0-9][ ().\-]{0,3}){10,15}$"
_EMAIL = r"^[^@\x00-\x20\x7f-\xa0]+@[^@\x00-\x20\x7f-\xa0]+\.[^@\x00-\x20\x7f-\xa0]+$"
_YEAR_10000 = 253_402_300_800

UserId = Annotated[int, Field(ge=1, le=_ID_MAX, strict=True)]
DealId = Annotated[int, Field(ge=1, le=_ID_MAX)]
Line = Annotated[str, Field(min_length=1, max_length=200, pattern=_PRINTABLE)]
IdempotencyKey = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
PageSize = Annotated[int, Field(ge=1, le=500)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Lead(_Form):
    """What a visitor filled in at the end of the test."""

    name: Line
    phone: Annotated[
        str,
        Field(
            max_length=40,
            pattern=_PHONE,
            description="Any spelling, with its country; ten to fifteen digits.",
        ),
    ]
    email: Annotated[str, Field(max_length=254, pattern=_EMAIL)]
    answers: Annotated[
        dict[Annotated[str, Field(max_length=200)], JsonValue],
        Field(max_length=200, description="Question by question."),
    ]

    def value(self) -> Form:
        """In the reference's words."""
        return Form(name=self.name, phone=self.phone, email=self.email, answers=self.answers)


class Purchase(_Form):
    """What a buyer wants."""

    user_id: Annotated[UserId, Field(description="Telegram's.")]
    tariff_id: Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]
    provider: Provider


class Deal(_Form):
    """The CRM's word on a deal."""

    id: Annotated[int, Field(ge=1, le=_ID_MAX, strict=True)]
    title: Line
    status: DealStatus
    user_id: UserId
    amount_minor: Annotated[
        int, Field(ge=1, le=10**12, strict=True, description="In the currency's smallest unit.")
    ]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    close_date: Annotated[int, Field(ge=0, lt=_YEAR_10000, strict=True, description="Unix seconds.")]
    version: Annotated[int, Field(ge=0, le=_ID_MAX, strict=True, description="Grows with each change.")]

    def value(self) -> DealUpdate:
        """In the reference's words."""
        return DealUpdate(**self.model_dump())


class Operator(_Form):
    """Who presses the button; goes on record."""

    operator: Line


class LetterToRetry(_Form):
    """Which dead letter, and who presses the button."""

    key: Annotated[str, Field(min_length=1, max_length=500, pattern=_PRINTABLE)]
    operator: Line


class YooKassaNotification(BaseModel):
    """YooKassa's notification. Only what it is about is read, and whatever it is, it is kept."""

    type: str = "notification"
    event: Annotated[str, Field(examples=["payment.succeeded", "refund.succeeded"])]
    object: Annotated[dict[str, JsonValue], Field(examples=[{"id": "22e12f66-000f-5000-8000-18db351245c7"}])]


class PlategaCallback(BaseModel):
    """Platega's callback. Only what it is about is read, and whatever it is, it is kept."""

    id: str
    status: Annotated[str, Field(examples=["CONFIRMED", "CANCELED", "CHARGEBACKED"])]
    amount: float
    currency: str


class StripeEvent(BaseModel):
    """Stripe's snapshot event. Only what it is about is read, and what is about a Checkout Session is kept."""

    id: str
    type: Annotated[str, Field(examples=["checkout.session.completed"])]
    data: Annotated[dict[str, JsonValue], Field(examples=[{"object": {"id": "cs_test_1"}}])]


class MobizonReport(BaseModel):
    """Mobizon's delivery report."""

    eventId: int  # noqa: N815 - theirs
    eventType: Annotated[str, Field(examples=["sms-delivery-report"])]  # noqa: N815
    eventCreateTs: str  # noqa: N815
    attempt: int
    data: Annotated[dict[str, JsonValue], Field(examples=[{"messageId": "1", "status": "DELIVRD"}])]
    sign: str
