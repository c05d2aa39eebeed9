//! The contributors' pages are held against the tree: rooms, paths, walks and words that they name are there.
//!
//! Owns: what docs/house and CONTRIBUTING.md say of places and names. Never does: judge sentences. A page that was left
//! behind fails with its line.

use super::{code, files, has_word, is_test, read, root, shown};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The map of the house.
const MAP: &str = "docs/house/map.md";
/// The list of its words.
const GLOSSARY: &str = "docs/house/glossary.md";
/// What a path of the repository begins with.
const PLACES: [&str; 7] = ["src/", "docs/", "scripts/", "systemd/", "netns-tests/", "fuzz/", ".ci/"];
/// Files beside them.
const AT_ROOT: [&str; 8] = [
    "Cargo.toml",
    "Cargo.lock",
    "clippy.toml",
    "deny.toml",
    "rustfmt.toml",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
];

/// Every page that is written for contributors.
fn pages() -> Vec<PathBuf> {
    let mut pages = files("docs/house", "md");
    pages.extend(["CONTRIBUTING.md", "SECURITY.md"].map(|name| root().join(name)));
    pages
}

/// What stands in backquotes in a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The path of the repository that a text names, without an anchor or a line; `None` if it is something else.
fn as_path(text: &str) -> Option<&str> {
    let known = PLACES.iter().any(|place| text.starts_with(place)) || AT_ROOT.contains(&text);
    let plain = !text.contains([' ', '*', '<', '{', '…']);
    (known && plain).then(|| text.split(['#', ':']).next().unwrap_or(text))
}

/// The folders below `src` that hold code which is not a test: the rooms of the house, from the root.
fn rooms() -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for path in files("src", "rs").into_iter().filter(|path| !is_test(path)) {
        let folder = path.parent().expect("a file is in a folder");
        // A folder beside a file of its name belongs to that file.
        if !folder.with_extension("rs").is_file() && folder != root().join("src") {
            rooms.insert(shown(folder));
        }
    }
    rooms
}

/// The rooms that the map names: whole paths, and names below the path in the heading before them. True for those that
/// are written as a folder, with a slash at the end: they must be there.
fn on_the_map() -> BTreeSet<(String, bool)> {
    let (mut found, mut heading) = (BTreeSet::new(), String::new());
    for line in read(&root().join(MAP)).lines() {
        if line.starts_with('#') {
            heading = quoted(line).find_map(as_path).unwrap_or_default().trim_end_matches('/').to_owned();
        }
        let first_cell = line.strip_prefix("| ").and_then(|row| row.split(" | ").next()).unwrap_or(line);
        for name in quoted(line).filter(|name| as_path(name).is_some()) {
            found.insert((name.trim_end_matches('/').to_owned(), false));
        }
        for name in quoted(first_cell).filter(|name| as_path(name).is_none() && !heading.is_empty()) {
            found.insert((format!("{heading}/{}", name.trim_end_matches('/')), name.ends_with('/')));
        }
    }
    found
}

#[test]
fn every_room_is_on_the_map() {
    let named = on_the_map();
    let missing: Vec<String> =
        rooms().into_iter().filter(|room| !named.iter().any(|(name, _)| name == room)).collect();
    assert!(missing.is_empty(), "{MAP} does not name {missing:#?}");
    assert!(rooms().len() > 25, "only {:?}: the test looks in the wrong place", rooms());
}

#[test]
fn every_room_on_the_map_is_there() {
    let gone: Vec<String> = on_the_map()
        .into_iter()
        .filter(|(name, folder)| *folder && !root().join(name).is_dir())
        .map(|(name, _)| name)
        .collect();
    assert!(gone.is_empty(), "{MAP} names rooms that are not there: {gone:#?}");
}

#[test]
fn every_path_on_the_contributors_pages_is_there() {
    let (mut gone, mut seen) = (Vec::new(), 0);
    for page in pages() {
        for (number, line) in read(&page).lines().enumerate() {
            for path in quoted(line).filter_map(as_path) {
                seen += 1;
                if !root().join(path).exists() {
                    gone.push(format!("{}:{}: {path}", shown(&page), number + 1));
                }
            }
            for link in line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
                let beside = page.parent().expect("a page is in a folder").join(link);
                if !link.is_empty() && !link.contains("://") && !beside.exists() {
                    gone.push(format!("{}:{}: link to {link}", shown(&page), number + 1));
                }
            }
        }
    }
    assert!(gone.is_empty(), "these are not there:\n{}", gone.join("\n"));
    assert!(seen > 100, "only {seen} paths were found: the test looks in the wrong place");
}

/// The text of a file, or of all files in a folder.
fn text_of(path: &str) -> String {
    if root().join(path).is_dir() {
        files(path, "rs").iter().map(|path| read(path)).collect()
    } else {
        read(&root().join(path))
    }
}

// A row of a walk is `| step | place | names there | what happens |`.
#[test]
fn every_name_in_a_walk_is_where_the_walk_says() {
    let (mut gone, mut seen) = (Vec::new(), 0);
    for page in ["docs/house/map.md", "docs/house/adding.md"] {
        for (number, line) in read(&root().join(page)).lines().enumerate() {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let &["", step, place, names, _, ""] = cells.as_slice() else { continue };
            let Some(path) = quoted(place).find_map(as_path).filter(|_| step.parse::<u8>().is_ok()) else { continue };
            let text = text_of(path);
            for name in quoted(names) {
                let last = name.rsplit("::").next().unwrap_or(name);
                seen += 1;
                if !has_word(&text, last) {
                    gone.push(format!("{page}:{}: {path} has no {name}", number + 1));
                }
            }
        }
    }
    assert!(gone.is_empty(), "the walks do not hold:\n{}", gone.join("\n"));
    assert!(seen > 50, "only {seen} names were found: the test looks in the wrong place");
}

/// The words of the glossary: what stands in bold in the first cell of its rows.
fn words() -> Vec<String> {
    let text = read(&root().join(GLOSSARY));
    let rows = text.lines().filter_map(|line| line.strip_prefix("| **")?.split(" | ").next());
    rows.flat_map(|cell| cell.split("**").step_by(2).map(str::to_owned).collect::<Vec<_>>())
        .filter(|word| !word.is_empty())
        .collect()
}

#[test]
fn every_word_of_the_glossary_is_in_use() {
    let all: String = ["rs", "c", "h"]
        .into_iter()
        .flat_map(|ending| files("src", ending))
        .filter(|path| !Path::new(path).starts_with(root().join("src/proof/house")))
        .map(|path| read(&path).to_lowercase())
        .collect();
    let in_code: BTreeSet<&str> = all.split(|c: char| !c.is_alphanumeric()).collect();
    let words = words();
    // Words of a name count as well: `fresh_from` has both.
    let unused: Vec<&String> =
        words.iter().filter(|word| !word.split(' ').all(|part| in_code.contains(part))).collect();
    assert!(unused.is_empty(), "src/ does not use these words of {GLOSSARY}: {unused:?}");
    assert!(words.len() > 60, "only {words:?}: the test looks in the wrong place");
}

#[test]
fn the_map_of_the_library_sends_contributors_to_their_pages() {
    for (file, words) in [
        ("src/lib.rs", "docs/house/README.md"),
        ("README.md", "docs/house/README.md"),
        ("CONTRIBUTING.md", "docs/house/README.md"),
        ("SECURITY.md", "security advisor"),
    ] {
        assert!(read(&root().join(file)).contains(words), "{file} does not name {words}");
    }
}

// Rules of the house look for words in code, and must not find them in comments.
#[test]
fn a_comment_is_cut_off_from_the_code_before_it() {
    assert_eq!(code("let x = 1; // tokio"), "let x = 1; ");
}
