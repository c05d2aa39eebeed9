//! Tests of what is reported of groups and their addresses.

use super::*;

const ETH: InterfaceId = InterfaceId(0);

/// A group with these addresses.
fn group(key: u64, addresses: &[&str]) -> (GroupKey, Vec<Vip>) {
    (GroupKey(key), addresses.iter().map(|text| text.parse().unwrap()).collect())
}

/// Each report in a few words.
fn words(news: Vec<KeeperEvent>) -> Vec<String> {
    let word = |event| match event {
        KeeperEvent::AddressRestored { address, .. } => format!("{address} is back"),
        KeeperEvent::Addresses { groups, missing, .. } => {
            let groups: Vec<String> = groups.iter().map(|(key, placed)| format!("{} {placed:?}", key.0)).collect();
            let missing: Vec<String> = missing.iter().map(|(vip, cause)| format!("{vip}: {cause}")).collect();
            format!("{} [{}]", groups.join(" "), missing.join(" "))
        }
        other => format!("{other:?}"),
    };
    news.into_iter().map(word).collect()
}

#[test]
fn a_missing_address_is_a_matter_of_its_own_group() {
    let groups = [group(1, &["10.0.0.1"]), group(2, &["10.0.0.2", "2001:db8::2"]), group(3, &["2001:db8::3"])];
    let all: HashSet<Vip> = groups.iter().flat_map(|(_, vips)| vips).copied().collect();
    let mut placement = Placement::default();
    placement.begin(HashSet::new());
    assert_eq!(words(placement.settle(ETH, &groups)), ["1 Whole 2 Whole 3 Whole []"]);
    placement.begin(all.clone());
    assert!(placement.settle(ETH, &groups).is_empty() && placement.is_whole());
    for turn in 0..3 {
        placement.begin(all.iter().filter(|vip| vip.is_ipv4()).copied().collect());
        all.iter().filter(|vip| vip.is_ipv6()).for_each(|vip| placement.note_failed(*vip, "refused".to_owned()));
        let news = words(placement.settle(ETH, &groups));
        if turn == 0 {
            assert_eq!(news, ["1 Whole 2 Part 3 Nothing [2001:db8::2: refused 2001:db8::3: refused]"]);
        } else {
            assert_eq!(news, [""; 0], "told once");
        }
        assert!(!placement.is_whole());
    }
    placement.begin(all);
    assert_eq!(words(placement.settle(ETH, &groups)), ["1 Whole 2 Whole 3 Whole []"]);
}

#[test]
fn an_address_that_was_put_back_at_once_is_told_and_changes_nothing_else() {
    let groups = [group(1, &["10.0.0.1", "10.0.0.2"])];
    let mut placement = Placement::default();
    placement.begin(HashSet::new());
    assert_eq!(placement.settle(ETH, &groups).len(), 1);
    placement.begin(groups[0].1[..1].iter().copied().collect());
    assert_eq!(words(placement.settle(ETH, &groups)), ["10.0.0.2 is back"]);
    placement.reconfigure(&groups[0].1.iter().copied().collect());
    assert_eq!(words(placement.settle(ETH, &groups)), ["1 Whole []"], "everything again after a reload");
}
