//! The shape of files and functions: short enough to be read, with a first sentence for the
//! stranger who opens one alone.
//!
//! Owns: lengths, headers of files, comments above functions, the rule that some `mod` names every
//! file, and the one that nothing prints by a macro that panics. Never does: parse Rust. It reads lines as rustfmt writes them. A broken rule fails
//! with every offender's file and line.

use super::{code, files, has_word, is_test, read, root, shown};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Lines of a file, comments and tests included.
const FILE_LINES: usize = 400;
/// Lines of a function, from `fn` to its closing brace.
const FUNCTION_LINES: usize = 70;
/// Least lines of a function that needs a comment above it, counted from `fn` to its closing brace,
/// both included.
const DOCUMENTED_LINES: usize = 8;

/// Traits whose methods need no comment, since everyone knows what they are for: those of the
/// standard library and serde.
const KNOWN_TRAITS: [&str; 24] = [
    "Add",
    "AsFd",
    "Debug",
    "Default",
    "Deref",
    "Deserialize",
    "Display",
    "Drop",
    "Error",
    "Extend",
    "From",
    "FromIterator",
    "FromStr",
    "GlobalAlloc",
    "Hash",
    "Index",
    "IndexMut",
    "Iterator",
    "Ord",
    "PartialEq",
    "PartialOrd",
    "Read",
    "Serialize",
    "Write",
];

/// Files that another one takes in with `include!`: a `//!` is forbidden there, and a `//` stands
/// in its place.
const INCLUDED: [&str; 1] = ["src/proto/tag.rs"];

/// What begins the root file of every wing; the command line's is `src/cli/mod.rs`.
const FRONTS: [&str; 6] = [
    "src/proto/lib.rs",
    "src/host/lib.rs",
    "src/agent/lib.rs",
    "src/witness/lib.rs",
    "src/proof/lib.rs",
    "src/cli/mod.rs",
];

/// The files that Cargo begins with; every other one is named by one of these, or by one that they name.
const BEGINNINGS: [&str; 11] = [
    "src/main.rs",
    "src/lib.rs",
    "src/proto/lib.rs",
    "src/host/lib.rs",
    "src/agent/lib.rs",
    "src/witness/lib.rs",
    "src/proof/lib.rs",
    "src/proto/build.rs",
    "src/agent/build.rs",
    "src/proof/build.rs",
    "netns-tests/main.rs",
];

/// The same of examples, which are in no folder of their own.
const EXAMPLES: [&str; 2] = ["netns-tests/demo.rs", "netns-tests/bench.rs"];

#[test]
fn files_stay_short_enough_to_be_read() {
    let all = rust_files().chain(files("src", "c"));
    let long: Vec<String> = all
        .map(|path| (read(&path).lines().count(), path))
        .filter(|(lines, _)| *lines > FILE_LINES)
        .map(|(lines, path)| format!("{}: {lines} lines", shown(&path)))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// All Rust files of the repository that are ours: those of the wings and of the tests on
/// namespaces.
fn rust_files() -> impl Iterator<Item = PathBuf> {
    files("src", "rs").into_iter().chain(files("netns-tests", "rs"))
}

#[test]
fn every_file_begins_with_a_header() {
    let bare: Vec<String> = rust_files()
        .filter(|path| {
            let mark = if INCLUDED.contains(&shown(path).as_str()) { "// " } else { "//! " };
            !read(path).starts_with(mark)
        })
        .map(|path| format!("{}:1", shown(&path)))
        .collect();
    assert!(bare.is_empty(), "these do not begin with a `//!` that says what the file is:\n{}", bare.join("\n"));
}

/// A line without the words that may stand before `fn`, `impl`, `trait` and `mod`.
fn without_qualifiers(line: &str) -> &str {
    let mut head = line.trim_start();
    if let Some((_, rest)) = head.strip_prefix("pub(").and_then(|rest| rest.split_once(") ")) {
        head = rest;
    }
    for word in ["pub ", "const ", "async ", "unsafe ", "extern \"C\" "] {
        head = head.strip_prefix(word).unwrap_or(head);
    }
    head
}

/// Whether a line begins a function whose body follows.
fn begins_function(line: &str) -> bool {
    without_qualifiers(line).starts_with("fn ") && !line.trim_end().ends_with([';', '}'])
}

/// Number of spaces that a line begins with.
fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The functions of a file whose bodies stand on lines of their own: for each the index of the line
/// with `fn`, and the number of lines from there to the closing brace, which is not counted.
fn functions(lines: &[&str]) -> Vec<(usize, usize)> {
    let starts = (0..lines.len()).filter(|start| begins_function(lines[*start]));
    let with_length = |start: usize| {
        // rustfmt puts the closing brace below the `fn`.
        let closing = format!("{}}}", " ".repeat(indent(lines[start])));
        (start, lines[start..].iter().position(|line| **line == closing).unwrap_or_default())
    };
    starts.map(with_length).collect()
}

#[test]
fn functions_stay_short_enough_to_be_read() {
    let (mut long, mut seen) = (Vec::new(), 0);
    for path in rust_files() {
        let text = read(&path);
        for (start, length) in functions(&text.lines().collect::<Vec<_>>()) {
            seen += 1;
            if length > FUNCTION_LINES {
                long.push(format!("{}:{}: {length} lines", shown(&path), start + 1));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
    assert!(seen > 3000, "only {seen} functions were found: the test looks in the wrong place");
}

/// What stands above the item in line `at`: its attributes, and whether there is a comment above
/// them. The promise that a test or a directed history keeps stands in a plain `//`, and counts as
/// well.
fn above<'a>(lines: &[&'a str], at: usize) -> (Vec<&'a str>, bool) {
    let mut before = lines[..at].iter().rev().map(|line| line.trim_start());
    let attributes: Vec<&str> = before.by_ref().take_while(|line| line.starts_with("#[")).collect();
    let over = at.checked_sub(attributes.len() + 1).map(|index| lines[index].trim_start());
    (attributes, over.is_some_and(|line| line.starts_with("//")))
}

/// The line of the `impl`, `trait`, `mod`, `fn` or `proptest!` around the item in line `at`; `None`
/// at the top of a file.
fn enclosing(lines: &[&str], at: usize) -> Option<usize> {
    (0..at).rev().find(|before| {
        let line = lines[*before];
        let head = without_qualifiers(line);
        let opens = ["impl", "trait ", "mod ", "proptest"].iter().any(|word| head.starts_with(word));
        indent(line) < indent(lines[at]) && (opens || begins_function(line))
    })
}

/// The name of the trait that an `impl` line is for, without its path and its parameters; `None` if
/// it is for none.
fn trait_of(line: &str) -> Option<&str> {
    let (before, _) = without_qualifiers(line).strip_prefix("impl")?.split_once(" for ")?;
    // Parameters of the `impl` end with the last "> " in front of the trait: `<S, N> FormatEvent<S,
    // N>`.
    let (_, full) = before.rsplit_once("> ").or_else(|| before.rsplit_once(' '))?;
    full.split('<').next()?.rsplit("::").next()
}

/// Whether a stranger is told what the function in line `at` is for: by the comment above it, by
/// its name if it is a test, by its trait if everyone knows that, or by a comment above the `impl`
/// of its trait.
fn is_explained(lines: &[&str], at: usize) -> bool {
    let (attributes, documented) = above(lines, at);
    if documented || attributes.iter().any(|attribute| attribute.contains("test]")) {
        return true;
    }
    let Some(around) = enclosing(lines, at) else { return false };
    if lines[around].trim_start().starts_with("proptest") {
        return true;
    }
    trait_of(lines[around]).is_some_and(|name| KNOWN_TRAITS.contains(&name) || above(lines, around).1)
}

// The rule below reads lines, so these are what it must tell apart.
#[test]
fn what_explains_a_function_is_seen_and_what_does_not_is_not() {
    for (lines, explained) in [
        (vec!["fn one() {"], false),
        (vec!["/// One.", "#[must_use]", "pub(super) const fn one() {"], true),
        (vec!["// S3: one.", "pub fn one(sim: &mut Sim) {"], true),
        (vec!["/// Another.", "", "fn one() {"], false),
        (vec!["#[test]", "#[ignore = \"long\"]", "fn one() {"], true),
        (vec!["proptest::proptest! {", "    #[test]", "    fn one() {"], true),
        (vec!["proptest! {", "", "    fn one() {"], true),
        (vec!["/// One.", "impl One {", "    async fn next(&self) {"], false),
        (vec!["impl<'a> fmt::Display for One<'a> {", "    fn fmt(&self) {"], true),
        (vec!["impl From<One> for Other {", "    fn from(one: One) -> Other {"], true),
        (vec!["unsafe impl GlobalAlloc for One {", "    unsafe fn alloc(&self) {"], true),
        (vec!["impl Layer<S> for One {", "    fn on_event(&self) {"], false),
        (
            vec!["/// Counts.", "impl<S, N> Layer<S> for One", "where", "    S: N,", "{", "    fn on_event(&self) {"],
            true,
        ),
    ] {
        assert_eq!(is_explained(&lines, lines.len() - 1), explained, "{lines:#?}");
    }
}

#[test]
fn every_function_that_is_not_short_says_what_it_is_for() {
    let (mut silent, mut seen) = (Vec::new(), 0);
    for path in rust_files() {
        let text = read(&path);
        let lines: Vec<&str> = text.lines().collect();
        for (start, _) in functions(&lines).into_iter().filter(|(_, length)| length + 1 >= DOCUMENTED_LINES) {
            seen += 1;
            if !is_explained(&lines, start) {
                silent.push(format!("{}:{}: {}", shown(&path), start + 1, lines[start].trim()));
            }
        }
    }
    assert!(
        silent.is_empty(),
        "{} functions have no comment that says what they are for:\n{}",
        silent.len(),
        silent.join("\n")
    );
    assert!(seen > 2000, "only {seen} functions were found: the test looks in the wrong place");
}

#[test]
fn every_wing_says_what_it_owns_and_never_does() {
    for front in FRONTS {
        let text = read(&root().join(front));
        let header: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
        for words in ["Owns:", "Never does:"] {
            assert!(header.join(" ").contains(words), "the header of {front} does not say {words:?}");
        }
    }
}

#[test]
fn the_pure_wing_forbids_unsafe_code() {
    let forbids = read(&root().join("src/proto/lib.rs")).lines().any(|line| line == "#![forbid(unsafe_code)]");
    assert!(forbids, "src/proto/lib.rs has no #![forbid(unsafe_code)]");
}

/// The folder where the modules that a file names are: its own for a file that stands for its folder.
fn home(path: &Path, stands_for_folder: bool) -> PathBuf {
    let folder = path.parent().expect("a file is in a folder").to_path_buf();
    let stem = path.file_stem().unwrap_or_default();
    if stands_for_folder || stem == "mod" { folder } else { folder.join(stem) }
}

/// The files that the `mod` lines of a file name; those with a `path` of their own included.
fn named_by(path: &Path, stands_for_folder: bool) -> Vec<PathBuf> {
    let home = home(path, stands_for_folder);
    let folder = path.parent().expect("a file is in a folder");
    let (mut found, mut elsewhere) = (Vec::new(), None);
    for line in read(path).lines() {
        let line = code(line).trim();
        if let Some(rest) = line.strip_prefix("#[path = \"") {
            elsewhere = rest.split('"').next().map(|path| folder.join(path));
            continue;
        }
        if let Some(name) = line.strip_prefix("include!(\"").and_then(|rest| rest.split('"').next()) {
            found.push(folder.join(name));
        }
        let head = line.rsplit_once(") ").map_or(line, |(_, rest)| rest).trim_start_matches("pub ");
        if let Some(name) = head.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
            let places = [home.join(format!("{name}.rs")), home.join(name).join("mod.rs")];
            found.extend(elsewhere.take().into_iter().chain(places).find(|place| place.is_file()));
        }
    }
    found
}

// A file that no `mod` names is compiled by nobody, and so are the tests in it.
#[test]
fn no_file_is_dead() {
    let begins = |paths: &[&str]| paths.iter().map(|path| root().join(path)).collect::<Vec<_>>();
    let mut pending: Vec<(PathBuf, bool)> =
        begins(&BEGINNINGS).into_iter().chain(begins(&EXAMPLES)).map(|path| (path, true)).collect();
    let mut alive = BTreeSet::new();
    while let Some((path, stands_for_folder)) = pending.pop() {
        let path = path.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if alive.insert(path.clone()) {
            pending.extend(named_by(&path, stands_for_folder).into_iter().map(|path| (path, false)));
        }
    }
    let dead: Vec<String> = rust_files().filter(|path| !alive.contains(path)).map(|path| shown(&path)).collect();
    assert!(dead.is_empty(), "no `mod` names these:\n{}", dead.join("\n"));
    assert!(alive.len() > 300, "only {} files were found: the test looks in the wrong place", alive.len());
}

// `println!` and its siblings panic where the line cannot be written: a full disk, a reader that has
// gone.
#[test]
fn nothing_that_ships_prints_by_a_macro_that_panics() {
    let (mut found, mut seen) = (Vec::new(), 0);
    for path in
        ["src/cli", "src/proto", "src/host", "src/agent", "src/witness"].map(|wing| files(wing, "rs")).concat()
    {
        if is_test(&path) || path.ends_with("build.rs") {
            continue;
        }
        seen += 1;
        for (number, line) in read(&path).lines().enumerate() {
            let prints = |name: &&str| has_word(code(line), name) && code(line).contains(&format!("{name}!"));
            if ["print", "println", "eprint", "eprintln", "dbg"].iter().any(prints) {
                found.push(format!("{}:{}: {}", shown(&path), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "use `print` or `complain` of src/cli/mod.rs:\n{}", found.join("\n"));
    assert!(seen > 150, "only {seen} files were found: the test looks in the wrong place");
}
