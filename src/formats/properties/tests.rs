//! The rules of `java.util.Properties`, one by one, and that no bytes make the parser panic.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;

fn pairs(text: &str) -> Vec<(String, String)> {
    let properties = parse("t", text.as_bytes()).expect("parses");
    properties.into_iter().map(|property| (property.key.clone(), property.value().to_owned())).collect()
}

fn one(text: &str) -> (String, String) {
    pairs(text).remove(0)
}

fn faults(bytes: &[u8]) -> Vec<String> {
    parse("t", bytes).expect_err("is faulty").0.iter().map(ToString::to_string).collect()
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn every_separator_of_java_ends_a_key() {
    for text in ["a=b", "a:b", "a b", "a\tb", "a\x0cb", "a = b", "a : b", "  a=b", "a  =  b"] {
        assert_eq!(one(text), pair("a", "b"), "{text:?}");
    }
    assert_eq!(one("a==b"), pair("a", "=b"));
    assert_eq!(one("a=:b"), pair("a", ":b"));
    assert_eq!(one("a b=c"), pair("a", "b=c"));
    assert_eq!(one("a"), pair("a", ""));
    assert_eq!(one("a="), pair("a", ""));
}

#[test]
fn an_escaped_separator_belongs_to_the_key() {
    assert_eq!(one(r"a\=b=c"), pair("a=b", "c"));
    assert_eq!(one(r"a\:b:c"), pair("a:b", "c"));
    assert_eq!(one(r"a\ b c"), pair("a b", "c"));
    assert_eq!(one(r"a\\=c"), pair(r"a\", "c"));
}

#[test]
fn comments_and_blank_lines_are_left_out() {
    assert_eq!(pairs("# a=b\n  ! c=d\n\n \t\na=1#2!3\n"), [pair("a", "1#2!3")]);
    // A comment is never continued, a value may begin with # once its line has begun.
    assert_eq!(pairs("#x\\\na=1\nb=\\\n#2"), [pair("a", "1"), pair("b", "#2")]);
}

#[test]
fn a_backslash_joins_lines_and_drops_the_next_ones_indent() {
    assert_eq!(one("a=1,\\\n    2,\\\r\n\t3"), pair("a", "1,2,3"));
    assert_eq!(pairs("a=1\\\\\nb=2"), [pair("a", "1\\"), pair("b", "2")]);
    assert_eq!(pairs("a=1\\\n\nb=2"), [pair("a", "1"), pair("b", "2")]);
    assert_eq!(one("a=1\\"), pair("a", "1"));
    assert_eq!(pairs("\\\n\\\n"), []);
}

#[test]
fn every_end_of_line_counts_as_one() {
    assert_eq!(pairs("a=1\rb=2\r\nc=3\nd=4"), [pair("a", "1"), pair("b", "2"), pair("c", "3"), pair("d", "4")]);
    let properties = parse("t", b"a=1\r\rb=2\r\nc=3").expect("parses");
    assert_eq!(properties.iter().map(|property| property.key_place.line).collect::<Vec<_>>(), [1, 3, 4]);
}

#[test]
fn escapes_mean_what_they_mean_in_java() {
    assert_eq!(one(r"a=\t\n\r\f\\\q\'"), pair("a", "\t\n\r\u{c}\\q'"));
    assert_eq!(one(r"a=\u0041\u00e9\u20AC"), pair("a", "Aé€"));
    assert_eq!(one(r"a=\ud83d\ude00"), pair("a", "😀"));
    assert_eq!(one("a= b "), pair("a", "b "));
}

#[test]
fn bytes_are_read_as_iso_8859_1_and_that_is_told() {
    let properties = parse("t", "a=é\nb=e".as_bytes()).expect("parses");
    assert_eq!(properties[0].value(), "Ã©");
    assert!(properties[0].has_foreign_bytes());
    assert!(!properties[1].has_foreign_bytes());
}

#[test]
fn faults_name_their_places() {
    assert_eq!(
        faults(b"a.b=1\nb=2\n a.b=3"),
        ["t:3:2: `a.b` is given twice: first at t:1:1 (keep one of them; Java silently takes the last)"]
    );
    assert!(faults(b"a=x\\u12g4")[0].starts_with("t:1:4: malformed \\uXXXX ("));
    assert!(faults(b"a=x\\u12")[0].starts_with("t:1:4: malformed"));
    assert!(faults(b"a=\\ud83d!")[0].starts_with("t:1:3: half of a surrogate pair"));
    assert!(faults(b"a=\\ud83d")[0].starts_with("t:1:3: half of a surrogate pair"));
    assert!(faults(b"\n=b")[0].starts_with("t:2:1: a value without a key"));
    assert!(faults(b"\xEF\xBB\xBFa=b")[0].contains("byte order mark"));
    assert!(faults(&vec![b'a'; FILE_BYTES_MAX + 1])[0].contains("at most 1048576"));
    assert_eq!(faults("=\n".repeat(1000).as_bytes()).len(), FAULTS_MAX);
}

#[test]
fn what_does_not_look_like_a_key_is_not_shown() {
    assert_eq!(show_key("sasl.mechanism"), "`sasl.mechanism`");
    for key in
        ["hunter2\";", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj", "-----BEGIN", "a\u{1b}[31m.b", &"a.".repeat(50)]
    {
        assert_eq!(show_key(key), "this key");
    }
}

#[test]
fn a_byte_of_a_value_has_its_own_place_across_lines_and_escapes() {
    let properties = parse("t", b"key = ab\\tcd \\\n   ef").expect("parses");
    let property = &properties[0];
    assert_eq!(property.value(), "ab\tcd ef");
    let at = |letter: char| {
        let place = property.place_at(property.value().find(letter).expect("is there"));
        (place.line, place.column)
    };
    assert_eq!(at('a'), (1, 7));
    assert_eq!(at('c'), (1, 11));
    assert_eq!(at('e'), (2, 4));
    assert_eq!(at('f'), (2, 5));
}

#[test]
fn a_value_is_not_in_the_debug_form() {
    let properties = parse("t", b"sasl.password=hunter2").expect("parses");
    assert!(!format!("{properties:?}").contains("hunter2"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse("t", &bytes);
    }

    #[test]
    fn nothing_that_looks_like_properties_makes_it_panic(text in "([ab=: \\\\\\t\n\r#!u0d8]|\\\\u[0-9a-f]{4}){0,80}") {
        if let Ok(properties) = parse("t", text.as_bytes()) {
            for property in properties {
                for offset in 0..=property.value().len() {
                    prop_assert!(property.place_at(offset).line >= 1);
                }
            }
        }
    }

    #[test]
    fn what_java_would_store_reads_back(key in "[ -~äß€😀]{1,20}", value in "[ -~\t\n\r\u{c}äß€😀]{0,40}") {
        let text = format!("{}={}\n", escape(&key), escape(&value));
        prop_assert_eq!(one(&text), (key, value));
    }
}

/// As `java.util.Properties.store` writes.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for unit in text.encode_utf16() {
        match u8::try_from(unit).map(char::from) {
            Ok(c) if c.is_ascii_alphanumeric() => escaped.push(c),
            Ok('\t') => escaped.push_str("\\t"),
            Ok('\n') => escaped.push_str("\\n"),
            Ok('\r') => escaped.push_str("\\r"),
            Ok('\u{c}') => escaped.push_str("\\f"),
            Ok(c) if c.is_ascii() && !c.is_control() => escaped.extend(['\\', c]),
            _ => {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    escaped
}
