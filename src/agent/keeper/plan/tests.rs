//! Tests of the plan: which addresses it removes and adds, and how large its portions are.

use super::*;
use std::net::Ipv4Addr;

/// The group addresses that these texts write.
fn vips(addresses: &[&str]) -> Vec<Vip> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

#[test]
fn a_plan_touches_nothing_of_others() {
    let info = |text: &str, prefix, is_ours| AddressInfo {
        address: text.parse().unwrap(),
        prefix,
        is_ours,
        is_secondary: false,
        is_unusable: false,
    };
    let found = [
        info("10.0.0.1", 24, false),
        info("10.0.0.100", 24, false),
        info("10.0.0.101", 32, true),
        info("10.0.0.103", 32, true),
    ];
    let wanted = vips(&["10.0.0.100", "10.0.0.101", "10.0.0.102"]);
    let mut plan = Plan::new(wanted.iter(), &vips(&["10.0.0.103", "10.0.0.104"]), &found);
    assert!(plan.removes_network());
    let removed = vec![(wanted[0], 24), ("10.0.0.103".parse().unwrap(), 32)];
    assert_eq!(plan.next(), Some(Step::Remove(removed)));
    assert_eq!(plan.next(), Some(Step::Add(vec![wanted[0], wanted[2]])));
    assert_eq!(plan.next(), None);
}

#[test]
fn slow_steps_become_smaller_and_never_empty() {
    let many: Vec<Vip> = (1..=2_000u32).map(|n| Ipv4Addr::from(n).into()).collect();
    let mut plan = Plan::new(many.iter(), &[], &[]);
    let mut sizes = Vec::new();
    let mut steps = |plan: &mut Plan, count: usize, took| {
        for _ in 0..count {
            let Some(Step::Add(step)) = plan.next() else { panic!("a step") };
            sizes.push(step.len());
            plan.adapt(Duration::from_millis(took));
        }
    };
    steps(&mut plan, 4, 1);
    steps(&mut plan, 10, 100);
    assert_eq!(sizes, [64, 128, 256, 256, 256, 128, 64, 32, 16, 8, 4, 2, 1, 1]);
}
