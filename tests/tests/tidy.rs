//! House rules that a machine can check. Every rule names the file and line, and says why it is a rule.
//!
//! It reads the sources as text and needs no tool beside the compiler.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file that needs more owns more than one thing.
const FILE_LINES_MAX: usize = 500;
/// A function that needs more cannot be proofread in one look.
const FUNCTION_LINES_MAX: usize = 70;
/// Two files side by side on a laptop.
const LINE_COLUMNS_MAX: usize = 120;

/// Folders whose files decide and do nothing else: they must not be able to reach a clock, a disk or an actor.
const PURE: &[&str] = &[
    "wire/src/",
    "actors/src/api/",
    "actors/src/peers/roster",
    "actors/src/peer_connection/session.rs",
    "actors/src/peer_connection/announce.rs",
    "actors/src/library/index",
    "actors/src/operations/table",
    "actors/src/game_op/planner",
    "actors/src/game_op/sources.rs",
    "actors/src/unpack/policy",
    "actors/src/view/fold",
];
const IMPURE: &[&str] = &[
    "use ractor",
    "ractor::",
    "std::fs",
    "tokio::fs",
    "tokio::net",
    "tokio::spawn",
    "Instant::now",
    "SystemTime::now",
    "rand::rng",
];

/// Leftovers that must not be committed. Written in two halves so that this file does not accuse itself.
const LEFTOVERS: &[(&str, &str)] = &[
    ("todo", "!("),
    ("unimplemented", "!("),
    ("dbg", "!("),
    ("FIX", "ME"),
    ("XX", "X:"),
    ("TO", "DO:"),
    ("#[ign", "ore]"),
];

struct Source {
    /// Relative to the root of the repository, with `/`.
    path: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_path_buf()
}

fn sources() -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    for member in ["wire", "fs-txn", "actors", "cli", "gui-egui", "tests"] {
        collect(&root.join(member), &root, &mut found);
    }
    assert!(found.len() > 50, "the source files were not found below {}", root.display());
    found
}

fn collect(folder: &Path, root: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(&path, root, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root).expect("below the root");
            found.push(Source {
                path: relative.to_string_lossy().replace('\\', "/"),
                text: fs::read_to_string(&path).expect("UTF-8"),
            });
        }
    }
}

/// The lines before the tests at the foot of a file.
fn product_lines(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    source
        .text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
}

fn report(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

#[test]
fn every_file_opens_with_what_it_owns() {
    let found: Vec<_> = sources()
        .iter()
        .filter(|source| !source.text.starts_with("//!"))
        .map(|source| source.path.clone())
        .collect();
    report("the first line of a file says what it owns (`//! …`)", &found);
}

#[test]
fn files_are_small() {
    let found: Vec<_> = sources()
        .iter()
        .filter(|source| source.text.lines().count() > FILE_LINES_MAX)
        .map(|source| format!("{} has {} lines", source.path, source.text.lines().count()))
        .collect();
    report("a file owns one thing", &found);
}

#[test]
fn lines_fit() {
    let mut found = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            if line.chars().count() > LINE_COLUMNS_MAX {
                found.push(format!("{}:{}", source.path, number + 1));
            }
        }
    }
    report("lines fit beside each other", &found);
}

#[test]
fn functions_are_short() {
    let mut found = Vec::new();
    for source in sources() {
        for (start, length) in long_functions(&source.text) {
            found.push(format!("{}:{start} has {length} lines", source.path));
        }
    }
    report("a function can be proofread in one look", &found);
}

/// Functions longer than the limit: (line of the head, lines). Relies on rustfmt's indentation.
fn long_functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let is_head = ["fn ", "async fn ", "const fn "].iter().any(|head| {
            code.trim_start_matches("pub ")
                .trim_start_matches("pub(crate) ")
                .trim_start_matches("pub(super) ")
                .starts_with(head)
        });
        if !is_head {
            continue;
        }
        // A declaration without a body ends with a semicolon before any brace opens.
        let opening = lines[start..].iter().find(|line| line.ends_with(['{', '}', ';']));
        if opening.is_none_or(|line| !line.ends_with('{')) {
            continue;
        }
        let indent = " ".repeat(line.len() - code.len());
        let end = format!("{indent}}}");
        let last = lines[start..].iter().position(|line| *line == end);
        if let Some(length) = last.map(|last| last + 1)
            && length > FUNCTION_LINES_MAX
        {
            found.push((start + 1, length));
        }
    }
    found
}

#[test]
fn the_function_counter_counts() {
    let long = format!("fn a() {{\n{}}}\n", "    x();\n".repeat(FUNCTION_LINES_MAX));
    assert_eq!(long_functions(&long), vec![(1, FUNCTION_LINES_MAX + 2)]);
    let short = format!("fn a() {{\n{}}}\n", "    x();\n".repeat(FUNCTION_LINES_MAX - 2));
    assert_eq!(long_functions(&short), vec![]);
    let declared =
        format!("trait T {{\n    fn a(\n        b: u8,\n    );\n{}}}\n", "\n".repeat(99));
    assert_eq!(long_functions(&declared), vec![]);
}

#[test]
fn decisions_reach_no_clock_no_disk_and_no_actor() {
    let mut found = Vec::new();
    for source in sources() {
        if !PURE.iter().any(|pure| source.path.starts_with(pure)) {
            continue;
        }
        for (number, line) in product_lines(&source) {
            let code = line.split("//").next().unwrap_or_default();
            for word in IMPURE.iter().filter(|word| code.contains(**word)) {
                found.push(format!("{}:{number} uses {word}", source.path));
            }
        }
    }
    report("pure files take time, seeds and bytes as arguments", &found);
}

#[test]
fn every_pure_place_still_exists() {
    let sources = sources();
    let found: Vec<_> = PURE
        .iter()
        .filter(|pure| !sources.iter().any(|source| source.path.starts_with(**pure)))
        .map(|pure| (*pure).to_owned())
        .collect();
    report("the list of pure places is kept true", &found);
}

#[test]
fn nothing_is_left_over() {
    let mut found = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            for (head, tail) in LEFTOVERS {
                if line.contains(&format!("{head}{tail}")) {
                    found.push(format!("{}:{} {head}{tail}", source.path, number + 1));
                }
            }
        }
    }
    report("what is committed is finished", &found);
}

#[test]
fn every_crate_obeys_the_shared_lints_and_supervision_can_unwind() {
    let root = root();
    for member in ["wire", "fs-txn", "actors", "cli", "gui-egui", "tests"] {
        let manifest =
            fs::read_to_string(root.join(member).join("Cargo.toml")).expect("a manifest");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{member} takes the shared lints");
    }
    let workspace = fs::read_to_string(root.join("Cargo.toml")).expect("a manifest");
    for profile in ["[profile.dev]", "[profile.release]"] {
        let settings = workspace.split(profile).nth(1).expect("the profile");
        let settings = settings.split("\n[").next().unwrap_or_default();
        assert!(
            settings.contains("panic = \"unwind\""),
            "{profile}: supervision turns panics into events and needs unwinding"
        );
    }
}

#[test]
fn the_readme_names_the_commands_that_ci_calls() {
    let root = root();
    let readme = fs::read_to_string(root.join("README.md")).expect("a README");
    let ci = fs::read_to_string(root.join(".ci/run")).expect("a CI script");
    let command = ci
        .lines()
        .find_map(|line| line.strip_prefix("# README test command: "))
        .expect("the CI script names the test command of the README");
    assert!(readme.contains(command), "the README's test command is `{command}`");
    assert!(ci.lines().any(|line| line.trim() == command), "the CI script calls `{command}`");
}
