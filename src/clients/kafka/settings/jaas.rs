//! The one line of JAAS in `sasl.jaas.config`: `MODULE FLAG name="value" …;`.
//!
//! It is read as Kafka reads it, with the rules of `java.io.StreamTokenizer`: quotes `"` or `'`, backslash escapes
//! inside them, `//` and `/* */` comments, bare words of letters, digits and `. - _ $`. A fault is an offset and words
//! that never hold any of the text: all of it may be a secret.

use crate::formats::suggest::nearest;

/// A login module and its options, each with its offset in the text. The values may be secrets: there is no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    /// The Java class.
    pub module: String,
    /// Where it stands.
    pub offset: usize,
    /// Options in the order of the text.
    pub options: Vec<LoginOption>,
}

/// One `name="value"`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct LoginOption {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Where the name stands.
    pub offset: usize,
}

/// What is wrong, where, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Byte in the text.
    pub offset: usize,
    /// What is wrong.
    pub what: &'static str,
    /// What would be right.
    pub hint: String,
}

impl Login {
    /// The value of an option.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|option| option.name == name).map(|option| option.value.as_str())
    }
}

const FORM: &str = "the form is MODULE required username=\"…\" password=\"…\";";
/// Most options of one login module; Kafka's have a dozen.
const OPTIONS_MAX: usize = 100;
const FLAGS: [&str; 4] = ["required", "requisite", "sufficient", "optional"];

/// Reads exactly one login module.
pub(super) fn parse(text: &str) -> Result<Login, Wrong> {
    let tokens = tokens(text)?;
    let end = text.len();
    let wrong = |offset, what| Wrong { offset, what, hint: FORM.to_owned() };
    let [module, flag, rest @ ..] = &tokens[..] else {
        return Err(wrong(end, "a login module and its flag are missing"));
    };
    let Kind::Word(module_name) = &module.kind else {
        return Err(wrong(module.offset, "a login module's class is expected here"));
    };
    if !matches!(&flag.kind, Kind::Word(word) if FLAGS.contains(&word.to_lowercase().as_str())) {
        let hint = format!("one of {}; {FORM}", FLAGS.join(", "));
        return Err(Wrong { offset: flag.offset, what: "the login module's flag is expected here", hint });
    }
    let mut login = Login { module: module_name.clone(), offset: module.offset, options: Vec::new() };
    let mut rest = rest;
    loop {
        match rest {
            [Token { kind: Kind::Mark(b';'), .. }] => return Ok(login),
            [Token { kind: Kind::Mark(b';'), .. }, next, ..] => {
                return Err(wrong(next.offset, "there is more after the `;`: only one login module is taken"));
            }
            [name, equals, value, after @ ..] => {
                let option = option(name, equals, value)?;
                if login.options.len() == OPTIONS_MAX {
                    return Err(wrong(option.offset, "this login module has more options than any has"));
                }
                if login.get(&option.name).is_some() {
                    return Err(wrong(option.offset, "this option is given twice"));
                }
                login.options.push(option);
                rest = after;
            }
            [] => return Err(wrong(end, "the closing `;` is missing")),
            [token, ..] => return Err(wrong(token.offset, "an option without a value, or the closing `;` is missing")),
        }
    }
}

fn option(name: &Token, equals: &Token, value: &Token) -> Result<LoginOption, Wrong> {
    let wrong = |token: &Token, what| Wrong { offset: token.offset, what, hint: FORM.to_owned() };
    let (Kind::Word(text) | Kind::Quoted(text)) = &name.kind else {
        return Err(wrong(name, "this can't stand here: a value with special characters needs quotes"));
    };
    if equals.kind != Kind::Mark(b'=') {
        return Err(wrong(equals, "`=` is expected here; a value with special characters needs quotes"));
    }
    match &value.kind {
        Kind::Word(value) | Kind::Quoted(value) => {
            Ok(LoginOption { name: text.clone(), value: value.clone(), offset: name.offset })
        }
        Kind::Mark(_) => Err(wrong(value, "a value is expected here")),
        Kind::Number => {
            Err(wrong(value, "a value that begins with a digit, `.` or `-` needs quotes: Java takes it for a number"))
        }
    }
}

/// A hint for an option that the module does not have.
pub(super) fn hint_for_option(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it has {}", known.join(", ")),
    }
}

#[derive(PartialEq, Eq)]
enum Kind {
    Word(String),
    Quoted(String),
    Number,
    Mark(u8),
}

struct Token {
    kind: Kind,
    offset: usize,
}

fn tokens(text: &str) -> Result<Vec<Token>, Wrong> {
    let mut tokens = Vec::new();
    let mut offset = 0;
    while let Some(first) = text[offset..].chars().next() {
        let rest = &text[offset..];
        let (kind, length) = match first {
            c if c <= ' ' => (None, c.len_utf8()),
            '"' | '\'' => {
                let (value, length) = quoted(rest, first).ok_or_else(|| Wrong {
                    offset,
                    what: "a quote that is not closed",
                    hint: "a quote inside a value is written \\\" (\\\\\" in a properties file)".to_owned(),
                })?;
                (Some(Kind::Quoted(value)), length)
            }
            '/' => (None, comment(rest)),
            c if is_word(c) => {
                let length = rest.find(|c| !is_word(c) && !is_digit(c)).unwrap_or(rest.len());
                (Some(Kind::Word(rest[..length].to_owned())), length)
            }
            c if is_digit(c) => (Some(Kind::Number), rest.find(|c| !is_word(c) && !is_digit(c)).unwrap_or(rest.len())),
            c => (Some(Kind::Mark(u8::try_from(c).unwrap_or(b'?'))), c.len_utf8()),
        };
        tokens.extend(kind.map(|kind| Token { kind, offset }));
        offset += length;
    }
    Ok(tokens)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '_' | '$') || c >= '\u{a0}'
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '.' | '-')
}

/// The length of a comment: `/* … */`, or from a `/` to the end of the line.
fn comment(rest: &str) -> usize {
    if let Some(inside) = rest.strip_prefix("/*") {
        return inside.find("*/").map_or(rest.len(), |end| end + 4);
    }
    rest.find(['\n', '\r']).unwrap_or(rest.len())
}

/// The value of a quoted text and its length with quotes; none if the quote is not closed on its line.
fn quoted(rest: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut letters = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = letters.next() {
        match c {
            '\n' | '\r' => return None,
            c if c == quote => return Some((value, at + 1)),
            '\\' => {
                let (_, next) = letters.next()?;
                let octal = |c: char| c.to_digit(8);
                let Some(first) = octal(next) else {
                    value.push(escaped(next));
                    continue;
                };
                // Up to three octal digits, at most \377.
                let mut code = first;
                for _ in 0..if first <= 3 { 2 } else { 1 } {
                    match letters.peek().and_then(|(_, c)| octal(*c)) {
                        Some(digit) => code = code * 8 + digit,
                        None => break,
                    }
                    letters.next();
                }
                value.push(char::from_u32(code)?);
            }
            c => value.push(c),
        }
    }
    None
}

fn escaped(c: char) -> char {
    match c {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Login {
        parse(text).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"))
    }

    fn wrong(text: &str) -> (usize, &'static str) {
        let wrong = parse(text).err().expect("is wrong");
        (wrong.offset, wrong.what)
    }

    #[test]
    fn a_module_with_options_is_read() {
        let login =
            read("org.apache.kafka.Plain required username=\"bob\" password='it''s';".replace("''", "-").as_str());
        assert_eq!(login.module, "org.apache.kafka.Plain");
        assert_eq!(login.get("username"), Some("bob"));
        assert_eq!(login.get("password"), Some("it-s"));
        assert_eq!(read("a.B$C REQUIRED;").options.len(), 0);
        assert_eq!(read("a optional x=y;").get("x"), Some("y"));
        assert_eq!(read("a optional x = \"y\" ;").get("x"), Some("y"));
        assert_eq!(read("a optional oauth.access.token=\"y\";").get("oauth.access.token"), Some("y"));
    }

    #[test]
    fn escapes_in_quotes_are_those_of_java() {
        assert_eq!(read(r#"a required p="q\"\\\t\u\101\0619";"#).get("p"), Some("q\"\\\tuA19"));
        assert_eq!(read(r#"a required p="\477";"#).get("p"), Some("'7"));
        assert_eq!(read("a required p=\"a//b/*c*/;=\";").get("p"), Some("a//b/*c*/;="));
    }

    #[test]
    fn comments_are_skipped() {
        assert_eq!(read("/* x */ a // y\n required /* ; */ p=\"1\";").get("p"), Some("1"));
    }

    #[test]
    fn each_fault_has_its_own_words_and_offset() {
        assert_eq!(wrong(""), (0, "a login module and its flag are missing"));
        assert_eq!(wrong("a needed;"), (2, "the login module's flag is expected here"));
        assert_eq!(wrong("a required p=\"x\""), (16, "the closing `;` is missing"));
        assert_eq!(wrong("a required p;"), (11, "an option without a value, or the closing `;` is missing"));
        assert_eq!(wrong("a required p=\"x;"), (13, "a quote that is not closed"));
        assert_eq!(
            wrong("a required p=1x;"),
            (13, "a value that begins with a digit, `.` or `-` needs quotes: Java takes it for a number")
        );
        assert_eq!(
            wrong("a required p=x@y;"),
            (14, "this can't stand here: a value with special characters needs quotes"),
        );
        assert_eq!(wrong("a required p=\"x\" p=\"y\";"), (17, "this option is given twice"));
        assert_eq!(
            wrong("a required; b required;"),
            (12, "there is more after the `;`: only one login module is taken")
        );
        assert_eq!(
            wrong("a required p \"x\";"),
            (13, "`=` is expected here; a value with special characters needs quotes")
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z\"'\\\\/*;= \n0-9.é-]{0,60}|\\PC{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn any_password_in_quotes_reads_back(password in "[ -~é€]{0,30}") {
            let quoted = password.replace('\\', "\\\\").replace('"', "\\\"");
            let login = read(&format!("a.B required username=\"u\" password=\"{quoted}\";"));
            prop_assert_eq!(login.get("password"), Some(password.as_str()));
        }
    }
}
