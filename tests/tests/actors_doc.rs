//! Keeps docs/actors.md true: its actors and messages are those of the source, no more and no less.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Actor → its messages.
type Map = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_path_buf()
}

fn documented() -> Map {
    let page = fs::read_to_string(root().join("docs/actors.md")).expect("docs/actors.md");
    let mut map = Map::new();
    let mut actor: Option<String> = None;
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("### ") {
            actor = Some(title.trim().to_owned());
            map.entry(title.trim().to_owned()).or_default();
        } else if line.starts_with("## ") {
            actor = None;
        } else if let (Some(actor), Some(cell)) = (&actor, line.strip_prefix("| `")) {
            let message = cell.split('`').next().unwrap_or_default().to_owned();
            map.entry(actor.clone()).or_default().insert(message);
        }
    }
    map
}

fn in_source() -> Map {
    let folder = root().join("actors/src");
    let mut map = Map::new();
    for entry in fs::read_dir(&folder).expect("actors/src") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("UTF-8");
            if text.contains("impl Actor for ") {
                map.extend(message_enums(&text));
            }
        }
    }
    map
}

/// The public `…Msg` enums of a file with the names of their variants. Relies on rustfmt's indentation.
fn message_enums(text: &str) -> Map {
    let mut map = Map::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("pub enum ")
            && let Some(actor) =
                rest.split_whitespace().next().and_then(|name| name.strip_suffix("Msg"))
            && actor != "Internal"
        {
            map.entry(actor.to_owned()).or_default();
            current = Some(actor.to_owned());
        } else if line == "}" {
            current = None;
        } else if let Some(actor) = &current
            && let Some(variant) = line.strip_prefix("    ")
            && variant.starts_with(|letter: char| letter.is_ascii_uppercase())
        {
            let name: String = variant.chars().take_while(char::is_ascii_alphanumeric).collect();
            map.entry(actor.clone()).or_default().insert(name);
        }
    }
    map
}

#[test]
fn the_messages_are_those_of_the_source() {
    let (page, source) = (documented(), in_source());
    for (actor, messages) in &source {
        let told = page.get(actor).unwrap_or_else(|| panic!("docs/actors.md has no `### {actor}`"));
        let missing: Vec<_> = messages.difference(told).collect();
        let stale: Vec<_> = told.difference(messages).collect();
        assert!(missing.is_empty(), "docs/actors.md, {actor}: not told: {missing:?}");
        assert!(stale.is_empty(), "docs/actors.md, {actor}: not in the source: {stale:?}");
    }
    let gone: Vec<_> = page.keys().filter(|actor| !source.contains_key(*actor)).collect();
    assert!(gone.is_empty(), "docs/actors.md tells of actors that are not there: {gone:?}");
}

#[test]
fn every_actor_stands_in_the_tree_with_its_file() {
    let page = fs::read_to_string(root().join("docs/actors.md")).expect("docs/actors.md");
    for actor in in_source().keys() {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| `{actor}`")) && line.contains(".rs |"))
            .unwrap_or_else(|| panic!("the tree of docs/actors.md has no {actor}"));
        let file = row.split('|').nth(2).unwrap_or_default().trim();
        let text = fs::read_to_string(root().join("actors/src").join(file)).unwrap_or_default();
        assert!(text.contains(&format!("pub enum {actor}Msg")), "{actor} is not in {file}");
    }
}

#[test]
fn a_missing_message_would_be_seen() {
    let source = "pub enum ThingMsg {\n    /// Doc.\n    One { a: u8 },\n    Two,\n}\n";
    let found = message_enums(source);
    assert_eq!(found["Thing"], BTreeSet::from(["One".to_owned(), "Two".to_owned()]));
}
