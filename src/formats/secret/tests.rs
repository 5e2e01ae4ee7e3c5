//! Examples of what is hidden and what is shown.

use proptest::prelude::*;

use super::*;

#[test]
fn remembered_secrets_leave_every_text_in_plain_and_quoted_form() {
    drop(remember("hunter2-\"quoted\"\n"));
    assert_eq!(scrub("it was hunter2-\"quoted\"\n!"), "it was (hidden)!");
    assert_eq!(scrub(r#"{"x":"hunter2-\"quoted\"\n"}"#), r#"{"x":"(hidden)"}"#);
}

#[test]
fn values_behind_a_secrets_name_are_hidden() {
    for (text, expected) in [
        ("password=abc def", "password=(hidden) def"),
        ("ssl.key.password: 'a b', x", "ssl.key.password: (hidden), x"),
        (r#"{"api_key": "a\"b", "n": 1}"#, r#"{"api_key": (hidden), "n": 1}"#),
        ("Authorization: Bearer abcdefgh.ijk", "Authorization: Bearer (hidden)"),
        ("retention.ms=5", "retention.ms=5"),
        ("the token ran out", "the token ran out"),
    ] {
        assert_eq!(clean(text), expected, "{text}");
    }
}

#[test]
fn urls_lose_user_and_query() {
    for (text, expected) in [
        ("see https://u:p@host/path?key=1#f now", "see https://(hidden)@host/path?(hidden) now"),
        ("http://u:p@ss@host:80", "http://(hidden)@host:80"),
        ("http://u:p?x@host/y", "http://(hidden)@host/y"),
        ("http://host/path", "http://host/path"),
        ("a://b?c=1 d://e@f", "a://b?(hidden) d://(hidden)@f"),
    ] {
        assert_eq!(strip_urls(text), expected, "{text}");
    }
}

#[test]
fn config_values_are_shown_by_an_allow_list_of_keys() {
    assert_eq!(shown_value("retention.ms", "5"), "5");
    assert_eq!(shown_value("ssl.keystore.password", "x"), HIDDEN);
    assert_eq!(shown_value("ssl.keystore.key", "x"), HIDDEN);
    assert_eq!(shown_value("sasl.jaas.config", "x"), HIDDEN);
    assert_eq!(shown_value("listener.name.x.sasl.jaas.config", "x"), HIDDEN);
    assert_eq!(shown_value("my.plugin.option", "abc"), "(hidden, sha256 ba7816bf)");
    assert_eq!(shown_value("partitions", "3"), "3");
    assert_eq!(
        shown_lines("retention.ms: 5\npartitions: 3\nx.password: y"),
        "retention.ms: 5\npartitions: 3\nx.password: (hidden)"
    );
}

#[test]
fn arguments_are_shown_by_an_allow_list_of_flags() {
    let line = |arguments: &[&str]| shown_arguments("topics apply", arguments.iter().map(|text| (*text).to_owned()));
    assert_eq!(line(&["topics", "apply", "-f", "x.yaml", "--yes"]), "topics apply -f x.yaml --yes");
    assert_eq!(line(&["topics", "apply", "--datadog-url=http://u:p@h"]), "topics apply --datadog-url=(hidden)");
    assert_eq!(line(&["topics", "apply", "--text", "my secret", "orders"]), "topics apply --text (hidden) (hidden)");
    assert_eq!(line(&["-Ptopsecret", "topics", "apply"]), "topics apply (hidden)");
    assert_eq!(line(&["topics", "apply", "--selector=app=x"]), "topics apply --selector=app=x");
}

#[test]
fn the_files_and_rates_of_moves_and_throttles_are_shown() {
    let line = |command: &str, rest: &[&str]| {
        shown_arguments(command, command.split(' ').chain(rest.iter().copied()).map(str::to_owned))
    };
    let shown = "reassign execute --yes plan.json --throttle 50MB/s --patience=1h";
    assert_eq!(line("reassign execute", &["--yes", "plan.json", "--throttle", "50MB/s", "--patience=1h"]), shown);
    assert_eq!(line("throttle set", &["50MB/s", "--brokers", "1,2"]), "throttle set 50MB/s --brokers 1,2");
    let hidden = "reassign execute --datadog-url (hidden) (hidden) p.json";
    assert_eq!(line("reassign execute", &["--datadog-url", "https://x", "-Ptopsecret", "p.json"]), hidden);
    assert_eq!(line("reassign verify", &["https://u:p@h/p.json"]), "reassign verify https://(hidden)@h/p.json");
}

proptest! {
    #[test]
    fn where_no_name_of_a_secret_can_be_nothing_is_hidden(
        parts in prop::collection::vec(prop::sample::select(vec![
            "pa", "ss", "wd", "PassPhrase", "pa\u{17f}\u{17f}word", "Secret", "to", "ken", "credential", "api", "private", "\u{212a}ey",
            "Key", "tab", "jaas", ".config", "auth", "orization", "bear", "er", "x12345678", "_", "-", ".", " ", "=", ": ", "\"", "'", ",",
        ]), 0..12),
    ) {
        let text = parts.concat();
        prop_assert!(may_name_secrets(&text) || hide_named(&text) == text, "{text}");
    }
}
