"""The scenarios of a deal's payments hold; `scenarios.ablations.rest_sessions` shows what each of them would notice."""

from __future__ import annotations

from scenarios.flows import rest_answers, rest_sessions

test_offered_at_once = rest_sessions.offered_at_once
test_a_slow_creation = rest_sessions.a_slow_creation
test_one_was_asleep = rest_sessions.one_was_asleep
test_told_no_too_late = rest_sessions.told_no_too_late
test_the_day_after = rest_sessions.the_day_after
test_paid_by_card = rest_sessions.paid_by_card
test_paid_by_bank = rest_sessions.paid_by_bank
test_the_wrong_amount = rest_sessions.the_wrong_amount
test_the_crm_changes_its_mind = rest_sessions.the_crm_changes_its_mind
test_the_crm_dies = rest_sessions.the_crm_dies
test_the_deal_is_lost = rest_sessions.the_deal_is_lost
test_a_new_deal = rest_sessions.a_new_deal
test_reminded = rest_sessions.reminded
test_several_deals = rest_sessions.several_deals
test_late_money_and_an_offer = rest_sessions.late_money_and_an_offer
test_stripe_is_away_for_a_day = rest_answers.stripe_is_away_for_a_day
test_a_kept_error = rest_answers.a_kept_error
test_found_by_the_list = rest_answers.found_by_the_list
test_the_list_is_refused = rest_answers.the_list_is_refused
test_quicker_than_the_answer = rest_answers.quicker_than_the_answer
test_refused_for_good = rest_answers.refused_for_good
test_refused_at_the_last_moment = rest_answers.refused_at_the_last_moment
test_a_copy_of_the_page = rest_answers.a_copy_of_the_page
test_edited_by_hand = rest_answers.edited_by_hand
test_a_forged_event = rest_answers.a_forged_event
test_only_an_event = rest_answers.only_an_event
test_nobody_hears = rest_answers.nobody_hears
