// SPDX-License-Identifier: MIT OR GPL-2.0

//! Real programs on backed pools.
//!
//! A new database is made in a file, and copied into the object: `SQLite` and LMDB take only an empty file for
//! a new database, and a backed pool is never empty.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{symlink, FileExt};
use std::process::{self, Command, Stdio};
use std::thread;
use std::time::Duration;

use mmap_pool::{Errno, Pool};
use mmap_pool_tests::program::{
    boots_in, compiled, program, run, try_run, INHERITED_PATH, MACHINE_LEN,
};
use rustix::mount::{mount, unmount, MountFlags, UnmountFlags};
use rustix::process::{kill_process, Pid, Signal};

use crate::on_each;
use crate::store::{backed, builder, page_size, Store};

on_each! {
    fio_reads_what_another_engine_wrote;
    sqlite_keeps_a_database_with_each_journal;
    lmdb_loads_and_dumps;
    lmdb_keeps_what_it_acknowledged_when_it_is_killed;
}

const LEN: usize = 2 << 20;

/// One engine writes all blocks with checksums, another reads and compares them, and a third does so
/// after the pool was closed.
fn fio_reads_what_another_engine_wrote(store: &Store) {
    let mut pool = backed(&store.object(LEN));
    for [writer, reader, later] in [
        ["mmap", "io_uring", "psync"],
        ["libaio", "mmap", "io_uring"],
    ] {
        fio(&pool, writer, &["--do_verify=0", "--end_fsync=1"]);
        fio(&pool, reader, &["--verify_only=1"]);
        drop(pool);
        pool = again(store);
        fio(&pool, later, &["--verify_only=1"]);
    }
}

fn fio(pool: &Pool, engine: &str, options: &[&str]) {
    run(program("fio", pool)
        .args(["--name=blocks", "--rw=randwrite", "--bs=4k"])
        .args(["--verify=crc32c", "--randseed=1", "--iodepth=4"])
        .arg(format!("--size={LEN}"))
        .arg(format!("--filename={INHERITED_PATH}"))
        .arg(format!("--ioengine={engine}"))
        .args(options));
}

/// A pool whose object begins with the content of a file.
fn with_content(store: &Store, file: &str, len: usize) -> Pool {
    let object = store.object(len);
    object.write_all_at(&fs::read(file).unwrap(), 0).unwrap();
    object.sync_all().unwrap();
    backed(&object)
}

/// Copies the object into a file, past every cache.
fn copy_of_object(store: &Store, len: usize, file: &str) {
    fs::write(file, store.stored(0, len)).unwrap();
}

/// Tables, an index, text that is longer than a page.
const MAKE: &str = "
    create table things (id integer primary key, name text, content text);
    with recursive counter(n) as (select 1 union all select n + 1 from counter where n < 2000)
        insert into things select n, 'thing ' || (n * 7919 % 2003), hex(zeroblob(n % 97)) from counter;
    create index by_name on things (name);
    insert into things values (5000, 'long', hex(zeroblob(20000)));
";

/// Rows change and go, others come.
const CHANGE: &str = "
    update things set content = 'changed ' || content where id % 5 = 0;
    delete from things where id % 3 = 0;
    insert into things select id + 10000, name, content from things where id % 2 = 0;
    begin; delete from things; rollback;
";

/// Runs a script on the database and returns the answers.
fn sqlite(pool: &Pool, database: &str, script: &str) -> (Option<i32>, String) {
    fs::write("/tmp/script", script).unwrap();
    try_run(
        program("sqlite3", pool)
            .args(["-bail", database, ".read /tmp/script"])
            .env("LD_PRELOAD", compiled("named.so")),
    )
}

fn remove_databases() {
    for name in ["file", "file-wal", "file-shm", "file-journal", "copy"] {
        let _ = fs::remove_file(format!("/tmp/{name}"));
    }
}

/// Does the same with a file, and compares the answers. The object then has the same database.
fn sqlite_keeps_a_database_with_each_journal(store: &Store) {
    for journal in ["delete", "wal"] {
        remove_databases();
        let any = Pool::open().unwrap();
        let answered = |(status, said): (Option<i32>, String)| {
            assert_eq!(status, Some(0), "{journal}: {said}");
            said
        };
        answered(sqlite(&any, "/tmp/file", MAKE));
        let pool = with_content(store, "/tmp/file", LEN);
        let change =
            format!("pragma mmap_size = 8388608; pragma journal_mode = {journal};{CHANGE}");
        let dump = "pragma mmap_size = 8388608;\npragma integrity_check;\n.dump\n";
        for script in [&*change, dump] {
            let told = answered(sqlite(&pool, "/pool", script));
            let told_of_file = answered(sqlite(&any, "/tmp/file", script));
            assert!(told == told_of_file, "{journal}: {told}\n{told_of_file}");
        }
        let told = answered(sqlite(&pool, "/pool", dump));
        drop(pool);
        // The pool is closed when there can be another one.
        drop(again(store));
        copy_of_object(store, LEN, "/tmp/copy");
        assert!(
            answered(sqlite(&any, "/tmp/copy", dump)) == told,
            "{journal}"
        );
    }
}

/// The size of the object bounds the database, which stays as it was. The block device is too large for this
/// test.
#[test]
fn sqlite_is_told_that_the_size_is_fixed() {
    Store::ext4(fixed_size);
}

fn fixed_size(store: &Store) {
    remove_databases();
    let any = Pool::open().unwrap();
    let (status, said) = sqlite(&any, "/tmp/file", MAKE);
    assert_eq!(status, Some(0), "{said}");
    let len = usize::try_from(fs::metadata("/tmp/file").unwrap().len()).unwrap();
    let pool = with_content(store, "/tmp/file", len + 16 * page_size());
    let (_, before) = sqlite(&pool, "/pool", ".dump");
    let (status, said) = sqlite(
        &pool,
        "/pool",
        "insert into things values (null, 'x', zeroblob(1000000));",
    );
    assert_ne!(status, Some(0));
    assert!(said.contains("full"), "{said}");
    let (status, after) = sqlite(&pool, "/pool", "pragma integrity_check;\n.dump");
    assert_eq!((status, after), (Some(0), format!("ok\n{before}")));
    // Nor can the object become smaller.
    let (status, said) = sqlite(&pool, "/pool", "delete from things where id > 9; vacuum;");
    assert_eq!(status, Some(1));
    assert!(said.contains("disk I/O error"), "{said}");
    let ask = "pragma integrity_check; select count(*) from things;";
    assert_eq!(sqlite(&pool, "/pool", ask), (Some(0), "ok\n9\n".to_owned()));
}

/// The path of a database in the pool: LMDB makes its lock beside it.
const LMDB: &str = "/tmp/pool.lmdb";

fn name_for_lmdb() {
    let _ = fs::remove_file(LMDB);
    let _ = fs::remove_file(format!("{LMDB}-lock"));
    symlink(INHERITED_PATH, LMDB).unwrap();
}

/// An empty database in a file, which may become `len` bytes.
fn new_lmdb(len: usize) -> &'static str {
    let _ = fs::remove_file("/tmp/new.lmdb");
    fs::write(
        "/tmp/empty",
        format!("VERSION=3\nformat=print\ntype=btree\nmapsize={len}\nmaxreaders=126\nHEADER=END\nDATA=END\n"),
    )
    .unwrap();
    run(program("mdb_load", &Pool::open().unwrap()).args([
        "-n",
        "-f",
        "/tmp/empty",
        "/tmp/new.lmdb",
    ]));
    "/tmp/new.lmdb"
}

/// Its own tools, through mappings and through `pwrite`.
fn lmdb_loads_and_dumps(store: &Store) {
    let mut text = format!("VERSION=3\nformat=print\ntype=btree\nmapsize={LEN}\nHEADER=END\n");
    for number in 0..500 {
        text += &format!(
            " key {number:04}\n {}\n",
            "value ".repeat(number * 37 % 400 + 1)
        );
    }
    text += "DATA=END\n";
    fs::write("/tmp/text", text).unwrap();
    name_for_lmdb();
    let file = new_lmdb(LEN);
    let pool = with_content(store, file, LEN);
    for path in [LMDB, file] {
        run(program("mdb_load", &pool).args(["-n", "-f", "/tmp/text", path]));
    }
    let dump = |path| run(program("mdb_dump", &pool).args(["-n", "-p", path]));
    let records = |dump: &str| dump[dump.find("HEADER=END").unwrap()..].to_owned();
    let told = records(&dump(LMDB));
    assert!(told.len() > 500_000);
    assert!(told == records(&dump(file)));
    let _ = fs::remove_file("/tmp/copy.lmdb");
    run(program("mdb_copy", &pool).args(["-n", "-c", LMDB, "/tmp/copy.lmdb"]));
    assert!(told == records(&dump("/tmp/copy.lmdb")));
    // `mdb_load` does not sync.
    pool.sync().unwrap();
    copy_of_object(store, LEN, "/tmp/copy.lmdb");
    assert!(told == records(&dump("/tmp/copy.lmdb")));
}

/// A direct copy of the object shows what a power failure would leave: the pool still has dirty pages.
fn lmdb_keeps_what_it_acknowledged_when_it_is_killed(store: &Store) {
    fs::write("/tmp/transactions.py", include_str!("transactions.py")).unwrap();
    for mode in ["write", "map"] {
        name_for_lmdb();
        let mut pool = with_content(store, new_lmdb(LEN), LEN);
        let mut last = 0;
        for nr_transactions in [1, 12, 40] {
            let acknowledged = killed_after(&pool, mode, nr_transactions);
            assert!(acknowledged >= last + nr_transactions, "{acknowledged}");
            copy_of_object(store, LEN, "/tmp/crash.lmdb");
            let found = verify(&pool, "/tmp/crash.lmdb");
            // The last transaction may be durable, and not acknowledged.
            assert!([acknowledged, acknowledged + 1].contains(&found), "{found}");
            last = verify(&pool, LMDB);
            assert!([acknowledged, acknowledged + 1].contains(&last), "{last}");
            drop(pool);
            pool = again(store);
        }
        assert_eq!(verify(&pool, LMDB), last);
    }
}

fn lmdb(pool: &Pool, mode: &str, path: &str) -> Command {
    let mut command = program("python3", pool);
    // Through a writable mapping, LMDB gives the file the size of the mapping.
    let size = pool.info().unwrap().size_bytes.to_string();
    command.args(["/tmp/transactions.py", mode, path, &size]);
    command
}

/// Compares all records, and returns the number of the last transaction.
fn verify(pool: &Pool, path: &str) -> u64 {
    run(&mut lmdb(pool, "verify", path)).trim().parse().unwrap()
}

/// Kills the writer when it has acknowledged so many transactions, and returns the number of the last one.
fn killed_after(pool: &Pool, mode: &str, nr_transactions: u64) -> u64 {
    let mut command = lmdb(pool, mode, LMDB);
    let mut started = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(started.stdout.take().unwrap()).lines();
    let mut numbers = lines.map(|line| line.unwrap().parse().unwrap());
    // `timeout` is its parent.
    let writer = Pid::from_raw(numbers.next().expect("the writer runs")).unwrap();
    let mut last = 0;
    for _ in 0..nr_transactions {
        last = numbers.next().expect("the writer runs");
    }
    kill_process(writer, Signal::KILL).unwrap();
    // Those that it has acknowledged meanwhile.
    last = numbers.last().unwrap_or(last);
    started.wait().unwrap();
    u64::try_from(last).unwrap()
}

/// Another pool on the object of the one that was closed. A program that was started may hold its
/// descriptor for a moment.
fn again(store: &Store) -> Pool {
    let object = File::options()
        .read(true)
        .write(true)
        .open(store.path())
        .unwrap();
    for _ in 0..1000 {
        match builder(&object).create() {
            Err(error) if error.errno() == Errno::BUSY => {
                thread::sleep(Duration::from_millis(10));
            }
            created => return created.unwrap(),
        }
    }
    panic!("the pool stays open");
}

/// GNU dbm reads and writes its file through a shared mapping. It refuses a file that is longer than the database.
#[test]
fn gdbm_changes_a_database_in_its_place() {
    Store::ext4(gdbm);
}

fn gdbm(store: &Store) {
    const FILE: &str = "/tmp/file.gdbm";
    let any = Pool::open().unwrap();
    let change = |pool: &Pool, path: &str, value: &str, step: usize| {
        let mut script = String::new();
        for number in (1..3000).step_by(step) {
            script += &format!("store key{number} {value}{}\n", number * 7919);
        }
        fs::write("/tmp/script", script).unwrap();
        run(program("gdbmtool", pool).args(["-f", "/tmp/script", path]));
    };
    let dump = |pool: BorrowedFd<'_>, path: &str| {
        let said = run(program("gdbm_dump", &pool).args([path, "-"]));
        let (_, records) = said.split_once("# End of header").unwrap();
        records.to_owned()
    };
    let _ = fs::remove_file(FILE);
    change(&any, FILE, "value", 1);
    let len = usize::try_from(fs::metadata(FILE).unwrap().len()).unwrap();
    let pool = with_content(store, FILE, len);
    let before = dump(pool.as_fd(), INHERITED_PATH);
    for path in [FILE, INHERITED_PATH] {
        // As long as those before, so that the file needs no more room.
        change(&pool, path, "VALUE", 7);
    }
    let after = dump(pool.as_fd(), INHERITED_PATH);
    assert!(after == dump(any.as_fd(), FILE) && after != before);
    drop(pool);
    drop(again(store));
    let object = File::open(store.path()).unwrap();
    assert!(after == dump(object.as_fd(), INHERITED_PATH));
}

/// QEMU boots a machine whose memory is the pool. What it wrote is in the object.
#[test]
fn a_guest_boots_in_a_pool_on_a_file() {
    Store::ext4(machine);
}

fn machine(store: &Store) {
    let object = store.object(MACHINE_LEN);
    let pool = backed(&object);
    let texts = boots_in(&pool, INHERITED_PATH);
    let info = pool.info().unwrap();
    assert!(info.nr_resident_pages > 1024, "{info:?}");
    // The last close writes back.
    drop(pool);
    drop(again(store));
    for text in &texts {
        run(program("grep", &object).args(["-a", "-q", "-F", text, INHERITED_PATH]));
    }
}

/// A loop device on the pool.
struct Loop(String);

impl Loop {
    fn new(pool: &Pool) -> Self {
        let losetup = |arguments: &[&str]| {
            let output = Command::new("losetup").args(arguments).output().unwrap();
            assert!(output.status.success(), "{arguments:?}: {output:?}");
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let device = losetup(&["-f"]);
        let file = format!("/proc/{}/fd/{}", process::id(), pool.as_raw_fd());
        losetup(&[&device, &file]);
        Self(device)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let removed = Command::new("losetup").args(["-d", &self.0]).status();
        assert!(removed.unwrap().success() || thread::panicking());
    }
}

/// A file system that lives in the pool, as an image that a loop device shows.
#[test]
fn a_file_system_in_a_pool_keeps_a_tree() {
    Store::device(tree);
}

fn tree(store: &Store) {
    const TREE: &str = "/usr/lib/python3.13";
    const FOLDER: &str = "/disk/mnt";
    let mut pool = backed(&store.object(page_size()));
    fs::create_dir_all(FOLDER).unwrap();
    for is_new in [true, false] {
        let device = Loop::new(&pool);
        if is_new {
            run(program("/usr/sbin/mke2fs", &pool).args(["-q", "-t", "ext4", &device.0, "96M"]));
        } else {
            run(program("/usr/sbin/e2fsck", &pool).args(["-f", "-n", &device.0]));
        }
        mount(&device.0, FOLDER, "ext4", MountFlags::empty(), None).unwrap();
        if is_new {
            run(program("rsync", &pool).args(["-a", TREE, "/mnt/"]));
        }
        // Compares the bytes.
        let options = ["-rlcn", "--delete", "--out-format=%i %n"];
        let different = run(program("rsync", &pool).args(options).args([TREE, "/mnt/"]));
        unmount(FOLDER, UnmountFlags::empty()).unwrap();
        assert_eq!(different, "");
        drop(device);
        drop(pool);
        pool = again(store);
    }
}
