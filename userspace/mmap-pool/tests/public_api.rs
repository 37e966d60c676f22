// SPDX-License-Identifier: MIT OR GPL-2.0

//! `public-api.txt` lists the public interface, item by item.
//!
//! A change of the interface changes that file and CHANGELOG.md too. While the major version is 0, a
//! line that is removed or changed needs a new minor version, and a line that is added needs a new patch
//! version.
//!
//! Only `make check` runs this test. The crate that reads rustdoc's JSON works with a single version of
//! rustdoc, the one of the project's own tools.

use std::path::Path;
use std::process::Command;

use public_api::Builder;

#[test]
fn the_public_interface_is_the_one_on_record() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = Command::new(env!("CARGO"))
        .args(["rustdoc", "--locked", "--quiet", "--lib", "--all-features"])
        .args(["--", "-Zunstable-options", "--output-format=json"])
        .current_dir(folder)
        // Stable rustdoc accepts these options only with RUSTC_BOOTSTRAP.
        .env("RUSTC_BOOTSTRAP", "mmap_pool")
        .status()
        .unwrap();
    assert!(built.success());

    // CARGO_TARGET_TMPDIR is `tmp`, next to `doc`. With a target, it is next to the target's folder.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let json = ["x86_64-unknown-linux-gnu/doc", "doc"]
        .map(|doc| target.join(doc).join("mmap_pool.json"))
        .into_iter()
        .find(|path| path.exists())
        .expect("rustdoc has written its JSON");
    let found = Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .unwrap()
        .to_string();

    let record = folder.join("public-api.txt");
    if std::env::var_os("MMAP_POOL_RECORD").is_some() {
        std::fs::write(&record, &found).unwrap();
    }
    let recorded = std::fs::read_to_string(&record).unwrap();
    let lacks = |text: &str, line: &str| !text.lines().any(|other| other == line);
    let gone = recorded.lines().filter(|line| lacks(&found, line));
    let new = found.lines().filter(|line| lacks(&recorded, line));
    let changes: Vec<_> = gone
        .map(|line| format!("- {line}"))
        .chain(new.map(|line| format!("+ {line}")))
        .collect();
    assert!(
        changes.is_empty(),
        "the public interface has changed:\n{}\n\
         If that is intended, run: MMAP_POOL_RECORD=1 qemu/enter cargo test -p mmap-pool --test public_api",
        changes.join("\n")
    );
}
