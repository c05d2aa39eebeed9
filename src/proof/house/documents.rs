//! What the documents say is held against the code: promises and behaviours against tests, fields against the protocol,
//! keys against guide and example.

use super::{files, is_test, read, root};
use crate::config::{schemas, witness_schemas};
use crate::engine::Timer;
use crate::wire::pulse::{Reason, Role};

/// Keys whose value is a table with a part of its own.
const TABLES: [&str; 6] = ["timing", "node", "witness", "group", "check", "hooks"];
/// Says of a promise that it is not claimed.
const NOT_CLAIMED: &str = "Not in this version";

/// The text of the file `name`, from the root of the repository.
fn document(name: &str) -> String {
    read(&root().join(name))
}

/// Whether `text` is the identifier of a promise or behaviour: known letters and a number, such as
/// `HP-7` or `S3`.
fn is_identifier(text: &str) -> bool {
    let letters = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let known = ["S", "L", "HP-", "OKI-", "FJ-", "HIT-", "TXF-", "TXS-", "TXQ-"];
    letters.len() < text.len() && known.contains(&letters)
}

/// The identifiers in the first column of the tables of docs/promises.md.
fn claimed() -> Vec<String> {
    let text = document("docs/promises.md");
    let rows = text.lines().filter(|line| !line.contains(NOT_CLAIMED));
    rows.filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
        .filter(|first| is_identifier(first))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_claimed_promise_and_behaviour_has_a_test_that_names_it() {
    let tests: String = files("src", "rs")
        .into_iter()
        .filter(|path| is_test(path) && !path.ends_with("documents.rs"))
        .chain(files("netns-tests/cases", "rs"))
        .map(|path| read(&path))
        .collect();
    let words: Vec<&str> = tests.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').collect();
    let claimed = claimed();
    for expected in ["S3", "L5", "HP-1", "HP-11"] {
        assert!(claimed.iter().any(|id| id == expected), "docs/promises.md does not claim {expected}: {claimed:?}");
    }
    let missing: Vec<&String> = claimed.iter().filter(|id| !words.contains(&id.as_str())).collect();
    assert!(missing.is_empty(), "no test names {missing:?}");
}

// The other way round: a test that names a behaviour nobody claims is a document left behind.
#[test]
fn every_behaviour_that_a_test_names_is_claimed() {
    let claimed = claimed();
    let mut unclaimed = Vec::new();
    for path in files("src", "rs").into_iter().filter(|path| is_test(path)).chain(files("netns-tests/cases", "rs")) {
        for line in read(&path).lines().filter_map(|line| line.trim().strip_prefix("// ")) {
            for word in line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
                if word.contains('-') && is_identifier(word) && !claimed.iter().any(|id| id == word) {
                    unclaimed.push(format!("{}: {word}", path.display()));
                }
            }
        }
    }
    assert!(unclaimed.is_empty(), "docs/promises.md does not have {unclaimed:#?}");
}

#[test]
fn every_field_on_the_wire_is_documented() {
    let protocol = document("docs/protocol.md");
    let source = document("src/proto/wire/pulse.rs");
    let (mut inside, mut seen) = (false, 0);
    for line in source.lines() {
        if line.starts_with("pub struct Header") || line.starts_with("pub struct Row ") {
            inside = true;
        } else if line == "}" {
            inside = false;
        } else if inside && let Some(field) = line.trim().strip_prefix("pub ") {
            let name = field.split(':').next().unwrap_or_default();
            let spaced = name.trim_end_matches("_us").replace('_', " ");
            let named = protocol.contains(name) || protocol.contains(&spaced);
            assert!(named, "docs/protocol.md does not mention `{name}`");
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} fields were found: the test looks in the wrong place");
}

/// `NoInterface` as a person writes it: `no interface`.
fn spaced(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

#[test]
fn every_number_of_a_role_or_reason_is_documented() {
    let protocol = document("docs/protocol.md");
    let roles = (0..=u8::MAX).filter_map(|number| Some((number, spaced(&format!("{:?}", Role::from_wire(number)?)))));
    let reasons =
        (1..=u8::MAX).filter_map(|number| Some((number, spaced(&format!("{:?}", Reason::from_wire(number)?)))));
    for (number, name) in roles.chain(reasons) {
        let named =
            [format!("{number} {name},"), format!("{number} {name} |")].iter().any(|text| protocol.contains(text));
        assert!(named, "docs/protocol.md does not say {number} {name}");
    }
}

#[test]
fn every_timer_that_status_shows_is_in_the_guide() {
    let guide = document("docs/guide.md");
    let missing = Timer::ALL.iter().map(|timer| timer.name()).filter(|name| !guide.contains(&format!("`{name}`")));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&str>::new(), "docs/guide.md, section 6, `timer`");
}

#[test]
fn the_offsets_of_the_protocol_tables_add_up() {
    let protocol = document("docs/protocol.md");
    let mut next = None;
    let mut fields = 0;
    for line in protocol.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let number = |at: usize| cells.get(at).and_then(|cell| cell.parse::<usize>().ok());
        let (Some(offset), Some(bytes)) = (number(1), number(2)) else {
            next = None;
            continue;
        };
        assert!(next.is_none_or(|next| next == offset), "after {next:?}: {line}");
        next = Some(offset + bytes);
        fields += 1;
    }
    assert!(fields > 30, "only {fields} fields were found: the test looks in the wrong place");
}

/// The lines of a document from the first that `begins` to the next that `ends`.
fn part(text: &str, begins: impl Fn(&str) -> bool, ends: impl Fn(&str) -> bool) -> Vec<&str> {
    let mut lines = text.lines().skip_while(|line| !begins(line));
    let first = lines.next();
    first.into_iter().chain(lines.take_while(|line| !ends(line))).collect()
}

#[test]
fn every_key_of_the_configuration_is_in_the_guide() {
    let guide = document("docs/guide.md");
    let mut missing = Vec::new();
    for schema in schemas() {
        let title = match schema.header {
            "" => "**Top level**".to_owned(),
            header => format!("**`{header}`**"),
        };
        let part =
            part(&guide, |line| line.starts_with(&title), |line| line.starts_with("**") || line.starts_with('#'));
        for key in schema.keys.iter().filter(|key| !TABLES.contains(key)) {
            let row = format!("| `{key}` |");
            if !part.iter().any(|line| line.starts_with(&row)) {
                missing.push(format!("{title}: {row}"));
            }
        }
    }
    assert!(missing.is_empty(), "docs/guide.md lacks {missing:#?}");
}

#[test]
fn every_key_of_a_witnesss_file_is_in_the_guide_and_in_its_example() {
    let (guide, example) = (document("docs/guide.md"), document("systemd/witness.toml").replace("\n# ", "\n"));
    for schema in witness_schemas() {
        let title = match schema.header {
            "" => "**The witness's file**".to_owned(),
            header => format!("**`{header}`**"),
        };
        let part =
            part(&guide, |line| line.starts_with(&title), |line| line.starts_with("**") || line.starts_with('#'));
        for key in schema.keys {
            if ["cluster", "check"].contains(key) {
                continue;
            }
            let row = format!("| `{key}` |");
            assert!(part.iter().any(|line| line.starts_with(&row)), "docs/guide.md lacks {title}: {row}");
            let assigned = format!("{key} = ");
            assert!(example.lines().any(|line| line.starts_with(&assigned)), "systemd/witness.toml lacks {assigned}");
        }
    }
}

#[test]
fn every_key_of_the_configuration_is_in_the_example() {
    // A table that stands there commented out is there.
    let example = document("systemd/vipair.toml").replace("\n# [", "\n[");
    let mut missing = Vec::new();
    for schema in schemas() {
        let begins = |line: &str| schema.header.is_empty() || line == schema.header;
        // A list of tables may show one for each kind.
        let mut rest = example.as_str();
        let mut part = Vec::new();
        while let Some(at) = rest.lines().position(begins) {
            let skip = rest.split_inclusive('\n').take(at + 1).map(str::len).sum();
            rest = &rest[skip..];
            part.extend(rest.lines().take_while(|line| !line.starts_with('[')));
            if schema.header.is_empty() {
                break;
            }
        }
        for key in schema.keys {
            let (plain, commented) = (format!("{key} = "), format!("# {key} = "));
            let table = ["", "group."].map(|of| [format!("[{of}{key}]"), format!("[[{of}{key}]]")]).concat();
            let found = part.iter().any(|line| line.starts_with(&plain) || line.starts_with(&commented));
            if !found && !example.lines().any(|line| table.iter().any(|table| line == table)) {
                missing.push(format!("{} {key}", schema.header));
            }
        }
    }
    assert!(missing.is_empty(), "systemd/vipair.toml lacks {missing:#?}");
}
