// SPDX-License-Identifier: MIT OR GPL-2.0

//! The description of the device for syzkaller says what `src/uapi.rs` says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mmap_pool::uapi;

fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap().into()
}

fn description() -> String {
    fs::read_to_string(root().join("tests/syzkaller/dev_mmap_pool.txt")).unwrap()
}

/// The values that the description comes with.
fn values() -> BTreeMap<String, u64> {
    fs::read_to_string(root().join("tests/syzkaller/dev_mmap_pool.txt.const"))
        .unwrap()
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .filter(|(name, _)| *name != "arches")
        .map(|(name, value)| (name.into(), value.parse().unwrap()))
        .collect()
}

/// The constants of the interface, as their compiler sees them.
macro_rules! constants {
    ($($name:ident),* $(,)?) => {
        [$((stringify!($name), u64::from(u32::try_from(uapi::$name).unwrap()))),*]
    };
}

/// All but the byte that every number has in it.
fn constants() -> BTreeMap<&'static str, u64> {
    constants!(
        ABI_VERSION,
        NAME_LEN,
        SEAL_SEAL,
        SEAL_SHRINK,
        SEAL_GROW,
        SEAL_WRITE,
        FLAG_DEFAULT,
        FLAG_REVOKED,
        STRATEGY_PAGE,
        STRATEGY_AROUND,
        STRATEGY_HUGE,
        STRATEGY_EAGER,
        INFO,
        CREATE,
        RESIZE,
        PUNCH,
        PREFAULT,
        SEAL,
        REVOKE,
        STAT,
    )
    .into()
}

#[test]
fn every_constant_has_its_value() {
    let values = values();
    for (name, value) in constants() {
        let name = format!("MMAP_POOL_{name}");
        assert_eq!(values.get(&name), Some(&value), "{name}");
        assert!(description().contains(&name), "{name} is not used");
    }
}

#[test]
fn no_constant_is_missing() {
    let constants = constants();
    let text = fs::read_to_string(root().join("src/uapi.rs")).unwrap();
    let mut nr_constants = 0;
    for rest in text
        .lines()
        .filter_map(|line| line.strip_prefix("pub const "))
    {
        let name = rest.split(':').next().unwrap();
        assert!(
            name == "IOC_MAGIC" || constants.contains_key(name),
            "{name}"
        );
        nr_constants += 1;
    }
    assert_eq!(nr_constants, constants.len() + 1);
}

#[test]
fn every_name_has_a_value() {
    let values = values();
    let description = description();
    let code = description
        .lines()
        .map(|line| line.split('#').next().unwrap());
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    for line in code.filter(|line| !line.starts_with("include")) {
        // What is before the first bracket of a call is its own name.
        let arguments = line
            .split_once('(')
            .map_or(line, |(_, arguments)| arguments);
        for name in arguments.split(|letter| !is_of_name(letter)) {
            if name.starts_with("MMAP_POOL_") {
                assert!(values.contains_key(name), "{name}");
            }
        }
        if let Some((call, _)) = line.split_once('(') {
            let number = format!("__NR_{}", call.split('$').next().unwrap());
            assert!(values.contains_key(&number), "{number}");
        }
    }
}

/// Bytes of a type, as far as the description uses it.
fn size_of_type(text: &str) -> usize {
    let inner = |text: &str, start: &str| {
        let rest = text.strip_prefix(start)?.strip_suffix(']')?;
        let (first, last) = rest.rsplit_once(", ")?;
        Some((first.to_owned(), last.to_owned()))
    };
    if let Some((element, len)) = inner(text, "array[") {
        let len = len.parse().unwrap_or_else(|_| {
            let len = values()[&len];
            usize::try_from(len).unwrap()
        });
        return size_of_type(&element) * len;
    }
    if let Some((_, size)) = inner(text, "const[").or_else(|| inner(text, "flags[")) {
        return size_of_type(&size);
    }
    match text {
        "int8" => 1,
        "int32" => 4,
        "int64" | "mmap_pool_offset" => 8,
        _ => panic!("a type in a form unknown here: {text:?}"),
    }
}

/// Fields of the structs: name and size.
fn structs() -> BTreeMap<String, Vec<(String, usize)>> {
    let mut structs = BTreeMap::new();
    let mut now: Option<(String, Vec<_>)> = None;
    for line in description().lines() {
        if let Some(name) = line.strip_suffix(" {") {
            now = Some((name.into(), Vec::new()));
        } else if line == "}" {
            let (name, fields) = now.take().unwrap();
            structs.insert(name, fields);
        } else if let Some((_, fields)) = &mut now {
            let (name, text) = line.trim().split_once('\t').unwrap();
            fields.push((name.into(), size_of_type(text.trim())));
        }
    }
    structs
}

/// Names and sizes of a struct's fields. A field that is not listed does not compile.
macro_rules! fields {
    ($($c_name:literal = $rust:ident { $($field:ident),* $(,)? })*) => {
        BTreeMap::from([$({
            let value = uapi::$rust::default();
            let uapi::$rust { $($field),* } = &value;
            let fields = vec![$((String::from(stringify!($field)), size_of_val($field))),*];
            (String::from($c_name), fields)
        }),*])
    };
}

#[test]
fn every_struct_has_its_fields() {
    let expected = fields! {
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
        "mmap_pool_create" = Create { size_bytes, flags, strategy, name }
        "mmap_pool_resize" = Resize { size_bytes, reserved }
        "mmap_pool_range" = Range { offset_bytes, len_bytes }
        "mmap_pool_seal" = Seal { seals, reserved }
    };
    assert_eq!(structs(), expected);
}
