//! Tests of how a machine finds out which node of the file it is, or says why it cannot.

use super::*;

/// The IP address that `text` writes.
fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn a_node_is_the_one_whose_link_address_is_local() {
    let cluster = parse(GOOD).expect("it is right");
    let local = [address("127.0.0.1"), address("10.0.0.2"), address("10.0.0.100")];
    assert_eq!(cluster.identify(None, &local), Ok(NodeId(2)));
}

#[test]
fn the_name_given_decides_whatever_the_addresses_are() {
    let cluster = parse(GOOD).expect("it is right");
    assert_eq!(cluster.identify(Some("alpha"), &[address("10.0.0.2")]), Ok(NodeId(1)));
    let error = cluster.identify(Some("gamma"), &[]).expect_err("there is no gamma").to_string();
    assert_eq!(error, "v.toml: --node: there is no node \"gamma\"; it is \"alpha\" or \"beta\"");
}

#[test]
fn no_node_or_several_is_an_error_that_says_what_to_do() {
    let cluster = parse(GOOD).expect("it is right");
    let nobody = cluster.identify(None, &[address("10.9.9.9")]).expect_err("nobody has that").to_string();
    assert!(nobody.starts_with("v.toml:4: node.links: no link address of any node"), "{nobody}");
    assert!(nobody.ends_with("--node \"alpha\" or \"beta\""), "{nobody}");
    let both = [address("10.0.0.1"), address("10.0.0.2")];
    let both = cluster.identify(None, &both).expect_err("both are local").to_string();
    assert!(both.contains("link addresses of several nodes"), "{both}");
}

#[test]
fn loading_shows_errors_of_key_and_identity_together() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("v.toml");
    std::fs::write(&path, GOOD).expect("it can be written");
    let errors = load(&path, Some("gamma"), &[]).expect_err("neither key nor gamma is there");
    assert_eq!(errors.errors.len(), 2, "{errors}");
    assert_eq!((errors.errors[0].line, errors.errors[0].key.as_str()), (Some(2), "key_file"));
    assert!(errors.errors[0].right.starts_with("make it with `vipair keygen"), "{errors}");
    keyfile::generate(&directory.path().join("cluster.key"), 1).expect("it can be made");
    assert_eq!(load(&path, Some("beta"), &[]).expect("all is right").config.me, NodeId(2));
}
