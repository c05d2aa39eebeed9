//! Tests with random files: whatever stands in a file, there is an answer and never a panic.

use super::*;
use proptest::prelude::*;

/// A piece of text that a configuration may contain, or random letters. Put together, such pieces
/// stand in wrong places.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "[[node]]",
        "[[group]]",
        "[node]",
        "[group]",
        "[timing]",
        "[witness]",
        "address",
        "strict",
        "promote",
        "drift_ppm",
        "[[group.check]]",
        "[group.interface]",
        "name",
        "links",
        "interface",
        "uplinks",
        "addresses",
        "prefer",
        "preempt",
        "cluster",
        "key_file",
        "profile",
        "pulse_ms",
        "silence_ms",
        "lease_ms",
        "kind",
        "port",
        "node",
        "group",
        "timing",
        "check",
        "=",
        "[",
        "]",
        "{",
        "}",
        ",",
        "\"",
        "\n",
        "'''",
        "\"alpha\"",
        "\"10.0.0.1\"",
        "\"fe80::1\"",
        "5",
        "-1",
        "0xffff_ffff_ffff_ffff_f",
        "1e9",
        "true",
        "1979-05-27",
        "#",
        ".",
        "é",
        "\u{0}",
        "\r\n",
    ];
    prop_oneof![4 => prop::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,8}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_text_never_panics(text in "\\PC{0,400}") {
        let _either = parse(&text);
    }

    #[test]
    fn random_pieces_never_panic_and_errors_point_into_the_file(pieces in prop::collection::vec(piece(), 0..60)) {
        let text = pieces.join(" ");
        if let Err(errors) = parse(&text) {
            prop_assert!(!errors.errors.is_empty());
            let lines = text.split('\n').count();
            for error in &errors.errors {
                prop_assert!(error.line.is_some_and(|line| (1..=lines).contains(&line)), "{}", error);
                prop_assert!(!error.wrong.is_empty() && !error.right.is_empty(), "{}", error);
            }
        }
    }

    #[test]
    fn a_good_file_with_a_piece_put_anywhere_never_panics(at in 0..GOOD.len(), piece in piece()) {
        let mut text = GOOD.to_owned();
        text.insert_str(at, &piece);
        let _either = parse(&text);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("v.toml");
        std::fs::write(&path, &bytes).expect("it can be written");
        let _either = ClusterFile::read(&path);
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its mode can be set");
        let _either = KeyFile::load(&path);
    }

    #[test]
    fn whatever_is_accepted_obeys_the_rules_of_time(
        pulse in prop_oneof![5..40_u64, 1..20_000_u64],
        silence in prop_oneof![8..400_u64, 1..70_000_u64],
        lease in prop_oneof![15..400_u64, 1..70_000_u64],
        ppm in prop_oneof![1..2_000_u64, 0..60_000_u64],
        voted in any::<bool>(),
    ) {
        let witness = if voted { "[witness]\naddress = \"10.0.9.9\"\n" } else { "" };
        let keys = format!(
            "{witness}[timing]\npulse_ms = {pulse}\nsilence_ms = {silence}\nlease_ms = {lease}\ndrift_ppm = {ppm}\n[[node]]"
        );
        if let Ok(cluster) = parse(&good_with("[[node]]", &keys)) {
            let times = cluster.timing;
            let ms = std::time::Duration::from_millis;
            prop_assert_eq!((times.drift_ppm, cluster.witness.is_some()), (ppm, voted));
            let least = if voted { times.pulse * 3 + ms(4) } else { ms(50) };
            prop_assert!(times.lease >= least);
            // In whole nanoseconds: (promise − g) × (1 − ρ) ≥ lease × (1 + ρ), and the same of
            // abstention.
            for (long, short) in [(times.promise, times.lease), (times.abstain, times.promise)] {
                let spared = (long - ms(1)).as_nanos() * u128::from(1_000_000 - ppm);
                prop_assert!(spared >= short.as_nanos() * u128::from(1_000_000 + ppm), "{:?} and {:?}", long, short);
            }
            prop_assert!(times.silence * 2 >= times.pulse * 3, "silence ≥ 1.5 × pulse");
            prop_assert!(times.lease >= times.pulse * 3);
            prop_assert!(times.suspicion + times.probe * 3 <= times.silence);
        }
    }
}
