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

/// Adds the size and the offsets of a struct. If a field is not listed, this does not compile.
macro_rules! layout {
    ($facts:ident, $c_name:literal = $rust:ident { $($field:ident),* $(,)? }) => {{
        let value = uapi::$rust::default();
        let uapi::$rust { $($field),* } = &value;
        $facts.insert(format!("sizeof {}", $c_name), size_of::<uapi::$rust>() as u64);
        $facts.insert(format!("alignof {}", $c_name), align_of::<uapi::$rust>() as u64);
        $(
            let name = format!("{}.{}", $c_name, stringify!($field));
            $facts.insert(
                format!("offsetof {name}"),
                std::mem::offset_of!(uapi::$rust, $field) as u64,
            );
            $facts.insert(format!("sizeof {name}"), size_of_val($field) as u64);
        )*
    }};
}

/// Adds the values of constants, by their names in C.
macro_rules! constants {
    ($facts:ident, [$($name:ident),* $(,)?]) => {$(
        $facts.insert(
            concat!("MMAP_POOL_", stringify!($name)).into(),
            u64::try_from(uapi::$name).unwrap(),
        );
    )*};
}

fn rust_facts() -> Facts {
    let mut facts = Facts::new();
    layout!(
        facts,
        "mmap_pool_info" = Info {
            size_bytes,
            nr_resident_pages,
            nr_faults,
            nr_allocated_pages,
            page_size_bytes,
            abi_version,
            seals,
            flags,
            strategy,
            reserved,
        }
    );
    layout!(
        facts,
        "mmap_pool_create" = Create {
            size_bytes,
            flags,
            strategy,
            name,
        }
    );
    layout!(
        facts,
        "mmap_pool_resize" = Resize {
            size_bytes,
            reserved
        }
    );
    layout!(
        facts,
        "mmap_pool_range" = Range {
            offset_bytes,
            len_bytes
        }
    );
    layout!(facts, "mmap_pool_seal" = Seal { seals, reserved });
    layout!(
        facts,
        "mmap_pool_stat" = Stat {
            nr_pools,
            nr_resident_pages,
            nr_limit_pages,
            nr_refused_pages,
            nr_reserve_pages,
            nr_reserve_hits,
            nr_reserve_misses,
            reserved,
        }
    );
    constants!(
        facts,
        [
            ABI_VERSION,
            IOC_MAGIC,
            NAME_LEN,
            SEAL_SEAL,
            SEAL_SHRINK,
            SEAL_GROW,
            SEAL_WRITE,
            STRATEGY_PAGE,
            STRATEGY_AROUND,
            STRATEGY_HUGE,
            STRATEGY_EAGER,
            FLAG_DEFAULT,
            FLAG_REVOKED,
            INFO,
            CREATE,
            RESIZE,
            PUNCH,
            PREFAULT,
            SEAL,
            REVOKE,
            STAT,
        ]
    );
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

#[test]
fn every_item_of_the_rust_module_is_compared() {
    let text = fs::read_to_string(root().join("src/uapi.rs")).unwrap();
    let rust = rust_facts();
    let mut nr_items = 0;
    for line in text.lines() {
        let name = if let Some(rest) = line.strip_prefix("pub const ") {
            format!("MMAP_POOL_{}", rest.split(':').next().unwrap())
        } else if let Some(rest) = line.strip_prefix("pub struct ") {
            format!(
                "sizeof mmap_pool_{}",
                snake_case(rest.split([' ', '(', ';']).next().unwrap())
            )
        } else {
            continue;
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
