"""Each row of "What always holds", and the tests that go red when it is broken."""

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "hub" / "web" / "docs" / "semantics.md"

# By the row's number: a file of tests, and those in it.
PROOF: dict[int, dict[str, list[str]]] = {
    1: {
        "unit/engine/test_order_of_evaluation.py": [
            "of_several_reasons_the_first_in_order_is_told",
            "out_of_scope_nothing_else_is_asked_and_no_limit_is_used_up",
            "what_is_held_back_by_quiet_hours_or_the_run_mode_uses_up_no_limit",
        ],
        "unit/engine/test_queued.py": ["the_limit_is_told_before_the_run_mode"],
        "unit/engine/test_decide.py": ["the_limit_is_asked_after_the_edge_and_says_when_it_is_free_again"],
    },
    2: {
        "unit/engine/test_identity.py": ["every_part_of_a_name_is_encoded_so_that_no_two_runs_share_one"],
        "unit/engine/test_decide.py": [
            "an_event_trigger_is_named_by_the_event",
            "an_edge_keeps_its_number_when_the_workflow_is_edited",
            "leaving_the_scope_forgets_the_edge_and_its_number_stays",
        ],
        "unit/engine/test_period_ends.py": ["every_period_has_a_name_of_its_own"],
        "unit/engine/test_schedules.py": [
            "it_fires_at_each_moment_once_under_the_moment_as_cause",
            "an_edit_at_the_very_moment_fires_not_a_second_time",
        ],
        "unit/engine/test_load.py": ["with_several_triggers_each_needs_an_id"],
    },
    3: {
        "unit/engine/test_identity.py": [
            "an_action_is_named_by_its_run_and_its_step",
            "money_is_marked_with_the_first_eighty_bits",
        ],
        "unit/engine/test_forks.py": ["items_of_items_have_identities_of_their_own"],
        "unit/engine/test_grants.py": [
            "late_deals_are_paid_and_cancelled_ones_taken_back_by_difference",
            "a_booking_in_doubt_that_did_not_happen_is_asked_for_as_another",
        ],
        "unit/engine/test_replay.py": ["every_intent_and_every_trace_has_a_name_of_its_own"],
        "conformance/test_engine_store.py": ["an_intent_that_is_there_is_left_as_it_is"],
    },
    4: {
        "conformance/test_engine_store.py": [
            "a_fault_anywhere_in_a_commit_leaves_nothing_of_it",
            "the_same_batch_again_changes_nothing",
        ],
        "unit/engine/test_loop.py": [
            "a_commit_that_fails_leaves_nothing_and_is_decided_again",
            "deciding_again_from_any_point_asks_for_nothing_twice",
        ],
        "conformance/test_engine_on_disk.py": ["a_process_that_follows_another_goes_on_where_it_stopped"],
    },
    5: {
        "unit/engine/test_schedules.py": ["moments_that_were_missed_count_as_the_file_says"],
        "unit/engine/test_period_ends.py": ["what_was_missed_is_made_up_for_as_the_file_says"],
        "unit/engine/test_waits.py": ["a_wait_that_is_over_late_says_how_late"],
        "unit/engine/test_holds.py": ["a_hold_that_is_over_late_says_how_late"],
        "conformance/test_timers.py": ["timers_that_were_due_while_nobody_ran_fire_after_the_restart"],
        "chaos/test_pending_time.py": [
            "what_is_pending_outlives_a_hub_that_is_killed_and_what_is_overdue_fires_within_two_seconds"
        ],
    },
    6: {
        "unit/engine/test_held_levels.py": [
            "a_gap_begins_it_anew_when_the_account_is_seen_again",
            "with_continue_it_counts_on",
            "a_hub_that_was_down_meanwhile_saw_nothing",
            "what_is_critical_says_what_a_gap_does",
        ],
    },
    7: {
        "unit/engine/test_decide.py": ["a_late_trade_counts_in_the_month_it_happened_in"],
        "unit/engine/test_windows.py": ["late_shuffled_and_retracted_facts_count_as_if_in_order"],
        "unit/engine/test_aggregates_oracle.py": ["whatever_the_order_it_is_worth_what_the_facts_are"],
        "unit/engine/test_aggregates_since.py": [
            "since_the_latest_event_counts_what_happened_after_it_whatever_the_order"
        ],
    },
    8: {
        "unit/engine/test_windows.py": [
            "a_period_runs_from_local_boundary_to_local_boundary",
            "periods_meet_without_gap_or_overlap",
            "late_shuffled_and_retracted_facts_count_as_if_in_order",
        ],
        "unit/engine/test_period_ends.py": [
            "each_day_fires_once_at_local_midnight_when_days_have_23_and_25_hours"
        ],
        "unit/engine/test_anchors.py": ["days_begin_by_the_clock_of_their_zone_and_not_every_24_hours"],
        "unit/engine/test_cron.py": [
            "a_time_that_does_not_exist_is_the_first_moment_that_does",
            "a_time_that_comes_twice_is_its_first_coming",
        ],
    },
    9: {
        "unit/engine/test_anchors.py": ["a_new_day_asks_every_condition_that_reads_it"],
        "unit/engine/test_prop_vectors.py": ["a_house_of_200k_is_breached_at_midnight_without_a_tick"],
        "unit/engine/test_decide.py": ["a_new_month_arms_again_at_local_midnight_even_if_nothing_happens"],
        "unit/engine/test_trailing.py": ["a_lock_that_moves_moves_the_floor_at_once"],
    },
    10: {
        "unit/engine/test_windows.py": ["a_sum_of_thirds_of_a_cent_is_exact_in_any_order"],
        "unit/engine/test_mixed_money.py": ["where_they_meet_the_file_is_refused"],
        "unit/expr/test_typing.py": ["what_means_nothing_is_refused_while_loading"],
        "unit/engine/test_load.py": [
            "of_money_in_another_currency_than_the_accounts_it_is_said_how_it_is_booked",
            "what_is_taken_back_is_not_converted_and_needs_a_scope",
        ],
        "unit/engine/test_decide.py": ["money_is_rounded_half_up_to_the_digits_of_the_account"],
        "unit/engine/test_grants.py": [
            "what_is_owed_is_rounded_half_up_to_the_digits_of_the_account",
            "without_a_rate_nothing_is_booked_and_that_is_told_once",
        ],
        "unit/engine/test_rates.py": [
            "a_step_books_what_its_amount_is_worth_in_the_currency_of_the_account",
            "without_a_rate_a_step_is_held_and_told_and_done_when_there_is_one",
            "a_rate_that_is_too_old_holds_a_step_too",
            "the_same_inputs_book_the_same_bytes_again",
            "what_is_booked_is_what_is_owed_at_the_rates_that_were_told",
        ],
        "unit/ingest/test_base_currency.py": [
            "an_amount_is_converted_at_the_rate_that_held_and_says_which",
            "without_a_rate_the_field_is_missing",
        ],
    },
    11: {
        "unit/expr/test_unknown.py": [
            "and_and_or_follow_kleene",
            "not_follows_kleene",
            "a_missing_value_makes_every_operation_unknown",
            "the_missing_paths_are_named_once_and_in_order",
        ],
        "unit/engine/test_decide.py": [
            "a_missing_field_neither_fires_nor_stops_another_rule",
            "a_missing_value_in_a_step_fails_the_run_with_its_name",
        ],
    },
    12: {
        "unit/engine/test_runs.py": ["a_run_keeps_the_version_it_began_with"],
        "unit/engine/test_waits.py": ["a_run_keeps_the_version_it_began_with_while_it_waits"],
        "unit/engine/test_approvals.py": ["a_run_and_its_question_keep_the_version_they_began_with"],
        "unit/engine/test_changeover.py": [
            "an_unchanged_aggregate_is_not_counted_again",
            "counted_later_or_from_the_start_an_aggregate_holds_the_same",
        ],
        "unit/engine/test_live_files.py": ["only_the_file_that_changed_is_read_again"],
    },
    13: {
        "unit/engine/test_undo.py": [
            "steps_are_taken_back_in_reverse_order_as_the_account_was_before_each",
            "the_same_outcome_told_twice_takes_nothing_back_twice",
            "what_cannot_be_taken_back_is_said_and_holds_up_no_other",
            "undo_is_looked_at_when_the_file_is_read",
        ],
        "unit/engine/test_forks_replay.py": [
            "a_failed_run_has_asked_to_take_back_what_was_applied_and_no_more"
        ],
    },
    14: {
        "unit/engine/test_approvals.py": [
            "four_eyes_who_asked_for_it_may_not_decide_it",
            "a_quorum_counts_people_and_not_ballots",
            "silence_means_what_the_file_says",
            "what_is_shown_is_recorded_with_its_hash",
            "a_ballot_for_something_else_does_not_count",
            "what_was_approved_is_what_is_done_whatever_has_changed",
        ],
        "unit/engine/test_approvals_oracle.py": [
            "it_is_done_once_and_only_if_enough_different_people_approved_in_time"
        ],
        "unit/engine/test_identity.py": ["what_was_approved_still_has_to_pass_its_guard"],
        "scenarios/test_approvals.py": ["two_people_approve_over_a_killed_hub"],
    },
    15: {
        "unit/engine/test_decide.py": [
            "a_workflow_is_not_started_by_its_own_effect",
            "a_chain_of_workflows_that_cause_each_other_ends",
        ],
        "unit/engine/test_refusals.py": ["a_workflow_starts_itself_only_where_it_says_so"],
    },
    16: {
        "unit/control/test_control.py": [
            "exactly_as_many_as_are_allowed_are_sent_over_all_processes",
            "tripped_it_stays_so_until_a_person_resets_it_and_then_counts_from_nothing",
            "halted_every_manager_action_is_held_and_mail_goes",
        ],
        "conformance/test_switches.py": [
            "a_workflow_that_tripped_goes_on_in_shadow_until_it_is_reset_over_restarts_too",
            "a_halt_outlives_the_process",
        ],
        "scenarios/test_halted.py": ["a_person_starts_halts_resumes_and_resets"],
        "unit/engine/test_grants_property.py": [
            "what_a_breaker_refused_is_booked_once_it_is_reset_and_everything_is_quiet",
        ],
        "conformance/test_stopped_grants.py": [
            "everybody_gets_his_gift_once_however_often_it_trips_and_the_hub_is_killed"
        ],
    },
    17: {
        "unit/engine/test_levels.py": [
            "a_glitch_never_fires_and_a_real_crossing_after_it_is_another_fact",
            "a_margin_level_of_zero_never_fires",
            "an_equity_of_zero_without_a_balance_is_believed",
        ],
        "unit/engine/test_trailing.py": ["glitches_make_no_peak_and_no_breach"],
        "unit/expr/test_unknown.py": ["a_number_that_is_not_finite_never_fires"],
    },
    18: {
        "unit/expr/test_typing.py": ["a_sampled_field_is_refused_where_no_input_brings_it"],
        "unit/engine/test_load.py": ["a_broken_file_is_refused_with_its_place_and_the_fix"],
        "unit/engine/test_checks.py": [
            "a_condition_is_asked_on_what_was_just_read",
            "what_was_known_of_a_field_that_is_read_anew_does_not_count",
            "conditions_are_looked_at_when_the_file_is_read",
        ],
        "conformance/test_manager_backend.py": [
            "a_fresh_look_tells_how_the_account_stands_and_a_guard_is_asked_on_it"
        ],
    },
    19: {
        "unit/engine/test_requests.py": [
            "a_request_carries_names_of_secrets_and_no_secret",
            "data_that_looks_like_a_secret_does_not_become_one",
            "requests_that_make_no_sense_are_refused",
        ],
        "unit/test_secrets.py": ["a_secret_that_is_not_set_is_named_with_its_place"],
    },
    20: {
        "unit/engine/test_decide.py": ["replayed_history_counts_and_fires_only_where_it_may"],
        "unit/engine/test_load.py": ["a_backfill_moves_money_that_was_earned_and_writes_to_nobody"],
    },
    21: {
        "unit/engine/test_requests.py": ["in_shadow_nobody_is_asked_and_the_sample_answers"],
        "unit/engine/test_approvals.py": ["in_shadow_nobody_is_asked_and_it_is_assumed"],
        "unit/engine/test_assumed.py": ["later_steps_see_what_would_have_been_done_over_a_restart"],
        "unit/engine/test_rehearsal.py": [
            "an_assumed_effect_is_seen_by_what_follows",
            "people_say_what_they_are_assumed_to_say",
        ],
        "unit/engine/test_decide.py": ["shadow_decides_everything_and_sends_nothing"],
    },
    22: {
        "unit/engine/test_decide.py": [
            "a_sliding_window_that_lets_go_re_arms_by_its_timer",
            "letting_go_can_fire_a_condition_that_waits_for_less",
            "an_aggregate_no_condition_reads_has_no_timer",
        ],
    },
    23: {
        "unit/engine/test_rows.py": [
            "a_condition_over_the_open_positions_turns_with_them",
            "the_exposure_of_a_client_is_that_of_all_his_accounts",
            "every_key_knows_what_stands_whatever_happened_and_whatever_was_edited_or_killed",
        ],
    },
    24: {
        "unit/engine/test_waits.py": [
            "an_event_that_came_while_the_run_was_busy_counts_since_its_start",
            "an_event_that_came_early_answers_one_wait",
        ],
        "unit/engine/test_remembering.py": [
            "an_event_counts_that_came_between_what_started_the_run_and_the_run",
            "an_event_from_before_what_started_the_run_does_not_count",
            "what_is_remembered_outlives_a_restart",
            "every_run_is_answered_by_the_first_that_came_since_its_trigger",
        ],
    },
}  # fmt: skip


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    found = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in found)


def test_each_row_of_the_page_is_held_by_tests() -> None:
    rows = [
        int(number) for number in re.findall(r"^\| (\d+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    ]

    assert rows == sorted(PROOF) == list(range(1, len(rows) + 1))
    assert all(names for files in PROOF.values() for names in files.values())


def test_every_test_a_row_names_is_there() -> None:
    named = [
        (file, f"test_{name}") for files in PROOF.values() for file, names in files.items() for name in names
    ]

    assert [(file, name) for file, name in named if name not in names_in(file)] == []
