//! End to end: the real daemons and real Docker Engines on hosts made of namespaces, driven through
//! `clusterctl` as a person would, and broken as machines do. Names carry the numbers of the faults and attacks they make happen.
//!
//! The tests share one cluster and run in this order; each finds it whole and leaves it whole. `E2E=1 cargo
//! test -p tests --test e2e` runs all, with a filter some; without `E2E=1` they are reported as ignored.
//! `KEEP_LAB=1` leaves the lab up for a look. Start with `cluster.rs`.

mod basics;
mod carriers;
mod cluster;
mod daemons;
mod engines;
mod hooks;
mod hosts;
mod http;
mod ingress;
mod joining;
mod look;
mod mesh;
mod networks;
mod ordering;
mod projects;
mod quiet;
mod refusals;
mod rollouts;
mod running;
mod secrets;
mod stacks;
mod standins;
mod trust;
mod volumes;
mod waiting;
mod wire;

use cluster::Shared;
use lab::harness::{Trial, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let shared = Shared::default();
    let mut trials = calm(&shared);
    trials.extend(stormy(&shared));
    trials.push(shared.test("down_leaves_no_containers", basics::down_leaves_no_containers));
    trials.push(shared.test("attack_19_logs_hold_no_secret", quiet::no_secrets));
    trials.push(shared.test("logs_hold_no_error_and_no_panic", quiet::no_errors));
    trials.push(shared.end("the_lab_is_removed"));
    let alone = engines::fault_18_engine_restarted_under_living_containers;
    trials.push(Trial::lab("fault_18_engine_restarted_under_living_containers", alone));
    trials.push(Trial::lab("hosts_apart_reach_each_other", carriers::hosts_apart_reach_each_other));
    trials.push(Trial::lab("the_introduction_runs", stacks::the_introduction_runs));
    // The cluster lives as long as a test that may use it.
    drop(shared);
    run(trials)
}

/// Use, misuse and looking: nothing is broken.
fn calm(shared: &Shared) -> Vec<Trial> {
    vec![
        shared.test("the_example_deploys", basics::the_example_deploys),
        shared.test("scale_up_and_down", basics::scale_up_and_down),
        shared.test(
            "a_deploy_resets_the_scale_and_says_so",
            basics::a_deploy_resets_the_scale_and_says_so,
        ),
        shared.test("listings_are_sane_and_their_json_parses", basics::listings),
        shared.test("logs_are_merged_and_followed", basics::logs_are_merged_and_followed),
        shared.test("exec_runs_inside", basics::exec_runs_inside),
        shared.test("run_gives_output_and_exit_code", running::run_gives_output_and_exit_code),
        shared.test("run_talks_to_who_runs_it", running::run_talks_to_who_runs_it),
        shared.test("logs_are_calm", quiet::calm_logs),
        shared.test("a_release_drops_no_request", basics::a_release_drops_no_request),
        shared.test("fault_32_a_bad_release_goes_back", rollouts::a_bad_release_goes_back),
        shared.test("image_missing_is_refused", refusals::image_missing),
        shared.test("attack_13_host_access_is_refused", refusals::attack_13_host_access),
        shared
            .test("fault_34_published_ports_have_one_service", refusals::fault_34_published_ports),
        shared.test("unknown_keys_are_refused", refusals::unknown_keys),
        shared.test("attack_11_unfolding_file_is_refused", refusals::attack_11_unfolding_file),
        shared.test("attack_26_two_admins_racing", refusals::attack_26_two_admins),
        shared.test("attack_16_oversized_messages", refusals::attack_16_oversized),
        shared.test("no_room_has_a_reason", waiting::no_room),
        shared.test("services_start_in_order", ordering::services_start_in_order),
        shared.test("what_is_built_runs_everywhere", stacks::what_is_built_runs_everywhere),
        shared.test("project_wordpress", projects::wordpress),
        shared.test("project_python_with_a_worker", projects::python_with_a_worker),
        shared.test("project_monitoring", projects::monitoring),
        shared.test("project_message_queue", projects::message_queue),
        shared.test("project_of_several_files", projects::several_files),
        shared.test("names_reach_across_hosts", mesh::names_reach_across_hosts),
        shared.test("packets_between_hosts_are_sealed", carriers::packets_between_hosts_are_sealed),
        shared.test("attack_22_networks_are_apart", mesh::attack_22_networks_are_apart),
        shared.test("networks_of_a_project_are_apart", networks::networks_of_a_project_are_apart),
        shared.test("a_job_completes", ordering::a_job_completes),
        shared.test("commands_around_a_container", hooks::commands_around_a_container),
        shared.test("constraints_follow_labels", waiting::constraints_follow_labels),
        shared.test("fault_32_crash_loop_backs_off", waiting::fault_32_crash_loop),
        shared.test("host_ports_spread_and_wait", waiting::host_ports),
        shared.test(
            "attack_19_secrets_reach_containers_only",
            secrets::secrets_reach_containers_only,
        ),
        shared.test("drain_and_activate", waiting::drain_and_activate),
        shared.test("pause_keeps_what_runs", waiting::pause_keeps_what_runs),
        shared.test("global_services_and_binds", waiting::global_services_and_binds),
        shared.test("requests_find_their_service", http::requests_find_their_service),
        shared.test("datagrams_reach_their_service", ingress::datagrams_reach_their_service),
        shared.test("certificates_come_from_secrets", ingress::certificates_come_from_secrets),
        shared.test("the_unhealthy_are_replaced", waiting::the_unhealthy_are_replaced),
        shared.test("fault_34_foreign_process_on_a_port", waiting::fault_34_foreign_process),
        shared
            .test("attack_19_environment_and_metrics_stay_inside", quiet::environment_and_metrics),
        shared.test(
            "attack_02_no_or_foreign_certificate",
            trust::attack_02_no_or_foreign_certificate,
        ),
        shared.test("attack_08_join_flood", trust::attack_08_join_flood),
        shared.test("attack_18_half_open_connections", trust::attack_18_half_open_connections),
        shared.test("contexts_reach_the_cluster", trust::contexts_reach_the_cluster),
        shared.test("attack_05_06_wrong_tokens", joining::attack_05_wrong_tokens),
        shared.test("names_in_use_are_refused", joining::names_in_use),
        shared.test(
            "attack_01_03_04_worker_certificate_then_removed",
            trust::attack_01_worker_certificate,
        ),
        shared.test("a_fourth_manager_joins_and_leaves", joining::a_fourth_manager),
    ]
}

/// Everything that breaks.
fn stormy(shared: &Shared) -> Vec<Trial> {
    vec![
        shared.test("fault_20_removed_by_hand", waiting::fault_20_removed_by_hand),
        shared.test("fault_01_kill_9_leader", daemons::fault_01_kill_9_leader),
        shared.test("fault_02_kill_9_follower", daemons::fault_02_kill_9_follower),
        shared.test("an_edge_comes_back", daemons::an_edge_comes_back),
        shared.test("an_edge_serves_without_a_daemon", daemons::an_edge_starts_without_a_daemon),
        shared.test("fault_17_upgrade_moves_nothing", daemons::fault_17_upgrade),
        shared.test("fault_05_all_daemons_at_once", daemons::fault_05_all_daemons_at_once),
        shared.test("fault_03_two_of_three_dead", daemons::fault_03_two_of_three_dead),
        shared.test("fault_10_leader_frozen", daemons::fault_10_leader_frozen),
        shared.test("attack_09_expired_certificate", trust::attack_09_expired_certificate),
        shared.test("a_short_cut_moves_nothing", hosts::a_short_cut_moves_nothing),
        shared.test("fault_11_flapping_link", hosts::fault_11_flapping_link),
        shared.test("fault_13_14_15_follower_host_cut", hosts::fault_13_follower_host_cut),
        shared.test("fault_06_leader_host_cut", hosts::fault_06_leader_host_cut),
        shared.test("order_survives_the_leader", ordering::order_survives_the_leader),
        shared.test(
            "fault_31_a_rollout_survives_the_leader",
            rollouts::a_rollout_survives_the_leader,
        ),
        shared.test("a_group_moves_together", ordering::a_group_moves_together),
        shared.test("pre_start_is_run_once", hooks::pre_start_is_run_once),
        shared.test("fault_07_deaf_leader", hosts::fault_07_deaf_leader),
        shared
            .test("fault_08_broken_link_moves_nothing", hosts::fault_08_broken_link_moves_nothing),
        shared.test("fault_13_power_loss", hosts::fault_13_power_loss),
        shared.test(
            "fault_14_volume_waits_for_its_home",
            volumes::fault_14_volume_waits_for_its_home,
        ),
        shared.test("names_follow_a_lost_host", mesh::names_follow_a_lost_host),
        shared.test("connections_outlive_daemons", carriers::connections_outlive_daemons),
        shared.test("a_host_that_moves_is_followed", carriers::a_host_that_moves_is_followed),
        shared.test("a_cut_leaves_no_scar", carriers::a_cut_leaves_no_scar),
        shared.test("rules_are_repaired", mesh::rules_are_repaired),
        shared.test("fault_18_engine_restarted", engines::fault_18_engine_restarted),
        shared.test("fault_19_engine_hangs", engines::fault_19_engine_hangs),
        shared.test("fault_29_quorum_is_guarded", joining::quorum_is_guarded),
        shared.test("fault_29_wiped_manager_is_replaced", joining::fault_29_wiped_manager),
        shared.test("fault_24_damaged_log_is_replaced", joining::fault_24_damaged_log),
        shared.test("fault_05_all_hosts_power_cycled", daemons::fault_05_all_hosts_power_cycled),
    ]
}
