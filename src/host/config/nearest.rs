//! The search for the name that was probably meant where a configuration has an unknown one.
//!
//! Owns: how near two names are. Never does: report an error, or know a key. Nothing here fails: no
//! name may be near enough.

/// The candidate that `given` probably means, in upper or lower case: at most a third of the
/// letters differ, or one word begins with the other. `None` if no candidate is that near.
pub(crate) fn nearest<'c>(given: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if given.len() > 64 {
        return None; // The distance costs the product of both lengths; no key or name is that long.
    }
    let given = given.to_ascii_lowercase();
    let close = |candidate: &str| {
        let distance = edit_distance(&given, &candidate.to_ascii_lowercase());
        let begins = given.len() >= 3 && (candidate.starts_with(&given) || given.starts_with(candidate));
        (distance <= given.chars().count().max(3) / 3 || begins).then_some(distance)
    };
    let scored = candidates.into_iter().filter_map(|candidate| Some((close(candidate)?, candidate)));
    scored.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// Number of insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`
/// (optimal string alignment).
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}
