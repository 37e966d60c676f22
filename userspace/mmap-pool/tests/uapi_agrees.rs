// SPDX-License-Identifier: MIT OR GPL-2.0

//! The C header and `src/uapi.rs` define the same interface.
//!
//! The names come from both texts. The sizes, offsets and values come from both compilers. The test
//! fails if a struct, field or constant differs, and also if it is missing on one side.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mmap_pool::uapi;

/// A size, offset or value, by the name of the struct, field or constant in C.
type Facts = BTreeMap<String, u64>;

/// The facts of the Rust module.
fn rust_facts() -> Facts {
    let mut facts = Facts::new();
    for &(name, size, alignment, fields) in uapi::STRUCTURES {
        let name = format!("mmap_pool_{}", snake_case(name));
        facts.insert(format!("sizeof {name}"), size as u64);
        facts.insert(format!("alignof {name}"), alignment as u64);
        for &(field, offset, size) in fields {
            facts.insert(format!("offsetof {name}.{field}"), offset as u64);
            facts.insert(format!("sizeof {name}.{field}"), size as u64);
        }
    }
    for &(name, value) in uapi::CONSTANTS {
        facts.insert(format!("MMAP_POOL_{name}"), value);
    }
    for strategy in uapi::Strategy::ALL {
        let name = strategy.name().to_uppercase();
        facts.insert(format!("MMAP_POOL_STRATEGY_{name}"), strategy as u64);
    }
    facts
}

#[test]
fn c_header_and_rust_module_agree() {
    let c = c_facts(&CHeader::read(&header_path()), &header_path());
    let rust = rust_facts();
    let names: BTreeSet<_> = c.keys().chain(rust.keys()).collect();
    let differences: Vec<_> = names
        .into_iter()
        .filter(|&name| c.get(name) != rust.get(name))
        .map(|name| format!("{name}: C {:?}, Rust {:?}", c.get(name), rust.get(name)))
        .collect();
    assert!(
        differences.is_empty(),
        "the two differ:\n{}",
        differences.join("\n")
    );
}

/// Two macros define the items and list them. An item outside of the macros is in no list.
#[test]
fn every_item_of_the_rust_module_is_compared() {
    let text = fs::read_to_string(root().join("src/uapi.rs")).unwrap();
    let rust = rust_facts();
    let mut nr_items = 0;
    for line in text.lines() {
        let Some(item) = line.trim_start().strip_prefix("pub ") else {
            continue;
        };
        let words: Vec<_> = item.split([' ', ':']).collect();
        let name = match words[..] {
            ["const", "ALL" | "STRUCTURES" | "CONSTANTS", ..] => continue,
            ["const", name, ..] if !name.starts_with('$') => format!("MMAP_POOL_{name}"),
            ["struct", name, ..] if !name.starts_with('$') => {
                format!("sizeof mmap_pool_{}", snake_case(name))
            }
            _ => continue,
        };
        assert!(rust.contains_key(&name), "{line:?} is not compared with C");
        nr_items += 1;
    }
    assert!(
        nr_items >= 23,
        "only {nr_items} items found: has the layout of src/uapi.rs changed?"
    );
}

#[test]
fn a_field_missing_on_one_side_is_noticed() {
    let text = fs::read_to_string(header_path()).unwrap();
    let shorter = text.replace("\t__u32 abi_version;\n", "");
    assert_ne!(shorter, text);
    let path = scratch().join("shorter.h");
    fs::write(&path, shorter).unwrap();
    let c = c_facts(&CHeader::read(&path), &path);
    assert!(!c.contains_key("offsetof mmap_pool_info.abi_version"));
    assert_ne!(c, rust_facts());
}

/// Names that a header defines.
#[derive(Default)]
struct CHeader {
    constants: Vec<String>,
    /// Each struct with its fields.
    structs: Vec<(String, Vec<String>)>,
}

impl CHeader {
    fn read(path: &Path) -> Self {
        let mut header = Self::default();
        let mut is_inside_struct = false;
        for line in fs::read_to_string(path).unwrap().lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            match words[..] {
                ["};", ..] => is_inside_struct = false,
                ["struct", name, "{"] => {
                    header.structs.push((name.into(), Vec::new()));
                    is_inside_struct = true;
                }
                [_type, field] if is_inside_struct && field.ends_with(';') => {
                    let name = field.split(['[', ';']).next().unwrap();
                    header.structs.last_mut().unwrap().1.push(name.into());
                }
                [] | ["/*" | "*" | "*/" | "/**", ..] => {}
                _ if is_inside_struct => panic!("this test cannot read the field {line:?}"),
                ["#define", name, _, ..] if name.starts_with("MMAP_POOL_") => {
                    header
                        .constants
                        .push(name.split('(').next().unwrap().into());
                }
                _ => {}
            }
        }
        assert!(!header.structs.is_empty() && !header.constants.is_empty());
        header
    }
}

/// Returns the sizes, offsets and values of a C header. A compiled C program prints them.
fn c_facts(header: &CHeader, path: &Path) -> Facts {
    let mut program = format!(
        "#include <stddef.h>\n#include <stdio.h>\n#include \"{}\"\n\
         #define SHOW(name, value) printf(\"%s=%llu\\n\", name, (unsigned long long)(value))\n\
         int main(void)\n{{\n",
        path.display()
    );
    for (name, fields) in &header.structs {
        writeln!(program, "\tSHOW(\"sizeof {name}\", sizeof(struct {name}));").unwrap();
        writeln!(
            program,
            "\tSHOW(\"alignof {name}\", _Alignof(struct {name}));"
        )
        .unwrap();
        for field in fields {
            let of = format!("{name}.{field}");
            writeln!(
                program,
                "\tSHOW(\"offsetof {of}\", offsetof(struct {name}, {field}));"
            )
            .unwrap();
            writeln!(
                program,
                "\tSHOW(\"sizeof {of}\", sizeof(((struct {name} *)0)->{field}));"
            )
            .unwrap();
        }
    }
    for constant in &header.constants {
        writeln!(program, "\tSHOW(\"{constant}\", {constant});").unwrap();
    }
    program.push_str("\treturn 0;\n}\n");

    let stem = scratch().join(path.file_stem().unwrap());
    let source = stem.with_extension("c");
    let binary = stem.with_extension("bin");
    fs::write(&source, program).unwrap();
    let compiled = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-std=c11", "-o"])
        .args([&binary, &source])
        .status()
        .expect("a C compiler is needed: cc");
    assert!(compiled.success(), "{} does not compile", source.display());
    let output = Command::new(&binary).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| line.split_once('=').unwrap())
        .map(|(name, value)| (name.into(), value.parse().unwrap()))
        .collect()
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (at, letter) in name.char_indices() {
        if letter.is_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .into()
}

fn header_path() -> PathBuf {
    root().join("include/uapi/linux/mmap_pool.h")
}

fn scratch() -> PathBuf {
    env!("CARGO_TARGET_TMPDIR").into()
}
