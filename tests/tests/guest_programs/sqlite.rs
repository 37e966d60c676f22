// SPDX-License-Identifier: MIT OR GPL-2.0

//! `SQLite` with a database in a created pool. It reads the database through a mapping.
//!
//! `SQLite` does not open links, so `/proc/self/fd` does not help. A preloaded library gives the
//! descriptor the name `/pool`. The node has a name, but `fstat` reports size 0, and `SQLite` takes
//! it for an empty file.

use std::fs;

use crate::given::{compiled, run, try_run, Given};

/// Tables, an index, rows that go and leave holes, text that is longer than a page.
const MAKE: &str = "
    create table things (id integer primary key, name text, content text);
    with recursive counter(n) as (select 1 union all select n + 1 from counter where n < 2000)
        insert into things select n, 'thing ' || (n * 7919 % 2003), hex(zeroblob(n % 97)) from counter;
    create index by_name on things (name);
    insert into things values (5000, 'long', hex(zeroblob(20000)));
    update things set content = 'changed ' || content where id % 5 = 0;
    delete from things where id % 3 = 0;
";

#[test]
fn a_database_with_a_rollback_journal() {
    keeps_a_database("delete");
}

#[test]
fn a_database_with_a_journal_in_memory() {
    keeps_a_database("memory");
}

#[test]
fn a_database_with_a_write_ahead_log() {
    keeps_a_database("wal");
}

#[test]
fn vacuum_makes_the_pool_smaller() {
    Given::created(0, |given| {
        sqlite(given, "/pool", MAKE);
        let before = given.pool.info().unwrap();
        sqlite(given, "/pool", "delete from things where id > 100; vacuum;");
        let after = given.pool.info().unwrap();
        assert!(after.size_bytes < before.size_bytes, "{before:?} {after:?}");
        assert_eq!(after.nr_resident_pages * 4096, after.size_bytes);
        assert_eq!(sqlite(given, "/pool", "pragma integrity_check;"), "ok\n");
    });
}

#[test]
fn a_transaction_that_is_taken_back_leaves_the_bytes() {
    Given::created(0, |given| {
        sqlite(given, "/pool", MAKE);
        let before = sqlite(given, "/pool", ".dump");
        sqlite(given, "/pool", "begin; delete from things; rollback;");
        assert_eq!(sqlite(given, "/pool", ".dump"), before);
    });
}

#[test]
fn the_node_is_an_empty_file_each_time() {
    Given::node(8, |given| {
        let kept = sqlite(
            given,
            given.path,
            "pragma locking_mode = exclusive; create table t (n); insert into t values (7);
            select n from t;",
        );
        assert_eq!(kept, "exclusive\n7\n");
        let (status, said) = try_run(
            given
                .program("sqlite3")
                .args([given.path, "select n from t"]),
        );
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains("no such table: t"), "{said}");
    });
}

/// Keeps the same database in the pool and in a file, and compares the answers.
fn keeps_a_database(journal: &str) {
    Given::created(0, |given| {
        for name in ["/tmp/file", "/tmp/file-wal", "/tmp/file-shm"] {
            let _ = fs::remove_file(name);
        }
        let make = format!("pragma journal_mode = {journal};{MAKE}");
        sqlite(given, "/pool", &make);
        sqlite(given, "/tmp/file", &make);

        // The second process finds what the first one left, in a mapping of the pool.
        let maps = ".shell grep -c mmap_pool:given /proc/$PPID/maps\n";
        let ask = format!(
            "pragma mmap_size = 8388608;\nselect count(*), sum(length(content)) from things;\n\
             pragma integrity_check;\n{maps}.dump\n"
        );
        let told = sqlite(given, "/pool", &ask);
        let told_of_file = sqlite(given, "/tmp/file", &ask.replace(maps, ".print 1\n"));
        assert!(told.starts_with("8388608\n1335|"), "{told}");
        assert!(told == told_of_file, "{told}\n{told_of_file}");

        let info = given.pool.info().unwrap();
        assert_eq!(info.size_bytes, fs::metadata("/tmp/file").unwrap().len());
    });
}

/// Runs a script on the database and returns the answers.
fn sqlite(given: &Given, database: &str, script: &str) -> String {
    fs::write("/tmp/script", script).unwrap();
    run(given
        .program("sqlite3")
        .args(["-bail", database, ".read /tmp/script"])
        .env("LD_PRELOAD", compiled("named.so")))
}
