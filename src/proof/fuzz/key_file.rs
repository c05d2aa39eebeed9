//! The content of a key file: refused with a line that exists, or one or two keys that read the
//! same when written.

use super::Taken;
use crate::config::KeyFile;
use std::fmt::Write;

/// Checks one input: `bytes` are the content of a key file. A refusal must name a line that exists.
/// A file that is read has one or two keys of different numbers, never shows them, and is the same
/// when it is written and read again. Accepted: the file was read.
pub(super) fn run(bytes: &[u8]) -> Taken {
    let parsed = KeyFile::parse(bytes);
    match &parsed {
        Err((line, why)) => {
            let lines = bytes.split(|byte| *byte == b'\n').count();
            assert!(*line <= lines && !why.is_empty(), "line {line} of {lines}");
        }
        Ok(file) => {
            assert!((1..=2).contains(&file.keys.len()), "{} keys", file.keys.len());
            assert!(file.keys.len() == 1 || file.keys[0].0 != file.keys[1].0, "two keys of one number");
            let mut text = String::new();
            for (id, key) in &file.keys {
                let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
                writeln!(text, "{id} {hex}").expect("writing to a String never fails");
                let shown = format!("{file:?}");
                assert!(!shown.contains(&hex[..16]), "a key is shown");
            }
            assert_eq!(KeyFile::parse(text.as_bytes()).as_ref(), Ok(file), "written as keygen does");
        }
    }
    Taken::of(parsed.is_ok())
}

/// Key files that are right, and files with one thing wrong each.
pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let key = |id: &str, digit: char| format!("{id} {}\n", String::from(digit).repeat(64));
    let all = [
        ("one-key", key("1", 'a')),
        ("two-keys-and-a-remark", format!("# rotation\n\n{}{}", key("1", 'a'), key("2", 'B'))),
        ("three-keys", [key("1", 'a'), key("2", 'b'), key("3", 'c')].concat()),
        ("one-number-twice", [key("1", 'a'), key("1", 'b')].concat()),
        ("number-too-large", key("256", 'a')),
        ("no-digits", key("1", 'g')),
        ("no-key", "1\n".to_owned()),
        ("remark-alone", "# nothing\n".to_owned()),
        ("too-large", "#".repeat(4097)),
    ];
    all.into_iter().map(|(name, text)| (name, text.into_bytes())).collect()
}
