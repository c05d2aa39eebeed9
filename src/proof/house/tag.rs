//! The engine's tag changes with everything that decides, so that a recording is replayed by the engine that made it.

use super::{files, is_test, read, root, shown};
use std::fs;
use std::path::{Path, PathBuf};

include!("../../proto/tag.rs");

/// A copy of `src/proto` that is gone when the test ends.
struct Copy(PathBuf);

impl Copy {
    /// Copies all Rust files of `src/proto` to a temporary directory with `name` in its own name,
    /// so that tests that run at a time do not share one.
    fn new(name: &str) -> Copy {
        let copy = Copy(std::env::temp_dir().join(format!("vipair-tag-{name}-{}", std::process::id())));
        for path in files("src/proto", "rs") {
            let to = copy.place(&path);
            fs::create_dir_all(to.parent().expect("a file is in a folder"))
                .expect("the temporary directory is writable");
            fs::copy(&path, to).expect("the temporary directory is writable");
        }
        copy
    }

    /// Where the copy has a file of `src/proto`.
    fn place(&self, path: &Path) -> PathBuf {
        self.0.join(path.strip_prefix(root().join("src/proto")).expect("the file is in src/proto"))
    }

    /// The engine's tag, computed from the files of the copy.
    fn tag(&self) -> String {
        engine_tag(&self.0)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // What is left behind is in the temporary directory.
        let _gone = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_tag_in_the_program_is_that_of_the_sources() {
    let copy = Copy::new("same");
    assert_eq!(copy.tag(), vipair_proto::ENGINE_TAG, "a copy of the sources has another tag than the program");
    fs::write(copy.0.join("notes.txt"), "no source").expect("the temporary directory is writable");
    assert_eq!(copy.tag(), vipair_proto::ENGINE_TAG, "a file that is no source changes the tag");
    let build = read(&root().join("src/proto/build.rs"));
    assert!(
        build.contains("include!(\"tag.rs\")"),
        "src/proto/build.rs computes the tag by other means than this test"
    );
}

#[test]
fn every_file_that_decides_changes_the_tag() {
    let copy = Copy::new("changed");
    let before = copy.tag();
    let deciding: Vec<PathBuf> = files("src/proto", "rs").into_iter().filter(|path| !is_test(path)).collect();
    for known in ["rules/vote.rs", "mutant.rs", "timing.rs", "engine/mod.rs", "voter/mod.rs", "wire/pulse.rs"] {
        assert!(deciding.iter().any(|path| path.ends_with(known)), "src/proto/{known} is gone: name another here");
    }
    for path in deciding {
        let (place, text) = (copy.place(&path), fs::read(&path).expect("the file was listed"));
        let mut changed = text.clone();
        *changed.last_mut().expect("no source is empty") ^= 1;
        fs::write(&place, changed).expect("the temporary directory is writable");
        assert_ne!(copy.tag(), before, "{} can change and the tag does not", shown(&path));
        fs::write(&place, text).expect("the temporary directory is writable");
    }
    assert_eq!(copy.tag(), before, "the same sources have two tags");
}

#[test]
fn a_file_that_comes_or_takes_another_name_changes_the_tag() {
    let copy = Copy::new("moved");
    let before = copy.tag();
    let from = copy.0.join("rules/vote.rs");
    fs::rename(&from, copy.0.join("rules/votes.rs")).expect("the file was copied");
    assert_ne!(copy.tag(), before, "a file was renamed");
    fs::rename(copy.0.join("rules/votes.rs"), &from).expect("it was renamed");
    fs::write(copy.0.join("engine/more.rs"), "//! More.\n").expect("the temporary directory is writable");
    assert_ne!(copy.tag(), before, "a file was added");
}
