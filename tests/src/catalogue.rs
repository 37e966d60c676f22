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
                "-" pagemap_tells_what_was_written_since:
                    "soft-dirty: clear, write page 2 shared and 3 privately"
                    => Memfd, "cleared all, then 2 and 3";
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
                "S7" an_object_sealed_against_writing_gives_no_writable_shared_mapping:
                    "seal WRITE, O_RDWR, MAP_SHARED, each protection"
                    => Memfd, "ok: --- r-- --x r-x; EPERM: -w- rw- -wx rwx";
                "S7" an_object_sealed_against_writing_maps_private_with_everything:
                    "seal WRITE, O_RDWR, MAP_PRIVATE, each protection"
                    => Memfd, "ok: --- r-- -w- rw- --x r-x -wx rwx";
                "S7" mprotect_cannot_climb_above_a_seal:
                    "seal WRITE, O_RDWR, MAP_SHARED PROT_NONE, then mprotect()"
                    => Memfd, "ok: --- r-- --x r-x; EACCES: -w- rw- -wx rwx";
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
                "-" an_empty_write_leaves_the_times:
                    "set the time of the last change, pwrite 0 bytes, then 5"
                    => Memfd, "kept, changed", Node: "kept, kept";
                "-" o_direct_changes_nothing:
                    "O_DIRECT: write and read 8 and 16 bytes at 112 and 104"
                    => Memfd, "wrote 8, mapping written; read 16: stored  written";
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
            sizes {
                "-" fstat_tells_kind_size_links_and_blocks:
                    "fstat() before and after writing one page"
                    => Memfd, "regular, 1048576 bytes, 0 links, 0 blocks, then 8",
                    Node: "device, 0 bytes, 1 links, 0 blocks, then 0";
                "S10" growing_makes_a_longer_mapping_valid:
                    "map twice the size, touch past the end, grow, touch again"
                    => Memfd, "SIGBUS BUS_ADRERR at +0x100000; ok, 2097152 bytes, then ok 0";
                "S10" shrinking_takes_pages_and_mappings_away:
                    "fill 256 pages, shrink to 4, touch pages 3 and 4"
                    => Memfd, "ok, 4 resident; ok, SIGBUS BUS_ADRERR at +0x4000";
                "S11" growing_again_shows_zeros:
                    "write pages 0 and 10, shrink to 4, grow"
                    => Memfd, "kept, 0, read() 0";
                "S11" the_rest_of_a_shortened_page_is_zeroed:
                    "write within a page, shrink to just before it, grow"
                    => Memfd, "kept, 0, then 0", Node: "EINVAL";
                "S10" the_last_page_is_there_to_its_end:
                    "5000 bytes: touch bytes 4999, 8191, 8192"
                    => Memfd, "ok, ok, SIGBUS BUS_ADRERR at +0x2000", Node: "EINVAL";
                "S5" shrinking_takes_private_copies_too:
                    "copy pages 0 and 10 privately, shrink to 4, touch, grow"
                    => Memfd, "SIGBUS BUS_ADRERR at +0xa000; grown again: kept 0";
                "S5" punching_spares_private_copies:
                    "write page 1 of two privately, punch both"
                    => Memfd, "copy mine, other page 0, read() 0";
                "S5" punching_under_a_fork_spares_both_copies:
                    "write privately, fork, punch, child writes, punch"
                    => Memfd, "child mine child, parent mine";
                "S11" a_private_mapping_of_a_hole_reads_zeros:
                    "punch, map privately, read, write"
                    => Memfd, "0, then mine; read() 0";
                "S11" a_mapping_sees_a_hole_at_once:
                    "write pages 3 and 4 through a mapping, punch page 3"
                    => Memfd, "ok, 1 resident, mincore 4, 0 kept";
                "S11" a_hole_may_begin_and_end_within_a_page:
                    "fill 4 pages, punch 2 pages' length from byte 100"
                    => Memfd, "ok, 3 resident, bytes right";
                "S11" punching_everything_frees_everything:
                    "populate, punch all"
                    => Memfd, "256 resident, ok, 0; mapping 0";
                "S11" fallocate_allocates_and_grows:
                    "fallocate() 4 pages, then 100 bytes past the end"
                    => Memfd, "ok 4 resident, ok 5 resident, 1048676 bytes",
                    Node: "ENODEV 0 resident, ENODEV 0 resident, 1048576 bytes";
                "S11" fallocate_can_keep_the_size:
                    "fallocate() KEEP_SIZE, 4 pages past the end"
                    => Memfd, "ok, 4 resident, 1048576 bytes",
                    Node: "ENODEV, 0 resident, 1048576 bytes";
                "S11" fallocate_modes:
                    "PUNCH without and with KEEP, ZERO without and with, COLLAPSE, INSERT, UNSHARE, unknown"
                    => Memfd, "EOPNOTSUPP ok EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP",
                    Node: "EOPNOTSUPP ENODEV ENODEV ENODEV ENODEV ENODEV ENODEV EOPNOTSUPP",
                    Created: "EOPNOTSUPP ok ok ok EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP";
                "S11" a_zeroed_range_is_allocated_and_reads_zeros:
                    "fallocate() ZERO_RANGE over 4 pages, one of them written"
                    => Memfd, "EOPNOTSUPP, 1 resident, old",
                    Node: "ENODEV, 1 resident, old", Created: "ok, 4 resident, 0";
                "S12" fallocate_refuses_what_no_file_has:
                    "length 0, offset -1, length -1, ends past 2^63 twice; read-only"
                    => Memfd, "EINVAL EINVAL EINVAL EFBIG EFBIG; O_RDONLY EBADF",
                    Node: "EINVAL EINVAL EINVAL ENODEV ENODEV; O_RDONLY EBADF";
                "S11" madv_remove_makes_a_hole:
                    "MADV_REMOVE a written page: private, shared"
                    => Memfd, "private EACCES, shared ok, 0 resident, 0",
                    Node: "private EACCES, shared ENODEV, 1 resident, old";
                "-" ftruncate_itself:
                    "4 pages, 5000, 0, 1 MiB, 2^63 - 1, -1; read-only"
                    => Memfd, "ok ok ok ok ok EINVAL; O_RDONLY EINVAL",
                    Node: "EINVAL EINVAL EINVAL EINVAL EINVAL EINVAL; O_RDONLY EINVAL";
                "-" opening_with_o_trunc:
                    "write a page, open with O_TRUNC"
                    => Memfd, "0 bytes, 0 resident", Node: "1048576 bytes, 1 resident";
                "S11" seeking_data_and_holes:
                    "pages 2, 3 and 7 written: SEEK_DATA, SEEK_HOLE from six places each"
                    => Memfd, "data 8192 8192 12293 28672 28673 ENXIO; holes 0 16384 16384 16393 32768 1048575";
                "S11" seeking_holes_in_a_full_object_and_past_it:
                    "all written: SEEK_DATA, SEEK_HOLE inside, at and past the end"
                    => Memfd, "data 1048575 ENXIO ENXIO ENXIO; holes 1048576 1048576 ENXIO ENXIO";
                "S11" seeking_data_within_a_short_last_page:
                    "5000 bytes, the second page written"
                    => Memfd, "4096 5000 5000 ENXIO", Node: "EINVAL";
                "S11" writing_far_past_the_end_leaves_a_hole:
                    "pwrite 3 bytes at 4 MiB, touch the hole at 2 MiB"
                    => Memfd, "3, 4194307 bytes, ok",
                    Node: "ENOSPC, 1048576 bytes, SIGBUS BUS_ADRERR at +0x200000";
                "S14" o_append_writes_at_the_end:
                    "open O_APPEND, pwrite 8 bytes at 0"
                    => Memfd, "8, 1048584 bytes, start 0",
                    Node: "ENOSPC, 1048576 bytes, start 0";
                "S14" rlimit_fsize_bounds_writes:
                    "RLIMIT_FSIZE 4 pages: pwrite 8 across, past it"
                    => Memfd, "4 EFBIG";
                "S14" rlimit_fsize_bounds_growth:
                    "RLIMIT_FSIZE at the size: ftruncate, fallocate larger; ftruncate smaller"
                    => Memfd, "EFBIG EFBIG ok", Node: "EINVAL ENODEV EINVAL";
                "S14" rlimit_fsize_bounds_every_fallocate:
                    "RLIMIT_FSIZE at the size: fallocate() 4 pages, across the end, KEEP_SIZE, ZERO_RANGE; with a seal GROW"
                    => Memfd, "ok EFBIG EFBIG EOPNOTSUPP; EFBIG; 4 resident, kept",
                    Node: "ENODEV ENODEV ENODEV ENODEV; ENODEV; 1 resident, kept",
                    Created: "ok EFBIG EFBIG EFBIG; EFBIG; 4 resident, kept";
                "S11" fallocate_changes_the_times:
                    "time of 1970: fallocate(), past the end with KEEP_SIZE, punch; past the end with a seal GROW"
                    => Memfd, "ok changed, ok changed, ok changed; EPERM kept",
                    Node: "ENODEV kept, ENODEV kept, ok kept; ENODEV kept";
            }
            seals {
                "-" a_seal_against_shrinking:
                    "seal SHRINK, then change the size, write, punch"
                    => Memfd, "ok; shrink EPERM, same size ok, grow ok, write 3, punch ok";
                "-" a_seal_against_growing:
                    "seal GROW, then change the size, write across and past the end"
                    => Memfd, "ok; grow EPERM, same size ok, write across the end EPERM, past it EPERM, shrink ok, 1044480 bytes",
                    Node: "ok; grow EPERM, same size ok, write across the end 4, past it ENOSPC, shrink ok, 1044480 bytes",
                    Created: "ok; grow EPERM, same size ok, write across the end 4, past it EPERM, shrink ok, 1044480 bytes";
                "-" a_seal_against_growing_holds_for_fallocate:
                    "seal GROW, fallocate() inside, past the end, past it with KEEP_SIZE"
                    => Memfd, "ok EPERM EPERM", Node: "ENODEV ENODEV ENODEV";
                "-" a_seal_against_writing:
                    "seal WRITE, then write, punch, shrink"
                    => Memfd, "ok; write EPERM, punch EPERM, shrink ok, still old";
                "S7" a_sealed_object_can_be_mapped_for_reading_only:
                    "seal WRITE, map shared writable, map readable and mprotect()"
                    => Memfd, "writable EPERM; readable sees old, mprotect EACCES";
                "S5" a_sealed_object_can_be_copied_privately:
                    "seal WRITE, map privately, write"
                    => Memfd, "mine, read() old";
                "-" sealing_against_writing_waits_for_no_mapping:
                    "seal WRITE with mappings that are or could become writable, and others"
                    => Memfd, "writable EBUSY, readable EBUSY, of O_RDONLY and private ok";
                "-" a_refused_seal_seals_nothing:
                    "seal WRITE and GROW with a writable mapping, then grow, write"
                    => Memfd, "EBUSY; grow ok, write 3";
                "-" a_seal_against_seals:
                    "seal GROW and SEAL, then GROW, SHRINK; shrink"
                    => Memfd, "ok, EPERM EPERM; shrink ok";
                "-" unknown_seals_are_einval:
                    "seal 2^20" => Memfd, "EINVAL";
                "-" a_seal_is_refused_for_the_first_reason:
                    "with a writable mapping: seal WRITE and 2^20; with SEAL added: 2^20, WRITE, GROW"
                    => Memfd, "EINVAL; EINVAL EPERM EPERM";
                "-" sealing_needs_a_descriptor_open_for_writing:
                    "seal through O_RDONLY"
                    => Memfd, "EPERM", Node: "EBADF", Created: "EBADF";
                "-" pools_have_no_seals_of_fcntl:
                    "F_ADD_SEALS"
                    => Memfd, "ok", Node: "EINVAL", Created: "EINVAL";
            }
            descriptors {
                "S4" a_descriptor_goes_through_a_socket:
                    "SCM_RIGHTS with an O_RDONLY descriptor: map readable, writable"
                    => Memfd, "sees hello, writable EACCES";
                "S7" another_user_cannot_open_more_than_was_given:
                    "user 1000 inherits O_RDONLY, opens /proc/self/fd/N"
                    => Memfd, "mapping reads 0; reading ok, writing ok",
                    Node: "mapping reads 0; reading EACCES, writing EACCES",
                    Created: "mapping reads 0; reading EACCES, writing EACCES";
                "-" proc_shows_a_name:
                    "the link in /proc/self/fd, the line in /proc/self/maps"
                    => Memfd, "fd /memfd:oracle (deleted), maps /memfd:oracle (deleted)",
                    Node: "fd /dev/mmap_pool, maps /dev/mmap_pool",
                    Created: "fd /mmap_pool:subject (deleted), maps /mmap_pool:subject (deleted)";
                "-" a_descriptor_is_always_ready:
                    "poll() without waiting, epoll_ctl(ADD)"
                    => Memfd, "1 ready, both ways, epoll EPERM";
                "-" fadvise_succeeds_and_keeps_the_bytes:
                    "posix_fadvise() with each advice, then read()"
                    => Memfd, "ok ok ok ok ok ok; kept";
                "S4" a_child_inherits_descriptor_and_position:
                    "seek to 100, fork, child reads 5"
                    => Memfd, "child reads hello, parent is at 105";
                "S18" file_locks_exclude_each_other:
                    "flock() through two descriptors, then close the first"
                    => Memfd, "ok EAGAIN ok";
                "S4" every_page_is_mapped_at_the_same_time_by_many:
                    "64 mappings at once, write one, read all"
                    => Memfd, "hello";
            }
            transfers {
                "S14" sendfile_reads_it:
                    "sendfile() 3 pages from offset 100 to another file"
                    => Memfd, "12288, offset 12388, hello";
                "S14" sendfile_writes_it:
                    "sendfile() 3 pages from another file, 4 asked for"
                    => Memfd, "12288, hello";
                "S14" splice_moves_it_through_a_pipe:
                    "splice() 2 pages into a pipe, and from it to page 20"
                    => Memfd, "out 8192, in 8192, hello";
                "S14" splice_ends_at_the_end:
                    "splice() 200 across and at the end"
                    => Memfd, "100 0";
                "S14" what_is_in_a_pipe_does_not_change_any_more:
                    "splice() a page into a pipe, punch it, write it anew"
                    => Memfd, "old, read() new";
                "S14" copy_file_range_within_it:
                    "copy_file_range() 2 pages from page 0 to page 9"
                    => Memfd, "8192, hello", Node: "EINVAL, 0";
                "S14" copy_file_range_of_overlapping_ranges_is_einval:
                    "copy_file_range() 2 pages from 0 to 100"
                    => Memfd, "EINVAL";
                "S14" flags_of_preadv2_and_pwritev2:
                    "RWF_HIPRI, DSYNC, SYNC, NOWAIT, unknown, 4 bytes each"
                    => Memfd, "read 4 4 4 EOPNOTSUPP EOPNOTSUPP; write 4 4 4 EOPNOTSUPP EOPNOTSUPP";
                "S14" rwf_append_writes_at_the_end:
                    "pwritev2 RWF_APPEND 8 bytes at 0"
                    => Memfd, "8, 1048584 bytes, start 0",
                    Node: "ENOSPC, 1048576 bytes, start 0";
                "S14" bytes_cross_between_it_and_other_files:
                    "sendfile() 1 MiB in and out again"
                    => Memfd, "equal";
            }
            areas {
                "S9" adjacent_mappings_merge:
                    "map pages 0 and 4 side by side through one descriptor, then page 20 before them"
                    => Memfd, "8+4 rw-s; 8+8 rw-s; 4+4 rw-s, 8+8 rw-s";
                "S9" mappings_of_two_opens_do_not_merge:
                    "the same through two descriptors, opened apart"
                    => Memfd, "8+4 rw-s, 12+4 rw-s";
                "S9" a_mapping_between_two_merges_all_three:
                    "fill the gap between two mappings"
                    => Memfd, "8+2 rw-s, 14+2 rw-s; 8+8 rw-s";
                "S9" unmapping_the_middle_splits:
                    "munmap() pages 2 and 3 of 8"
                    => Memfd, "8+2 rw-s, 12+4 rw-s, kept kept";
                "S9" mprotect_splits_and_merges_again:
                    "mprotect() pages 2 and 3 of 8 to read-only and back"
                    => Memfd, "8+2 rw-s, 10+2 r--s, 12+4 rw-s; 8+8 rw-s";
                "S9" mlock_splits_and_merges_again:
                    "mlock() and munlock() pages 2 and 3 of 8"
                    => Memfd, "8+2 rw-s, 10+2 rw-s, 12+4 rw-s, 2 resident; 8+8 rw-s";
                "S9" madvise_splits:
                    "MADV_RANDOM on 4 of 8 pages, then MADV_NORMAL"
                    => Memfd, "8+4 rw-s, 12+4 rw-s; 8+8 rw-s";
                "S9" mremap_shrinks_and_grows_in_place:
                    "mremap() 8 pages to 4, and to 8 again"
                    => Memfd, "ok, 8+4 rw-s; ok, 8+8 rw-s, seven";
                "S9" mremap_that_may_not_move_is_enomem:
                    "mremap() without room and without MAYMOVE"
                    => Memfd, "ENOMEM";
                "S9" mremap_moves_to_a_fixed_place:
                    "MREMAP_FIXED 4 pages, one of them mapped"
                    => Memfd, "ok, one two; old place SIGSEGV SEGV_MAPERR at +0x9000";
                "S9" mremap_grows_past_the_end:
                    "mremap() to one page more than there are, touch both"
                    => Memfd, "ok, SIGBUS BUS_ADRERR at +0x100000";
                "S9" mremap_keeps_private_copies:
                    "copy pages 1 and 3 of 4 privately, move, change all in the pool"
                    => Memfd, "new mine new mine";
                "S9" mremap_dontunmap_leaves_the_old_place:
                    "MREMAP_DONTUNMAP of a written page"
                    => Memfd, "shared: old mine, new mine; private: old old, new mine";
                "S9" mremap_of_nothing_maps_shared_memory_again:
                    "mremap() with an old length of 0"
                    => Memfd, "shared: hello hello; private: EINVAL";
                "S9" a_moved_page_is_the_same_frame:
                    "move a written page, compare frames"
                    => Memfd, "same";
                "S12" growsdown_and_noreserve:
                    "GROWSDOWN shared, private; NORESERVE shared, private; STACK, 32BIT"
                    => Memfd, "EINVAL EINVAL ok ok ok ok";
                "S17" overcommit_looks_at_private_mappings_only:
                    "map 1 TiB: private, with NORESERVE, read-only, shared"
                    => Memfd, "private ENOMEM, private without reserve ok, private read-only ok, shared ok";
            }
            pins {
                "-" vmsplice_takes_the_page_itself:
                    "vmsplice() 8 bytes, write the mapping, read the pipe"
                    => Memfd, "8, later";
                "-" a_pinned_page_survives_punching:
                    "vmsplice(), punch, write 64 new pages, read the pipe"
                    => Memfd, "pipe old, object new";
                "S4" process_vm_readv_and_writev:
                    "read and write the mapping of a child"
                    => Memfd, "read 8 hello, written 8 written";
                "S7" proc_mem_reads_and_writes:
                    "/proc/self/mem: private rw-, shared r--, shared rw-"
                    => Memfd, "private rw-: old ok new; shared r--: old EIO old; shared rw-: old ok new; read() new";
                "S4" ptrace_peeks_and_pokes:
                    "PTRACE_PEEKDATA a page, PTRACE_POKEDATA another"
                    => Memfd, "hello ok, written";
                "S5" a_debugger_writes_through_a_read_only_private_mapping:
                    "PTRACE_POKEDATA private r--, shared r--"
                    => Memfd, "private ok, shared EIO; child sees written, read() old";
                "-" a_core_dump_holds_the_pages:
                    "core of a child: shared page, private copy"
                    => Memfd, "by default there there, with file mappings there there",
                    Node: "by default missing there, with file mappings there there";
                "S14" io_uring_reads_and_writes:
                    "IORING_OP_READ, WRITE and FIXED ones, buffers in its own mapping"
                    => Memfd, "read 4096 hello, write 4096 hello; fixed: write 4096 fixed, read 4096 hello";
                "-" a_registered_buffer_survives_punching:
                    "register a mapping as io_uring buffer, punch, write anew"
                    => Memfd, "4096, buffer pinned, mapping new";
                "S5" a_system_call_writes_into_an_untouched_private_page:
                    "read() a pipe into a private page that nobody touched"
                    => Memfd, "8, from pip old, read() 0";
                "-" userfaultfd_register:
                    "UFFDIO_REGISTER: missing, write-protect, minor"
                    => Memfd, "ok ok ok", Node: "EINVAL EINVAL EINVAL", Created: "EINVAL EINVAL EINVAL";
            }
            locks {
                "S18" a_futex_wakes_another_process:
                    "FUTEX_WAIT in a child with its own mapping, FUTEX_WAKE"
                    => Memfd, "woken";
                "S18" a_changed_futex_is_not_waited_for:
                    "FUTEX_WAIT for another value, FUTEX_WAKE with nobody there"
                    => Memfd, "EAGAIN, 0 woken";
                "S18" a_futex_lock_excludes_four_processes:
                    "4 processes count to 500 each in two steps under a futex lock"
                    => Memfd, "2000";
                "S18" a_mutex_outlives_its_holder:
                    "robust process-shared pthread mutex: its holder is killed"
                    => Memfd, "child ok, parent EBUSY; killed: EOWNERDEAD, ok ok ok";
                "S18" a_futex_in_a_private_mapping_wakes_nobody_else:
                    "FUTEX_WAKE in a private and in a shared mapping"
                    => Memfd, "0 0";
            }
            advice {
                "-" every_advice_on_a_shared_mapping:
                    "madvise() with 19 advices, MAP_SHARED"
                    => Memfd, "all ok but FREE EINVAL, WIPEONFORK EINVAL";
                "-" every_advice_on_a_private_mapping:
                    "the same, MAP_PRIVATE"
                    => Memfd, "all ok but FREE EINVAL, WIPEONFORK EINVAL";
                "-" an_unknown_advice_is_einval:
                    "madvise() 9999" => Memfd, "EINVAL";
                "-" paging_out_loses_nothing:
                    "write, MADV_COLD, MADV_PAGEOUT"
                    => Memfd, "kept, read() kept";
                "-" giving_a_shared_page_up_keeps_it:
                    "write page 3 of a shared mapping, MADV_DONTNEED"
                    => Memfd, "page table , mincore 3, kept";
                "S8" populating_faults_pages_in:
                    "MADV_POPULATE_READ, POPULATE_WRITE on private mappings"
                    => Memfd, "256 resident, 256 mapped, then 256; read() 0";
                "S10" populating_past_the_end_is_efault:
                    "MADV_POPULATE_READ, POPULATE_WRITE a page more than there are"
                    => Memfd, "EFAULT EFAULT";
                "S4" a_mapping_can_stay_behind_at_fork:
                    "MADV_DONTFORK: touch in a child; then MADV_DOFORK"
                    => Memfd, "child SIGSEGV SEGV_MAPERR at +0x0, parent ours; then ok";
                "S8" locked_pages_are_kept_from_being_given_up:
                    "mlock(), MADV_DONTNEED"
                    => Memfd, "EINVAL, 256 mapped";
                "S11" a_locked_page_can_be_punched:
                    "mlock(), write, punch, read"
                    => Memfd, "ok, 255 resident, 0";
                "S8" mlockall_locks_what_comes_later:
                    "mlockall(MCL_FUTURE), map"
                    => Memfd, "256 resident, 256 mapped";
                "S8" rlimit_memlock_bounds_locks:
                    "user 1000, limit of 0 and 4 pages: mlock 4, 5, MAP_LOCKED 8"
                    => Memfd, "0: EPERM EPERM EPERM; 4: ok ENOMEM EAGAIN";
                "S19" mappings_without_huge_pages_work:
                    "PR_SET_THP_DISABLE, populate, write"
                    => Memfd, "256 mapped, hello";
            }
            memory {
                "S17" one_process_copies_more_than_there_is:
                    "32 MiB for the cgroup; private mapping with NORESERVE, copy 60 MiB"
                    => Memfd, "killed, object old";
                "S17" two_processes_copy_more_than_there_is:
                    "32 MiB for the cgroup; two processes copy 28 MiB each"
                    => Memfd, "one or both killed, object old";
                "-" a_broken_page_is_lost_for_those_who_use_it:
                    "MADV_HWPOISON page 0 of two; then punch it"
                    => Memfd, "ok; SIGBUS BUS_MCEERR_AR at +0x8, read() EIO, write() EIO; beside it whole; punched 0",
                    Node: "EBUSY; SIGBUS BUS_MCEERR_AR at +0x8, read() EIO, write() EIO; beside it whole; punched 0",
                    Created: "EBUSY; SIGBUS BUS_MCEERR_AR at +0x8, read() EIO, write() EIO; beside it whole; punched 0";
                "-" a_transfer_ends_before_a_broken_page:
                    "MADV_HWPOISON page 2 of three: read, write all three"
                    => Memfd, "8192 8192";
                "-" a_failing_page_is_moved_away:
                    "MADV_SOFT_OFFLINE a written page"
                    => Memfd, "ok, kept, another frame";
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
                "S14" reading_into_itself_beside_punching:
                    "pread, pwrite with untouched parts of its own mapping, two threads punch"
                    => Memfd, "done, 0 resident, highest byte 0";
                "S14" reading_into_itself_beside_resizing:
                    "the same, two threads shrink and grow"
                    => Memfd, "done, 0 resident, highest byte 0";
                "S10" faults_beside_resizing_are_served_or_sigbus:
                    "2 processes touch all pages, the parent shrinks and grows"
                    => Memfd, "done, 0 resident, highest byte 0";
            }
            huge {
                "S19" a_shared_mapping_is_huge:
                    "4 huge pages: write the first byte of each"
                    => Memfd, "4 faults, 2048 resident, 2048 in the page table, 4 huge", Node: -;
                "S19" a_private_mapping_is_huge:
                    "the same, MAP_PRIVATE: read a byte of each"
                    => Memfd, "4 faults, 2048 resident, 4 huge, [0, 0, 0, 0]", Node: -;
                "S5" a_private_write_copies_one_page:
                    "write page 5 of a huge page privately"
                    => Memfd, "1 copy; page 5 mine, object 1005; page 6 theirs; 1024 resident", Node: -;
                "S10" the_last_pages_come_in_smaller_pieces:
                    "a huge page and 5 more: touch all, touch past the end"
                    => Memfd, "512 resident, then 517; past the end SIGBUS BUS_ADRERR at +0x205000", Node: -;
                "S11" a_hole_in_the_middle_frees_its_pages:
                    "punch pages 7 to 9 of 2 huge pages"
                    => Memfd, "1 huge; 1021 resident; hole from page 7 to 10; pages 6 7 9 10 1006 0 0 1010", Node: -;
                "S11" a_hole_across_two_frees_its_pages:
                    "punch across 3 huge pages, not at page boundaries"
                    => Memfd, "1021 resident; first page 1510 0, last page 0 ZZZZZZZZ", Node: -;
                "S10" shrinking_into_the_middle_frees_the_rest:
                    "shrink 2 huge pages to 8 pages and 8 bytes, grow again"
                    => Memfd, "9 resident; page 9 SIGBUS BUS_ADRERR at +0x9000, private SIGBUS BUS_ADRERR at +0x9000; larger again: pages 7 8 9 1007 1008 0, rest of page 8 0", Node: -;
                "-" guard_regions_outlive_what_they_cover:
                    "MADV_GUARD_INSTALL on pages 6 and 8 of 10, shrink to 5, grow again"
                    => Memfd, "pages 5 6 7 8: ok, SIGSEGV SEGV_MAPERR at +0x6000, ok, SIGSEGV SEGV_MAPERR at +0x8000", Node: -;
                "-" a_pinned_one_stays_whole_when_punched:
                    "page 0 of a huge page in a pipe: punch pages 7 to 9"
                    => Memfd, "512 resident; pages 0 6 7 9 10 1000 1006 0 0 1010; then new; pipe 1000; unpinned: 509 resident", Node: -;
                "-" a_page_of_a_pinned_one_stays_in_the_object:
                    "page 0 of a huge page in a pipe: punch it, write it anew"
                    => Memfd, "0, then new; pipe new; 512 resident", Node: -;
                "-" a_pinned_one_ends_where_the_object_does:
                    "page 0 of 2 huge pages in a pipe: shrink to 8 pages, then 4, grow again"
                    => Memfd, "page 8 SIGBUS BUS_ADRERR at +0x8000; pipe 1000; page 4 SIGBUS BUS_ADRERR at +0x4000; larger again: pages 0 3 4 8 511 512 1000 1003 0 0 0 0; size 0: 0 resident", Node: -,
                    Oracle: "page 8 ok; pipe 1000; page 4 SIGBUS BUS_ADRERR at +0x4000; larger again: pages 0 3 4 8 511 512 1000 1003 0 0 0 0; size 0: 0 resident";
                "S9" a_part_can_be_unmapped_and_protected:
                    "unmap pages 8 to 15 of a huge page, protect half of another"
                    => Memfd, "0 0; pages 7 16 1007 1016; unmapped: SIGSEGV SEGV_MAPERR at +0x8000; protected: read ok, write SIGSEGV SEGV_ACCERR at +0x300000; 1024 resident", Node: -;
                "-" a_part_can_be_moved:
                    "mremap() the second half of a huge page, to twice its size"
                    => Memfd, "pages 0 255 1000 1255; moved 256 1256, 257 moved; object moved; behind the end SIGBUS BUS_ADRERR at +0x100000", Node: -;
                "-" advice_takes_mappings_only:
                    "MADV_DONTNEED pages 3 to 6 of a huge page"
                    => Memfd, "0 in the page table; pages 2 3 6 7 1002 1003 1006 1007; 512 resident", Node: -;
                "S4" a_child_shares_and_copies:
                    "fork with a huge page mapped shared and privately, both write"
                    => Memfd, "child sees parent mine; parent sees child, private before 1002", Node: -;
                "S14" write_and_read_cross_borders:
                    "write(2) from one huge page to the next but one, read(2) more"
                    => Memfd, "same, zero around it; 1536 resident", Node: -;
                "-" fallocate_is_huge:
                    "fallocate() 2 huge pages of an empty object"
                    => Memfd, "1024 resident, 2 huge", Node: -;
                "-" a_mapping_that_is_not_aligned_is_not_huge:
                    "map from page 1 on, as much as a huge page"
                    => Memfd, "0 huge; one last", Node: -;
                "S8" locking_and_collapsing_leave_it_huge:
                    "mlock() 2 huge pages, MADV_COLLAPSE"
                    => Memfd, "2 huge; collapse ok; 2 huge, 1024 resident", Node: -;
                "-" collapsing_small_pages_loses_nothing:
                    "2 MiB of single pages: MADV_COLLAPSE"
                    => Memfd, "512 right, 1024 resident", Node: -;
                "-" a_window_is_allocated_and_mapped_together:
                    "windows of 64 KiB: write pages 20 and 31"
                    => Memfd, "1 fault, 16 resident; in the page table 16 to 31; mincore 16", Node: -, Oracle: -;
                "-" a_window_at_the_end_is_smaller:
                    "windows of 64 KiB, 21 pages: write pages 17 and 20"
                    => Memfd, "mincore 16 17 18 19 20; past the end SIGBUS BUS_ADRERR at +0x15000", Node: -, Oracle: -;
                "S15" eager_mappings_never_fault:
                    "eager: map 64 pages with MAP_POPULATE, then write each"
                    => Memfd, "64 resident when created; 64 in the page table; then 0 faults", Node: -, Oracle: "0 resident when created; 64 in the page table; then 0 faults";
                "S15" lazy_mappings_fault_for_each_page:
                    "lazy: map 64 pages, then write each"
                    => Memfd, "0 resident, 0 in the page table; then 64 faults", Node: -;
                "S15" eager_mappings_are_memory_like_any_other:
                    "eager: offset, private copy, MADV_DONTNEED, fork, past the end"
                    => Memfd, "object shared, private shared; page 9 0, private mine; child shared; past the end SIGBUS BUS_ADRERR at +0x38000", Node: -;
                "S15" eager_pools_keep_their_pages:
                    "eager: shrink, punch, MADV_REMOVE, grow, revoke"
                    => Memfd, "shrink EPERM, punch EPERM, MADV_REMOVE EPERM, grow ok, revoke EPERM; 65 resident", Node: -, Oracle: -;
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
