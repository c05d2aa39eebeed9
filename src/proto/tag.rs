// The tag of the engine: a hash over the sources of this crate. This file is included by build.rs,
// which computes the tag, and by the test that sees the tag change with a source. Being included
// there, it cannot have a `//!` header.

/// Sixteen hex digits: FNV-1a over the names and contents of all Rust files below `root`, in the
/// order of their names. A file or directory that cannot be read counts as empty.
fn engine_tag(root: &Path) -> String {
    let mut pending = vec![root.to_path_buf()];
    let mut files = Vec::new();
    while let Some(place) = pending.pop() {
        match fs::read_dir(&place) {
            Ok(entries) => pending.extend(entries.flatten().map(|entry| entry.path())),
            Err(_) if place.extension().is_some_and(|ending| ending == "rs") => files.push(place),
            Err(_) => {}
        }
    }
    files.sort();
    let named = files.iter().flat_map(|path| {
        let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned().into_bytes();
        name.into_iter().chain(fs::read(path).unwrap_or_default())
    });
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("{:016x}", named.fold(0xcbf2_9ce4_8422_2325, step))
}
