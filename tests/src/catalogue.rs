// SPDX-License-Identifier: MIT OR GPL-2.0

//! The list of scenarios. Each stands in `scenarios/`, in the file of its group.

use crate::scenario::Scenario;

/// Calls the macro `$with` with the names of all scenarios, group by group:
/// `group: "its title" { name; … }`.
///
/// The table has them in this order. The `guest` tests make a test of each, and the `guest_backed`
/// tests one of each in the group `backed`, which needs a disk.
#[macro_export]
macro_rules! catalogue {
    ($with:ident) => {
        $with! {
            lazy: "pages on demand" {
                mapping_allocates_nothing;
                touching_allocates_exactly_the_touched_pages;
                touching_resident_pages_allocates_nothing;
                reading_a_private_mapping_allocates_the_page;
                a_page_is_zero_when_first_seen;
                a_page_has_nothing_of_another;
                write_allocates_the_pages_it_writes;
                reading_a_hole_allocates_nothing;
                pages_outlive_the_mapping;
                pagemap_tells_what_was_written_since;
                populate_makes_every_page_resident_at_once;
                populating_a_private_mapping_copies_every_page;
                a_locked_mapping_is_resident_at_once;
                mlock_makes_pages_resident;
            }
            sharing: "shared mappings" {
                two_mappings_are_the_same_memory;
                a_mapping_with_an_offset_is_the_same_memory;
                writes_cross_fork_in_both_directions;
                a_child_that_maps_for_itself_shares_too;
                a_separate_program_sees_and_makes_writes;
                writes_are_kept_when_everything_is_closed;
                a_childs_writes_are_kept_after_its_death;
                pages_are_kept_while_others_allocate;
                a_mapping_outlives_its_descriptor;
            }
            cow: "copy on write" {
                private_write_is_invisible_to_the_pool;
                private_write_is_invisible_to_other_processes;
                an_unwritten_private_page_follows_the_pool;
                an_unread_private_page_follows_the_pool;
                a_written_private_page_stops_following;
                copying_goes_page_by_page;
                a_page_that_was_read_is_copied_when_written;
                the_copy_keeps_the_rest_of_the_page;
                private_mappings_are_independent;
                a_private_write_to_a_new_page_leaves_zeros_behind;
                writes_after_fork_stay_on_their_side;
                a_copy_made_before_fork_is_inherited_but_not_shared;
                grandchildren_keep_three_generations_apart;
                untouched_pages_follow_the_pool_across_fork;
                giving_a_copy_up_shows_the_pool_again;
                a_read_only_descriptor_can_be_written_privately;
            }
            quadrants: "fork, with and without a file" {
                file_backed_shared;
                file_backed_private;
                as_anonymous_shared;
                as_anonymous_private;
            }
            permissions: "permissions" {
                read_write_descriptor_maps_shared_with_everything;
                read_write_descriptor_maps_private_with_everything;
                read_only_descriptor_gives_no_writable_shared_mapping;
                read_only_descriptor_maps_private_with_everything;
                write_only_descriptor_gives_no_shared_mapping;
                write_only_descriptor_gives_no_private_mapping;
                mprotect_cannot_climb_above_a_read_only_descriptor;
                mprotect_of_a_private_mapping_may_climb;
                mprotect_climbs_as_far_as_the_descriptor_goes;
                an_object_sealed_against_writing_gives_no_writable_shared_mapping;
                an_object_sealed_against_writing_maps_private_with_everything;
                mprotect_cannot_climb_above_a_seal;
                reopening_for_reading_does_not_inherit_the_right_to_write;
                read_and_write_obey_the_open_mode;
                code_in_an_executable_mapping_runs;
            }
            signals: "signals" {
                reading_past_the_end_is_sigbus;
                writing_past_the_end_is_sigbus;
                reading_privately_past_the_end_is_sigbus;
                writing_privately_past_the_end_is_sigbus;
                a_mapping_that_starts_past_the_end_is_sigbus;
                an_offset_of_4_gib_is_past_the_end;
                a_fault_past_the_end_allocates_nothing;
                populating_past_the_end_is_no_error;
                mlock_past_the_end_is_enomem;
                system_calls_past_the_end_are_efault;
                touching_outside_the_mapping_is_maperr;
                touching_unmapped_pages_is_maperr;
                writing_a_read_only_mapping_is_accerr;
                touching_a_closed_mapping_is_accerr;
                executing_data_is_accerr;
                protection_taken_away_is_accerr;
                protection_wins_over_the_end;
            }
            errors: "refused calls" {
                length_zero_is_einval;
                unaligned_offset_is_einval;
                an_odd_length_maps_whole_pages;
                neither_shared_nor_private_is_einval;
                an_unknown_flag_is_ignored_without_validation;
                an_unknown_flag_is_refused_with_validation;
                map_sync_is_refused;
                validation_accepts_known_flags;
                offset_and_length_that_wrap_are_eoverflow;
                an_offset_beyond_any_file_is_eoverflow;
                an_end_beyond_any_file_is_eoverflow;
                the_last_page_of_any_file_can_be_mapped;
                a_huge_length_is_enomem;
                an_unaligned_fixed_address_is_einval;
                noreplace_spares_what_is_mapped;
                fixed_replaces_what_is_mapped;
                a_closed_descriptor_is_ebadf;
                a_path_descriptor_is_ebadf;
                hugetlb_is_einval;
                munmap_refuses_what_it_cannot_do;
                mprotect_refuses_what_it_cannot_do;
                msync_refuses_what_it_cannot_do;
            }
            io: "read and write" {
                a_mapping_sees_what_write_wrote;
                read_sees_what_a_mapping_stored;
                a_private_mapping_sees_what_write_wrote;
                read_and_write_move_the_position;
                pread_and_pwrite_do_not_move_the_position;
                seeking_reaches_start_place_and_end;
                impossible_seeks_are_einval;
                duplicates_share_the_position_and_reopened_ones_do_not;
                reading_ends_at_the_end;
                writing_ends_at_the_end;
                writing_past_the_end_makes_a_file_larger;
                writing_nothing_anywhere_is_no_error;
                an_empty_write_leaves_the_times;
                o_direct_changes_nothing;
                negative_offsets_are_einval;
                a_bad_buffer_is_efault;
                a_half_bad_buffer_transfers_its_good_half;
                unaligned_transfers_cross_pages_whole;
                all_of_it_goes_through_one_call;
                vectors_are_gathered_and_scattered;
                read_into_an_untouched_mapping_of_itself;
                read_onto_itself;
                write_from_an_untouched_mapping_of_itself;
                write_from_itself;
                read_into_a_private_mapping_of_itself;
                whole_object_read_into_its_own_mapping;
                fsync_and_msync_succeed;
            }
            sizes: "sizes and holes" {
                fstat_tells_kind_size_links_and_blocks;
                growing_makes_a_longer_mapping_valid;
                shrinking_takes_pages_and_mappings_away;
                growing_again_shows_zeros;
                the_rest_of_a_shortened_page_is_zeroed;
                the_last_page_is_there_to_its_end;
                shrinking_takes_private_copies_too;
                punching_spares_private_copies;
                punching_under_a_fork_spares_both_copies;
                a_private_mapping_of_a_hole_reads_zeros;
                a_mapping_sees_a_hole_at_once;
                a_hole_may_begin_and_end_within_a_page;
                punching_everything_frees_everything;
                fallocate_allocates_and_grows;
                fallocate_can_keep_the_size;
                fallocate_modes;
                a_zeroed_range_is_allocated_and_reads_zeros;
                fallocate_refuses_what_no_file_has;
                madv_remove_makes_a_hole;
                ftruncate_itself;
                opening_with_o_trunc;
                seeking_data_and_holes;
                seeking_holes_in_a_full_object_and_past_it;
                seeking_data_within_a_short_last_page;
                writing_far_past_the_end_leaves_a_hole;
                o_append_writes_at_the_end;
                rlimit_fsize_bounds_writes;
                rlimit_fsize_bounds_growth;
                rlimit_fsize_bounds_every_fallocate;
                fallocate_changes_the_times;
            }
            seals: "seals" {
                a_seal_against_shrinking;
                a_seal_against_growing;
                a_seal_against_growing_holds_for_fallocate;
                a_seal_against_writing;
                a_sealed_object_can_be_mapped_for_reading_only;
                a_sealed_object_can_be_copied_privately;
                sealing_against_writing_waits_for_no_mapping;
                a_refused_seal_seals_nothing;
                a_seal_against_seals;
                unknown_seals_are_einval;
                a_seal_is_refused_for_the_first_reason;
                sealing_needs_a_descriptor_open_for_writing;
                pools_have_no_seals_of_fcntl;
            }
            descriptors: "descriptors" {
                a_descriptor_goes_through_a_socket;
                another_user_cannot_open_more_than_was_given;
                proc_shows_a_name;
                a_descriptor_is_always_ready;
                fadvise_succeeds_and_keeps_the_bytes;
                a_child_inherits_descriptor_and_position;
                file_locks_exclude_each_other;
                every_page_is_mapped_at_the_same_time_by_many;
            }
            transfers: "sendfile and splice" {
                sendfile_reads_it;
                sendfile_writes_it;
                splice_moves_it_through_a_pipe;
                splice_ends_at_the_end;
                what_is_in_a_pipe_does_not_change_any_more;
                copy_file_range_within_it;
                copy_file_range_of_overlapping_ranges_is_einval;
                flags_of_preadv2_and_pwritev2;
                rwf_append_writes_at_the_end;
                bytes_cross_between_it_and_other_files;
            }
            areas: "split, merge and move" {
                adjacent_mappings_merge;
                mappings_of_two_opens_do_not_merge;
                a_mapping_between_two_merges_all_three;
                unmapping_the_middle_splits;
                mprotect_splits_and_merges_again;
                mlock_splits_and_merges_again;
                madvise_splits;
                mremap_shrinks_and_grows_in_place;
                mremap_grows_beyond_what_was_mapped;
                mremap_that_may_not_move_is_enomem;
                mremap_moves_to_a_fixed_place;
                mremap_grows_past_the_end;
                mremap_keeps_private_copies;
                mremap_dontunmap_leaves_the_old_place;
                mremap_of_nothing_maps_shared_memory_again;
                a_moved_page_is_the_same_frame;
                growsdown_and_noreserve;
                overcommit_looks_at_private_mappings_only;
            }
            pins: "pinned pages, debuggers" {
                vmsplice_takes_the_page_itself;
                a_pinned_page_survives_punching;
                process_vm_readv_and_writev;
                proc_mem_reads_and_writes;
                ptrace_peeks_and_pokes;
                a_debugger_writes_through_a_read_only_private_mapping;
                a_core_dump_holds_the_pages;
                io_uring_reads_and_writes;
                a_registered_buffer_survives_punching;
                a_system_call_writes_into_an_untouched_private_page;
            }
            userfaultfd: "userfaultfd" {
                modes_of_registration;
                filling_pages_that_are_registered_for_writes;
                a_write_to_a_protected_page_waits_and_is_told;
                a_protected_hole_is_told_of_its_first_write;
                pagemap_scan_finds_what_was_written;
                write_passes_by_a_protected_page;
                a_child_is_not_registered;
                a_part_can_be_unmapped_while_registered;
                a_read_of_a_protected_page_waits_and_is_told;
            }
            locks: "futexes and mutexes" {
                a_futex_wakes_another_process;
                a_changed_futex_is_not_waited_for;
                a_futex_lock_excludes_four_processes;
                a_mutex_outlives_its_holder;
                a_futex_in_a_private_mapping_wakes_nobody_else;
            }
            advice: "madvise and mlock" {
                every_advice_on_a_shared_mapping;
                every_advice_on_a_private_mapping;
                an_unknown_advice_is_einval;
                paging_out_loses_nothing;
                giving_a_shared_page_up_keeps_it;
                populating_faults_pages_in;
                populating_past_the_end_is_efault;
                a_mapping_can_stay_behind_at_fork;
                locked_pages_are_kept_from_being_given_up;
                a_locked_page_can_be_punched;
                mlockall_locks_what_comes_later;
                rlimit_memlock_bounds_locks;
                mappings_without_huge_pages_work;
            }
            memory: "out of memory, broken pages" {
                one_process_copies_more_than_there_is;
                two_processes_copy_more_than_there_is;
                a_broken_page_is_lost_for_those_who_use_it;
                a_transfer_ends_before_a_broken_page;
                a_failing_page_is_moved_away;
            }
            backed: "more data than memory" {
                one_process_writes_more_than_there_is;
                two_processes_write_more_than_there_is;
            }
            concurrency: "many processes at once" {
                four_threads_fault_the_same_pages;
                four_threads_fault_different_pages;
                four_processes_fault_the_same_pages;
                four_processes_fault_different_pages;
                four_threads_copy_the_same_private_pages_once;
                four_processes_copy_the_same_private_pages_apart;
                mapping_and_unmapping_beside_faults_loses_nothing;
                readers_writers_and_mappings_at_once_lose_no_page;
                reading_into_itself_beside_punching;
                reading_into_itself_beside_resizing;
                faults_beside_resizing_are_served_or_sigbus;
            }
            huge: "huge pages, strategies" {
                a_shared_mapping_is_huge;
                a_private_mapping_is_huge;
                a_private_write_copies_one_page;
                the_last_pages_come_in_smaller_pieces;
                a_hole_in_the_middle_frees_its_pages;
                a_hole_across_two_frees_its_pages;
                shrinking_into_the_middle_frees_the_rest;
                guard_regions_outlive_what_they_cover;
                a_pinned_one_stays_whole_when_punched;
                a_page_of_a_pinned_one_stays_in_the_object;
                a_pinned_one_ends_where_the_object_does;
                a_part_can_be_unmapped_and_protected;
                a_part_can_be_moved;
                advice_takes_mappings_only;
                a_child_shares_and_copies;
                write_and_read_cross_borders;
                fallocate_is_huge;
                a_mapping_that_is_not_aligned_is_not_huge;
                one_page_of_a_huge_mapping_can_be_protected;
                locking_and_collapsing_leave_it_huge;
                collapsing_small_pages_loses_nothing;
                a_window_is_allocated_and_mapped_together;
                a_window_at_the_end_is_smaller;
                eager_mappings_never_fault;
                lazy_mappings_fault_for_each_page;
                eager_mappings_are_memory_like_any_other;
                eager_pools_keep_their_pages;
            }
        }
    };
}

macro_rules! as_groups {
    ($($group:ident: $title:literal { $($name:ident;)* })*) => {
        &[$(
            Group {
                name: stringify!($group),
                title: $title,
                scenarios: &[$(
                    $crate::scenarios::$group::$name()
                        .named(concat!(stringify!($group), "::", stringify!($name))),
                )*],
            },
        )*]
    };
}

/// Scenarios about one subject.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// The module that they stand in.
    pub name: &'static str,
    /// What they are about, in plain words.
    pub title: &'static str,
    /// The scenarios, in the order of the table.
    pub scenarios: &'static [Scenario],
}

/// Every group.
pub const GROUPS: &[Group] = catalogue!(as_groups);

/// Every scenario.
pub fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    GROUPS.iter().flat_map(|group| group.scenarios)
}
