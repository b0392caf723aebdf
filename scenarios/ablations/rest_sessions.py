"""The guards of a deal's payments, taken away one at a time: one claim, one session."""

from __future__ import annotations

from reference import policies_rest
from reference.flows import (
    rest_claims,
    rest_offer,
    rest_sessions,
)
from reference.model import Topic
from reference.ports import AmbiguousError, KeyConflictError, RefusedError
from reference.storage import transactions
from scenarios.ablations import rest_money
from scenarios.ablations.ablation import Ablation
from scenarios.ablations.instead import each_statement_alone, nothing, plain_insert
from scenarios.ablations.rest_instead import (
    ANY_LEASE,
    CLAIM,
    always_a_new_claim,
    another_body,
    another_key,
    any_attempt,
    as_it_was,
    ask_once,
    handled_by,
    mortal,
    unchecked,
    without,
)
from scenarios.flows import rest_answers as answers
from scenarios.flows import rest_sessions as flows

_ONE_SESSION = (
    # One claim --------------------------------------------------------------------------------------------------------
    Ablation(
        name="live_claim_key",
        guard="one live claim of a deal and kind: a partial unique index, behind the look for the last claim under the lock",
        where="reference/storage/schema_rest.py:uq_session_claims_live",
        scenario=flows.offered_at_once,
        claim="one_rest_session_per_deal",
        keys=["uq_session_claims_live"],
        changes=[(rest_claims, "last", always_a_new_claim)],
        alone=False,
    ),
    Ablation(
        name="generation_key",
        guard="the primary key of claims and (deal, kind, generation), behind the look for the last claim: the same generation again",
        where="reference/flows/rest_claims.py:claim_next",
        scenario=flows.offered_at_once,
        claim="one_rest_session_per_deal",
        keys=[
            "uq_session_claims_live",
            "uq_session_claims_deal_id_kind_generation",
            "pk_session_claims",
            "uq_session_claims_idempotency_key",
        ],
        changes=[
            (rest_claims, "last", nothing()),
            (rest_claims, "insert_once", plain_insert("session_claims")),
        ],
        alone=False,
    ),
    Ablation(
        name="claim_with_its_job",
        guard="the job that comes back to a claim is born with it",
        where="reference/flows/rest_claims.py:claim_next",
        scenario=flows.offered_at_once,
        claim="no_claim_without_due_job",
        changes=without(Topic.REST_SESSION),
    ),
    Ablation(
        name="claim_in_one_transaction",
        guard="claim and job are one transaction",
        where="reference/flows/rest_offer.py:_claim",
        scenario=flows.offered_at_once,
        claim="no_claim_without_due_job",
        changes=[(transactions, "_once", each_statement_alone("_claim.<locals>.write"))],
    ),
    Ablation(
        name="claim_job_never_dies",
        guard="the job of a claim is never given up",
        where="reference/policies.py:REST_SESSION",
        scenario=answers.stripe_is_away_for_a_day,
        claim="no_claim_without_due_job",
        changes=mortal(Topic.REST_SESSION),
    ),
    Ablation(
        name="claim_job_is_done",
        guard="the job of a claim is done when the claim has its session, and makes its request again until then",
        where="reference/flows/rest_jobs.py:create",
        scenario=flows.offered_at_once,
        claim="no_claim_without_due_job",
        changes=handled_by(Topic.REST_SESSION, nothing()),
    ),
    # One session ------------------------------------------------------------------------------------------------------
    Ablation(
        name="one_key_per_claim",
        guard="every attempt for a claim carries the claim's key",
        where="reference/flows/rest_offer.py:_create",
        scenario=flows.offered_at_once,
        claim="one_page_at_a_time",
        changes=[(rest_offer, "_create", another_key)],
    ),
    Ablation(
        name="frozen_body",
        guard="every attempt for a claim sends the bytes that were frozen",
        where="reference/flows/rest_offer.py:_create",
        scenario=flows.offered_at_once,
        claim="no_key_comes_with_another_body",
        changes=[(rest_offer, "_create", another_body)],
    ),
    Ablation(
        name="body_hash",
        guard="a body that is not the frozen one is not sent",
        where="reference/flows/rest_offer.py:_create",
        scenario=answers.edited_by_hand,
        claim="no_key_comes_with_another_body",
        changes=[(rest_offer, "_create", unchecked)],
    ),
    Ablation(
        name="conflict_closes_nothing",
        guard="a key that is known with another body is no refusal: the claim stays",
        where="reference/flows/rest_offer.py:_attempt",
        scenario=answers.edited_by_hand,
        claim="one_page_at_a_time",
        changes=[(rest_offer, "RefusedError", (RefusedError, KeyConflictError))],
    ),
    Ablation(
        name="silence_closes_nothing",
        guard="no answer is no refusal: the claim stays",
        where="reference/flows/rest_offer.py:_attempt",
        scenario=flows.offered_at_once,
        claim="what_is_owed_can_be_paid",
        changes=[(rest_offer, "RefusedError", (RefusedError, AmbiguousError))],
    ),
    Ablation(
        name="generation_in_the_key",
        guard="each generation has a key of its own, and the table refuses a key twice",
        where="reference/policies_rest.py:idempotency_key",
        scenario=flows.the_day_after,
        claim="no_key_comes_with_another_body",
        keys=["uq_session_claims_idempotency_key"],
        changes=[(policies_rest, "idempotency_key", lambda claim: claim.rpartition(":")[0])],
        alone=False,
    ),
    Ablation(
        name="lease_of_a_claim",
        guard="one worker at a time makes a claim's request",
        where="reference/flows/rest_claims.py:_TAKE",
        scenario=flows.a_slow_creation,
        claim="nobody_is_told_that_a_key_is_in_use",
        changes=[(rest_claims, "_TAKE", ANY_LEASE)],
    ),
    Ablation(
        name="lease_outlasts_a_call",
        guard="the lease of a claim is longer than a call may take",
        where="reference/policies_rest.py:CLAIM_LEASE_S",
        scenario=flows.a_slow_creation,
        claim="nobody_is_told_that_a_key_is_in_use",
        changes=[(policies_rest, "CLAIM_LEASE_S", 10)],
    ),
    Ablation(
        name="fence_of_a_claim",
        guard="an attempt that was overtaken closes nothing",
        where="reference/flows/rest_claims.py:_attempt_of",
        scenario=flows.told_no_too_late,
        claim="one_page_at_a_time",
        changes=[(rest_claims, "_attempt_of", any_attempt)],
    ),
    Ablation(
        name="claim_is_read_again",
        guard="what is known of a claim is read again under the lock: an event may have been quicker",
        where="reference/flows/rest_sessions.py:_reread",
        scenario=answers.quicker_than_the_answer,
        claim="no_unexpected_error",
        raises="got another name while its deal was locked",
        changes=[(rest_sessions, "_reread", as_it_was)],
    ),
    Ablation(
        name="named_once",
        guard="a claim is given a session when it has none, behind the look under the lock",
        where="reference/flows/rest_sessions.py:_NAME",
        scenario=answers.quicker_than_the_answer,
        claim="no_unexpected_error",
        raises="ck_session_claims_received",
        changes=[(rest_sessions, "_reread", as_it_was), (rest_sessions, "_NAME", CLAIM)],
        alone=False,
    ),
    Ablation(
        name="late_page_is_withdrawn",
        guard="a page that comes to a closed claim, or is older than a settlement, is taken away",
        where="reference/flows/rest_claims.py:ask_to_withdraw_one",
        scenario=flows.one_was_asleep,
        claim="money_has_its_place",
        changes=[(rest_claims, "ask_to_withdraw_one", nothing())],
    ),
    Ablation(
        name="withdrawal_is_done",
        guard="a withdrawal goes on until nobody can pay on the page",
        where="reference/flows/rest_jobs.py:withdraw",
        scenario=flows.the_deal_is_lost,
        claim="nothing_is_asked_for_twice",
        changes=handled_by(Topic.REST_WITHDRAWAL, ask_once),
    ),
    Ablation(
        name="a_stranger_is_closed",
        guard="a session with our reference that is not the claim's is closed, and its money owed back",
        where="reference/flows/rest_sessions.py:_stranger",
        scenario=answers.a_copy_of_the_page,
        claim="money_has_its_place",
        changes=[(rest_sessions, "_stranger", nothing())],
    ),
)

ABLATIONS = (*_ONE_SESSION, *rest_money.ABLATIONS)
