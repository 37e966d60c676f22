// SPDX-License-Identifier: MIT OR GPL-2.0

//! The one list of scenarios.

use crate::scenario::Scenario;

/// Hands the list to the macro `$with`: groups of `row name: tried => oracle, expected answer;`.
///
/// The node, a created pool and the oracle are all asked, and must all give that answer. What holds
/// for one of them only is added: `Node: "another answer"`, or `Oracle: -` if it is not asked.
#[macro_export]
macro_rules! catalogue {
    ($with:ident) => {
        $with! {
            lazy {
                "S1" mapping_allocates_nothing:
                    "map all of it, touch nothing"
                    => Memfd, "0 resident";
                "S1" touching_allocates_exactly_the_touched_pages:
                    "read page 1, write page 5, read page 6"
                    => Memfd, "3 resident; mincore 1 5 6; page table 1 5 6";
                "S1" touching_resident_pages_allocates_nothing:
                    "touch 3 pages through a second mapping"
                    => Memfd, "3 resident before, 3 after; same frames";
                "S1" reading_a_private_mapping_allocates_the_page:
                    "read a page of a private mapping"
                    => Memfd, "1 resident";
                "S1" a_page_is_zero_when_first_seen:
                    "look at every byte before anyone wrote"
                    => Memfd, "mapping all zero, read() all zero";
                "S1" write_allocates_the_pages_it_writes:
                    "write(2) two bytes across a page boundary"
                    => Memfd, "2 resident";
                "S11" reading_a_hole_allocates_nothing:
                    "read(2) all of it before anyone wrote"
                    => Memfd, "all zero, 0 resident";
                "S1" pages_outlive_the_mapping:
                    "touch 2 pages, unmap, close"
                    => Memfd, "2 resident";
                "S8" populate_makes_every_page_resident_at_once:
                    "map with MAP_POPULATE, touch nothing"
                    => Memfd, "256 resident, 256 in the page table";
                "S8" populating_a_private_mapping_copies_every_page:
                    "the same, MAP_PRIVATE"
                    => Memfd, "256 resident, 256 in the page table, 256 copies";
                "S8" a_locked_mapping_is_resident_at_once:
                    "map with MAP_LOCKED, touch nothing"
                    => Memfd, "256 resident, 256 in the page table";
                "S8" mlock_makes_pages_resident:
                    "mlock() after mapping"
                    => Memfd, "0 resident, then 256 resident, 256 in the page table";
            }
            sharing {
                "S4" two_mappings_are_the_same_memory:
                    "write one mapping, read another"
                    => Memfd, "the other sees hello; same frame";
                "S4" a_mapping_with_an_offset_is_the_same_memory:
                    "write page 7, read page 2 of a mapping from page 5"
                    => Memfd, "hello";
                "S4" writes_cross_fork_in_both_directions:
                    "parent and child write the inherited mapping"
                    => Memfd, "child sees ping, parent sees pong";
                "S4" a_child_that_maps_for_itself_shares_too:
                    "the child opens and maps anew"
                    => Memfd, "child sees ping, parent sees pong";
                "S4" a_separate_program_sees_and_makes_writes:
                    "a program started anew opens and maps"
                    => Memfd, "the program sees ping, we see pong";
                "S4" writes_are_kept_when_everything_is_closed:
                    "write, unmap, close, open, read()"
                    => Memfd, "kept; a new mapping sees kept";
                "S4" a_childs_writes_are_kept_after_its_death:
                    "a child writes and exits, then read()"
                    => Memfd, "kept";
                "S4" a_mapping_outlives_its_descriptor:
                    "close the descriptor, then write the mapping"
                    => Memfd, "hello";
            }
            cow {
                "S5" private_write_is_invisible_to_the_pool:
                    "write a private mapping, then read()"
                    => Memfd, "mapping mine, read() old, shared mapping old";
                "S5" private_write_is_invisible_to_other_processes:
                    "write privately, look from a fork and a program"
                    => Memfd, "fork sees old, program sees old";
                "S5" an_unwritten_private_page_follows_the_pool:
                    "read privately, change the pool, read again"
                    => Memfd, "old, then new";
                "S5" an_unread_private_page_follows_the_pool:
                    "map privately, change the pool, read"
                    => Memfd, "new";
                "S5" a_written_private_page_stops_following:
                    "write privately, change the pool, read"
                    => Memfd, "mapping mine, read() new";
                "S5" copying_goes_page_by_page:
                    "write page 1 of 3 privately, change all in the pool"
                    => Memfd, "new mine new";
                "S5" a_page_that_was_read_is_copied_when_written:
                    "read, write, change the pool, read"
                    => Memfd, "old, then mine; read() new; a copy of its own";
                "S5" the_copy_keeps_the_rest_of_the_page:
                    "write 8 bytes privately, without reading before"
                    => Memfd, "mine, and the rest is old";
                "S5" private_mappings_are_independent:
                    "two private mappings write the same page"
                    => Memfd, "a and b; read() old";
                "S5" a_private_write_to_a_new_page_leaves_zeros_behind:
                    "write a page privately that nobody touched"
                    => Memfd, "mapping mine, read() 0";
                "S5" writes_after_fork_stay_on_their_side:
                    "fork, then both write the same private page"
                    => Memfd, "child child, parent parent, read() old";
                "S5" a_copy_made_before_fork_is_inherited_but_not_shared:
                    "write privately, fork, child writes, parent looks"
                    => Memfd, "child finds mine, parent keeps mine, read() old";
                "S5" grandchildren_keep_three_generations_apart:
                    "parent, child and grandchild write one private page"
                    => Memfd, "grandchild child, child child, parent parent, read() old";
                "S5" untouched_pages_follow_the_pool_across_fork:
                    "fork, change the pool, child reads private pages"
                    => Memfd, "written page mine, other page new";
                "S5" giving_a_copy_up_shows_the_pool_again:
                    "write privately, change the pool, MADV_DONTNEED"
                    => Memfd, "mine, then new";
                "S5" a_read_only_descriptor_can_be_written_privately:
                    "open O_RDONLY, map privately, write"
                    => Memfd, "mapping mine, read() old";
            }
            quadrants {
                "S6" file_backed_shared:
                    "MAP_SHARED on a file: fork, child writes"
                    => Memfd, "starts 0, child sees a, parent ends with b, object b";
                "S6" file_backed_private:
                    "MAP_PRIVATE on a file: fork, child writes"
                    => Memfd, "starts 0, child sees a, parent ends with a, object 0";
                "S6" as_anonymous_shared:
                    "MAP_SHARED without a file: fork, child writes"
                    => Anonymous, "starts 0, child sees a, parent ends with b";
                "S6" as_anonymous_private:
                    "MAP_PRIVATE without a file: fork, child writes"
                    => Anonymous, "starts 0, child sees a, parent ends with a";
            }
            permissions {
                "S7" read_write_descriptor_maps_shared_with_everything:
                    "open O_RDWR, MAP_SHARED, each protection"
                    => Memfd, "ok: --- r-- -w- rw- --x r-x -wx rwx";
                "S7" read_write_descriptor_maps_private_with_everything:
                    "open O_RDWR, MAP_PRIVATE, each protection"
                    => Memfd, "ok: --- r-- -w- rw- --x r-x -wx rwx";
                "S7" read_only_descriptor_gives_no_writable_shared_mapping:
                    "open O_RDONLY, MAP_SHARED, each protection"
                    => Memfd, "ok: --- r-- --x r-x; EACCES: -w- rw- -wx rwx";
                "S7" read_only_descriptor_maps_private_with_everything:
                    "open O_RDONLY, MAP_PRIVATE, each protection"
                    => Memfd, "ok: --- r-- -w- rw- --x r-x -wx rwx";
                "S7" write_only_descriptor_gives_no_shared_mapping:
                    "open O_WRONLY, MAP_SHARED, each protection"
                    => Memfd, "EACCES: --- r-- -w- rw- --x r-x -wx rwx";
                "S7" write_only_descriptor_gives_no_private_mapping:
                    "open O_WRONLY, MAP_PRIVATE, each protection"
                    => Memfd, "EACCES: --- r-- -w- rw- --x r-x -wx rwx";
                "S7" mprotect_cannot_climb_above_a_read_only_descriptor:
                    "O_RDONLY, MAP_SHARED PROT_NONE, then mprotect()"
                    => Memfd, "ok: --- r-- --x r-x; EACCES: -w- rw- -wx rwx";
                "S7" mprotect_of_a_private_mapping_may_climb:
                    "O_RDONLY, MAP_PRIVATE PROT_NONE, then mprotect()"
                    => Memfd, "ok: --- r-- -w- rw- --x r-x -wx rwx";
                "S7" mprotect_climbs_as_far_as_the_descriptor_goes:
                    "O_RDWR, MAP_SHARED PROT_NONE, then mprotect()"
                    => Memfd, "ok: --- r-- -w- rw- --x r-x -wx rwx";
                "S7" reopening_for_reading_does_not_inherit_the_right_to_write:
                    "two descriptors, O_RDWR and O_RDONLY, at once"
                    => Memfd, "O_RDWR ok, O_RDONLY EACCES";
                "S7" read_and_write_obey_the_open_mode:
                    "read() on O_WRONLY, write() on O_RDONLY"
                    => Memfd, "EBADF EBADF";
                "S7" code_in_an_executable_mapping_runs:
                    "write a function, map r-x, call it"
                    => Memfd, "returns 42";
            }
            signals {
                "S10" reading_past_the_end_is_sigbus:
                    "map longer than the object, read past its end"
                    => Memfd, "last byte ok; SIGBUS BUS_ADRERR at +0x100123";
                "S10" writing_past_the_end_is_sigbus:
                    "the same, write"
                    => Memfd, "last byte ok; SIGBUS BUS_ADRERR at +0x100123";
                "S10" reading_privately_past_the_end_is_sigbus:
                    "the same, MAP_PRIVATE, read"
                    => Memfd, "last byte ok; SIGBUS BUS_ADRERR at +0x100123";
                "S10" writing_privately_past_the_end_is_sigbus:
                    "the same, MAP_PRIVATE, write"
                    => Memfd, "last byte ok; SIGBUS BUS_ADRERR at +0x100123";
                "S10" a_mapping_that_starts_past_the_end_is_sigbus:
                    "offset = 4 pages past the end, read"
                    => Memfd, "SIGBUS BUS_ADRERR at +0x0";
                "S10" a_fault_past_the_end_allocates_nothing:
                    "SIGBUS in a child, then count pages"
                    => Memfd, "SIGBUS BUS_ADRERR at +0x100000, 0 resident";
                "S10" populating_past_the_end_is_no_error:
                    "MAP_POPULATE 4 pages more than there are"
                    => Memfd, "ok, 256 resident";
                "S10" mlock_past_the_end_is_enomem:
                    "mlock() 4 pages more than there are"
                    => Memfd, "ENOMEM";
                "S10" system_calls_past_the_end_are_efault:
                    "write(2) and read(2) a buffer past the end"
                    => Memfd, "EFAULT EFAULT";
                "S10" touching_outside_the_mapping_is_maperr:
                    "read, write just after a mapping's end"
                    => Memfd, "SIGSEGV SEGV_MAPERR at +0x100000, SIGSEGV SEGV_MAPERR at +0x100fff";
                "S10" touching_unmapped_pages_is_maperr:
                    "unmap page 3 of 8, touch pages 2, 3, 4"
                    => Memfd, "ok, SIGSEGV SEGV_MAPERR at +0x3000, ok";
                "S10" writing_a_read_only_mapping_is_accerr:
                    "PROT_READ: read, write"
                    => Memfd, "ok, SIGSEGV SEGV_ACCERR at +0x1008";
                "S10" touching_a_closed_mapping_is_accerr:
                    "PROT_NONE: read, write"
                    => Memfd, "SIGSEGV SEGV_ACCERR at +0x1008, SIGSEGV SEGV_ACCERR at +0x1008";
                "S10" executing_data_is_accerr:
                    "rw-: call it as a function"
                    => Memfd, "SIGSEGV SEGV_ACCERR at +0x1008";
                "S10" protection_taken_away_is_accerr:
                    "write, mprotect(PROT_READ), write again"
                    => Memfd, "ok, then SIGSEGV SEGV_ACCERR at +0x2000";
                "S10" protection_wins_over_the_end:
                    "PROT_READ, write past the object's end"
                    => Memfd, "SIGSEGV SEGV_ACCERR at +0x100000";
            }
            errors {
                "S12" length_zero_is_einval:
                    "length 0" => Memfd, "EINVAL";
                "S12" unaligned_offset_is_einval:
                    "offset 1, offset 4095" => Memfd, "EINVAL EINVAL";
                "S12" an_odd_length_maps_whole_pages:
                    "length 5000, touch byte 8191 and the next"
                    => Memfd, "ok, ok, SIGSEGV SEGV_MAPERR at +0x2000";
                "S12" neither_shared_nor_private_is_einval:
                    "no sharing flag" => Memfd, "EINVAL";
                "S12" an_unknown_flag_is_ignored_without_validation:
                    "MAP_SHARED and an unknown flag" => Memfd, "ok";
                "S13" an_unknown_flag_is_refused_with_validation:
                    "MAP_SHARED_VALIDATE and an unknown flag"
                    => Memfd, "EOPNOTSUPP";
                "S13" map_sync_is_refused:
                    "MAP_SHARED_VALIDATE and MAP_SYNC"
                    => Memfd, "EOPNOTSUPP";
                "S13" validation_accepts_known_flags:
                    "MAP_SHARED_VALIDATE alone" => Memfd, "ok";
                "S12" offset_and_length_that_wrap_are_eoverflow:
                    "offset 2^64 - 4096, length 8192" => Memfd, "EOVERFLOW";
                "S12" an_offset_beyond_any_file_is_eoverflow:
                    "offset 2^63" => Memfd, "EOVERFLOW";
                "S12" an_end_beyond_any_file_is_eoverflow:
                    "offset 2^63 - 4096, length 8192" => Memfd, "EOVERFLOW";
                "S12" the_last_page_of_any_file_can_be_mapped:
                    "offset 2^63 - 8192, length 4096" => Memfd, "ok";
                "S12" a_huge_length_is_enomem:
                    "length 2^47, length 2^64 - 1" => Memfd, "ENOMEM ENOMEM";
                "S12" an_unaligned_fixed_address_is_einval:
                    "MAP_FIXED at an odd address" => Memfd, "EINVAL";
                "S12" noreplace_spares_what_is_mapped:
                    "MAP_FIXED_NOREPLACE over a mapping"
                    => Memfd, "EEXIST, mapping keeps old";
                "S12" fixed_replaces_what_is_mapped:
                    "MAP_FIXED over a mapping of the same object"
                    => Memfd, "old, then new";
                "S12" a_closed_descriptor_is_ebadf:
                    "a number that is no descriptor" => Memfd, "EBADF";
                "S12" a_path_descriptor_is_ebadf:
                    "a descriptor opened O_PATH" => Memfd, "EBADF";
                "S12" hugetlb_is_einval:
                    "MAP_HUGETLB on the descriptor" => Memfd, "EINVAL";
                "S12" munmap_refuses_what_it_cannot_do:
                    "munmap() length 0, odd address" => Memfd, "EINVAL EINVAL";
                "S12" mprotect_refuses_what_it_cannot_do:
                    "mprotect() odd address, unmapped range"
                    => Memfd, "EINVAL ENOMEM";
                "S12" msync_refuses_what_it_cannot_do:
                    "msync() odd address, both SYNC and ASYNC, unmapped"
                    => Memfd, "EINVAL EINVAL ENOMEM";
            }
            io {
                "S14" a_mapping_sees_what_write_wrote:
                    "write(2), then look through a mapping made before"
                    => Memfd, "old, then new";
                "S14" read_sees_what_a_mapping_stored:
                    "store to a mapping, then read(2)"
                    => Memfd, "old, then new";
                "S14" a_private_mapping_sees_what_write_wrote:
                    "write(2), then look through a private mapping"
                    => Memfd, "old, then new";
                "S14" read_and_write_move_the_position:
                    "write 10, seek to 4, read 6"
                    => Memfd, "at 10, read 456789, at 10";
                "S14" pread_and_pwrite_do_not_move_the_position:
                    "pwrite and pread at 5000"
                    => Memfd, "read hello, at 0";
                "S14" seeking_reaches_start_place_and_end:
                    "lseek SET 4096, CUR 8, END -8, END 8192"
                    => Memfd, "4096 4104 1048568 1056768";
                "S14" impossible_seeks_are_einval:
                    "lseek SET -1, CUR -1 at 0, whence 99"
                    => Memfd, "EINVAL EINVAL EINVAL, at 0";
                "S14" duplicates_share_the_position_and_reopened_ones_do_not:
                    "seek to 100, ask a dup and a second open"
                    => Memfd, "dup 100, open 0";
                "S14" reading_ends_at_the_end:
                    "pread 200 across, at and past the end"
                    => Memfd, "100 0 0";
                "S14" writing_ends_at_the_end:
                    "pwrite 200 across, at and past the end of a full object"
                    => Tmpfs, "100 ENOSPC ENOSPC", Created: -;
                "S14" writing_past_the_end_makes_a_file_larger:
                    "the same, of an object that can grow, then its size"
                    => Memfd, "200 200 200, 1056968 bytes",
                    Node: "100 ENOSPC ENOSPC, 1048576 bytes";
                "S14" writing_nothing_anywhere_is_no_error:
                    "pwrite and pread 0 bytes inside, at and past the end"
                    => Memfd, "0 0, 0 0, 0 0";
                "S14" negative_offsets_are_einval:
                    "pread, pwrite at -1" => Memfd, "EINVAL EINVAL";
                "S14" a_bad_buffer_is_efault:
                    "read into, write from unmapped memory"
                    => Memfd, "EFAULT EFAULT";
                "S14" a_half_bad_buffer_transfers_its_good_half:
                    "transfer 200 bytes, the second 100 unmapped"
                    => Memfd, "read 100, written 100";
                "S14" unaligned_transfers_cross_pages_whole:
                    "pwrite and pread 10000 bytes at 4090"
                    => Memfd, "written 10000, mapping equal, read() equal, neighbours 0";
                "S14" all_of_it_goes_through_one_call:
                    "write(2) every byte at once, read back at once"
                    => Memfd, "written 1048576, read 1048576, equal";
                "S14" vectors_are_gathered_and_scattered:
                    "writev three pieces, readv two"
                    => Memfd, "written 9, read 9: abcdef ghi";
                "S14" read_into_an_untouched_mapping_of_itself:
                    "pread page 0 into page 10 of its own mapping"
                    => Memfd, "4096, page 10 holds hello";
                "S14" read_onto_itself:
                    "pread an untouched page into itself, a written one too"
                    => Memfd, "4096, 4096, hello";
                "S14" write_from_an_untouched_mapping_of_itself:
                    "pwrite page 21 from untouched page 20 of itself"
                    => Memfd, "4096, page 21 holds 0";
                "S14" write_from_itself:
                    "pwrite an untouched page from itself, a written one too"
                    => Memfd, "4096, 4096, hello";
                "S14" read_into_a_private_mapping_of_itself:
                    "pread page 0 into page 10 of a private mapping"
                    => Memfd, "4096, mapping hello, read() 0";
                "S14" whole_object_read_into_its_own_mapping:
                    "pread all of it into an untouched mapping of itself"
                    => Memfd, "1048576, first hello, last world";
                "S14" fsync_and_msync_succeed:
                    "fsync, fdatasync, msync SYNC, ASYNC, INVALIDATE"
                    => Memfd, "ok ok ok ok ok";
            }
            concurrency {
                "S3" four_threads_fault_the_same_pages:
                    "4 threads count in each of 64 new pages"
                    => Memfd, "64 resident, every count 4";
                "S3" four_threads_fault_different_pages:
                    "4 threads count in 64 new pages each"
                    => Memfd, "256 resident, every count 1";
                "S3" four_processes_fault_the_same_pages:
                    "4 processes count in each of 64 new pages"
                    => Memfd, "64 resident, every count 4";
                "S3" four_processes_fault_different_pages:
                    "4 processes count in 64 new pages each"
                    => Memfd, "256 resident, every count 1";
                "S5" four_threads_copy_the_same_private_pages_once:
                    "4 threads count in 64 pages of one private mapping"
                    => Memfd, "every count 4, read() 0";
                "S5" four_processes_copy_the_same_private_pages_apart:
                    "4 processes count in 64 inherited private pages"
                    => Memfd, "every count 1, parent 0";
                "S3" mapping_and_unmapping_beside_faults_loses_nothing:
                    "2 threads map, count, unmap; 2 count in one mapping"
                    => Memfd, "64 resident, every count 80";
                "S14" readers_writers_and_mappings_at_once_lose_no_page:
                    "2 threads pwrite, 2 store, each its own bytes of 64 pages"
                    => Memfd, "64 resident, every byte in place";
            }
        }
    };
}

macro_rules! as_list {
    ($($group:ident {
        $($row:literal $name:ident: $tried:literal
            => $oracle:ident, $expected:literal $(, $who:ident: $other:tt)*;)*
    })*) => {
        &[$($(
            Scenario {
                row: $row,
                name: concat!(stringify!($group), "::", stringify!($name)),
                tried: $tried,
                oracle: $crate::scenario::Oracle::$oracle,
                expected: $expected,
                exceptions: &[$(($crate::scenario::Who::$who, other!($other))),*],
                run: $crate::scenarios::$group::$name,
            },
        )*)*]
    };
}

macro_rules! other {
    (-) => {
        None
    };
    ($answer:literal) => {
        Some($answer)
    };
}

/// Every scenario.
pub const SCENARIOS: &[Scenario] = catalogue!(as_list);
