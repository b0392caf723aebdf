"""Stripe's idempotency layer: what is kept under a key, what is not, for how long, and what a conflict is called."""

from __future__ import annotations

import pytest

from scenarios.services.stripe import Stripe
from tests.services.caller import DAY, HOUR, Caller, Now, work
from tests.services.test_stripe import REST, SESSIONS, create

KEYED = {"idempotency-key": "rest:1680:g1"}


@pytest.fixture
def stripe(now: Now) -> Stripe:
    """An account."""
    return Stripe(now)


@pytest.fixture
def caller(stripe: Stripe) -> Caller:
    """Its owner's backend."""
    return Caller(stripe, authorization="Bearer sk_test_1")


def test_a_key_gives_the_first_answer_again(caller: Caller, stripe: Stripe) -> None:
    """Byte for byte, marked as a replay, and without a second session."""
    first = caller.post(SESSIONS, form=REST, headers=KEYED)
    again = caller.post(SESSIONS, form=REST, headers=KEYED)

    assert (again.status, again.body, len(stripe.sessions.all)) == (200, first.body, 1)
    assert "idempotent-replayed" not in first.headers
    assert (again.headers["idempotent-replayed"], again.headers["original-request"]) == ("true", "req_1")


def test_a_replay_shows_the_session_as_it_was(caller: Caller, stripe: Stripe) -> None:
    """Open, although it has been paid since: the answer is kept, not the object."""
    session = caller.post(SESSIONS, form=REST, headers=KEYED).body
    stripe.sessions.pay(session["id"])

    assert caller.post(SESSIONS, form=REST, headers=KEYED).body["status"] == "open"


def test_a_key_with_other_parameters_is_refused(caller: Caller) -> None:
    """In the words that Stripe uses."""
    caller.post(SESSIONS, form=REST, headers=KEYED)

    reply = caller.post(SESSIONS, form=REST | {"metadata[deal_id]": "1681"}, headers=KEYED)

    assert (reply.status, reply.body["error"]["type"]) == (400, "idempotency_error")
    assert (
        "same parameters they were first used with. Try using a key other than 'rest:1680:g1'"
        in (reply.body["error"]["message"])
    )


def test_a_key_at_another_endpoint_is_refused(caller: Caller) -> None:
    """Both paths are in the message."""
    caller.post(SESSIONS, form=REST, headers=KEYED)

    reply = caller.post(f"{SESSIONS}/cs_test_1/expire", headers=KEYED)

    assert (reply.status, reply.body["error"]["type"]) == (400, "idempotency_error")
    assert (
        "('/v1/checkout/sessions/cs_test_1/expire' vs '/v1/checkout/sessions')"
        in reply.body["error"]["message"]
    )


def test_a_key_at_work_is_a_conflict_that_is_not_kept(now: Now) -> None:
    """409 while the first request runs, the replay afterwards."""
    stripe = Stripe(now, work=work)
    caller = Caller(stripe, authorization="Bearer sk_test_1")
    first = caller.begin("POST", SESSIONS, form=REST, headers=KEYED)

    conflict = caller.post(SESSIONS, form=REST, headers=KEYED)
    made = first.end()
    again = caller.post(SESSIONS, form=REST, headers=KEYED)

    assert (conflict.status, conflict.body["error"]["code"]) == (409, "idempotency_key_in_use")
    assert (again.body, len(stripe.sessions.all)) == (made.body, 1)


@pytest.mark.parametrize(("applied", "sessions"), [(True, 1), (False, 0)])
def test_a_500_is_kept_whether_or_not_it_had_an_effect(
    caller: Caller, stripe: Stripe, applied: bool, sessions: int
) -> None:
    """The key answers 500 for a day; who wants to know asks for our own id in the metadata."""
    stripe.fail_next(applied=applied)

    first = caller.post(SESSIONS, form=REST, headers=KEYED)
    again = caller.post(SESSIONS, form=REST, headers=KEYED)

    assert (first.status, again.status, again.headers["idempotent-replayed"]) == (500, 500, "true")
    assert len(stripe.sessions.all) == sessions


def test_an_error_of_the_endpoint_is_kept_too(caller: Caller, stripe: Stripe) -> None:
    """The second answer is the first one's, although by now it would be another."""
    create(caller)
    stripe.sessions.pay("cs_test_1")
    refund = {"payment_intent": "pi_1", "amount": "999999"}
    first = caller.post("/v1/refunds", form=refund, headers=KEYED)

    assert first.status == 400
    assert caller.post("/v1/refunds", form=refund, headers=KEYED).headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("wrong", [{"deal_id": "1"}, {"expires_at": "1"}, {"mode": ""}])
def test_what_is_refused_before_the_work_begins_is_not_kept(caller: Caller, wrong: dict[str, str]) -> None:
    """The corrected request may use the same key."""
    assert caller.post(SESSIONS, form=REST | wrong, headers=KEYED).status == 400

    assert caller.post(SESSIONS, form=REST, headers=KEYED).status == 200


def test_401_and_429_come_before_the_idempotency_layer(now: Now) -> None:
    """Neither is kept under the key."""
    stripe = Stripe(now, requests_per_s=1)
    caller = Caller(stripe, authorization="Bearer sk_test_1")

    statuses = [Caller(stripe).post(SESSIONS, form=REST, headers=KEYED).status]
    statuses.append(caller.post(SESSIONS, form=REST, headers=KEYED).status)
    now.s += 1
    statuses.append(caller.post(SESSIONS, form=REST, headers=KEYED).status)

    assert statuses == [401, 429, 200]


@pytest.mark.parametrize(("after_s", "sessions"), [(DAY - 1, 1), (DAY, 2)])
def test_a_key_that_was_pruned_is_a_new_request(
    caller: Caller, stripe: Stripe, now: Now, after_s: float, sessions: int
) -> None:
    """After a day, which is the least that Stripe promises."""
    caller.post(SESSIONS, form=REST, headers=KEYED)
    now.s += after_s
    caller.post(SESSIONS, form=REST, headers=KEYED)

    assert len(stripe.sessions.all) == sessions


def test_a_key_is_kept_for_a_day_at_least(now: Now) -> None:
    """A shorter memory would be no Stripe."""
    with pytest.raises(ValueError, match="24 hours at least"):
        Stripe(now, keeps_keys_s=HOUR)


@pytest.mark.parametrize(("length", "status"), [(255, 200), (256, 400)])
def test_a_key_has_255_characters_at_most(caller: Caller, length: int, status: int) -> None:
    """One more is refused."""
    assert caller.post(SESSIONS, form=REST, headers={"idempotency-key": "k" * length}).status == status


def test_get_ignores_a_key(caller: Caller) -> None:
    """It is not even kept."""
    caller.get(SESSIONS, headers=KEYED)

    assert caller.post(SESSIONS, form=REST, headers=KEYED).status == 200
