"""Tickets: the scenarios that ablations run hold as they stand. Ablations look at five times as many executions of each."""

from __future__ import annotations

from collections.abc import Callable

from scenarios.flows import tickets, tickets_terms
from simulator import simulate, specification_of


def briefly(scenario: Callable[..., None], *, executions: int = 20) -> Callable[..., None]:
    """The same scenario with the same claims, for a suite that is run often."""
    wanted = specification_of(scenario)
    return simulate(
        schema=wanted.schema,
        always=wanted.claims.always,
        eventually=wanted.claims.eventually,
        sometimes=wanted.claims.sometimes,
        executions=min(executions, wanted.executions or executions),
    )(wanted.scenario)


test_everybody_awards = briefly(tickets.everybody_awards)
test_somebody_dies_awarding = briefly(tickets.somebody_dies_awarding)
test_paid_and_awarded = briefly(tickets.paid_and_awarded)
test_two_first_payments = briefly(tickets.two_first_payments)
test_they_invited_each_other = briefly(tickets.they_invited_each_other)
test_the_contest_closes = briefly(tickets.the_contest_closes)
test_the_order_comes_late = briefly(tickets.the_order_comes_late)
test_a_contest_is_opened_late = briefly(tickets.a_contest_is_opened_late)
test_two_open_a_contest = briefly(tickets.two_open_a_contest)
test_money_goes_back = briefly(tickets.money_goes_back)
test_given_back_before_it_is_decided = briefly(tickets.given_back_before_it_is_decided)
test_somebody_dies_taking_back = briefly(tickets.somebody_dies_taking_back)
test_imported_money_goes_back = briefly(tickets.imported_money_goes_back)
test_two_links = briefly(tickets_terms.two_links)
test_two_strangers_invite_each_other = briefly(tickets_terms.two_strangers_invite_each_other)
test_terms_and_dates = briefly(tickets_terms.terms_and_dates)
test_who_is_a_friend = briefly(tickets_terms.who_is_a_friend)
test_an_operator_awards = briefly(tickets_terms.an_operator_awards)
test_somebody_invited_themselves = briefly(tickets_terms.somebody_invited_themselves)
test_terms_that_cannot_be = briefly(tickets_terms.terms_that_cannot_be)
test_a_day_of_the_contest = briefly(tickets.a_day_of_the_contest, executions=30)


def test_every_scenario_is_a_test() -> None:
    """One that is forgotten here would have to hold for nobody."""
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}

    assert {scenario.__name__ for scenario in (*tickets.ALL_OF_THEM, *tickets_terms.ALL_OF_THEM)} <= tested
