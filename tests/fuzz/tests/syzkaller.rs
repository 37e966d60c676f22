// SPDX-License-Identifier: MIT OR GPL-2.0

//! Compares syzkaller's description of the device with `src/uapi.rs`.

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

/// The values of the description's constants.
fn values() -> BTreeMap<String, u64> {
    fs::read_to_string(root().join("tests/syzkaller/dev_mmap_pool.txt.const"))
        .unwrap()
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .filter(|(name, _)| *name != "arches")
        .map(|(name, value)| (name.into(), value.parse().unwrap()))
        .collect()
}

/// The constants of the interface, except for the type byte of the ioctls.
fn constants() -> BTreeMap<String, u64> {
    let constants = uapi::CONSTANTS
        .iter()
        .filter(|(name, _)| *name != "IOC_MAGIC")
        .map(|&(name, value)| (name.into(), value));
    let strategies = uapi::Strategy::ALL.into_iter().map(|strategy| {
        let name = strategy.name().to_uppercase();
        (format!("STRATEGY_{name}"), strategy as u64)
    });
    constants.chain(strategies).collect()
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
fn every_name_has_a_value() {
    let values = values();
    let description = description();
    let code = description
        .lines()
        .map(|line| line.split('#').next().unwrap());
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    for line in code.filter(|line| !line.starts_with("include")) {
        // The text before the bracket of a call is the call's name.
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

/// The bytes of a type. Knows the types that the description uses.
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
    if text.starts_with("ptr64[") {
        return 8;
    }
    match text {
        "int8" => 1,
        "int32" | "fd" => 4,
        "int64" | "mmap_pool_offset" => 8,
        _ => panic!("unknown type: {text:?}"),
    }
}

/// The structs of the description: name and size of each field.
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

#[test]
fn every_struct_has_its_fields() {
    let expected: BTreeMap<_, Vec<_>> = uapi::STRUCTURES
        .iter()
        .map(|(name, _, _, fields)| {
            let fields = fields.iter().map(|&(name, _, size)| (name.into(), size));
            let name = format!("mmap_pool_{}", name.to_lowercase());
            (name, fields.collect())
        })
        .collect();
    assert_eq!(structs(), expected);
}
