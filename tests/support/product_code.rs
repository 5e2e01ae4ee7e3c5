//! Rust source, with everything blanked that is not the product's code: comments, what literals hold, and items that
//! `#[cfg(test)]` covers. Lines and columns stay, so that a finding has its place.

/// The text with comments, contents of literals and test items as spaces.
pub(crate) fn product_code(text: &str) -> String {
    let mut code = without_comments(text);
    let mut from = 0;
    while let Some((start, attribute)) = next_attribute(&code, from) {
        from = start + 1;
        if is_test_only(&code[start..attribute]) {
            let inner = code[start..].starts_with(&['#', '!']);
            let end = if inner { end_of_enclosing(&code, attribute) } else { end_of_item(&code, attribute) };
            blank(&mut code, start, end);
        }
    }
    code.into_iter().collect()
}

/// Names of the modules in files of their own that `#[cfg(test)]` covers.
pub(crate) fn test_modules(text: &str) -> Vec<String> {
    let code = without_comments(text);
    let (mut from, mut names) = (0, Vec::new());
    while let Some((start, attribute)) = next_attribute(&code, from) {
        from = start + 1;
        let item: String = code[attribute..end_of_item(&code, attribute)].iter().collect();
        let name = item.trim().rsplit_once("mod ").and_then(|(_, rest)| rest.strip_suffix(';'));
        if let (true, Some(name)) = (is_test_only(&code[start..attribute]), name) {
            names.push(name.trim().to_owned());
        }
    }
    names
}

fn blank(code: &mut [char], start: usize, end: usize) {
    code[start..end].iter_mut().filter(|letter| **letter != '\n').for_each(|letter| *letter = ' ');
}

/// Comments and what literals hold become spaces; their quotes stay.
fn without_comments(text: &str) -> Vec<char> {
    let mut code: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < code.len() {
        at = match code[at..] {
            ['/', '/', ..] => {
                let end = find(&code, at, &['\n']);
                blank(&mut code, at, end);
                end
            }
            ['/', '*', ..] => {
                let end = end_of_comment(&code, at);
                blank(&mut code, at, end);
                end
            }
            ['"', ..] => blank_string(&mut code, at),
            ['r', '"' | '#', ..] if !is_word(&code, at) => blank_raw_string(&mut code, at),
            ['b' | 'c', 'r', '"' | '#', ..] if !is_word(&code, at) => blank_raw_string(&mut code, at + 1),
            ['\'', '\\', _, ..] => {
                // The escaped letter may be a quote itself.
                let end = find(&code, at + 3, &['\'']);
                blank(&mut code, at + 1, end);
                end + 1
            }
            ['\'', _, '\'', ..] => {
                blank(&mut code, at + 1, at + 2);
                at + 3
            }
            _ => at + 1,
        };
    }
    code
}

/// Where `wanted` stands from `at` on; the end if nowhere.
fn find(code: &[char], at: usize, wanted: &[char]) -> usize {
    let rest = code.get(at..).unwrap_or_default();
    rest.windows(wanted.len()).position(|window| window == wanted).map_or(code.len(), |place| at + place)
}

/// Whether the letter at `at` goes on with a word: `r` in `for "x"` begins no raw string.
fn is_word(code: &[char], at: usize) -> bool {
    at > 0 && (code[at - 1].is_alphanumeric() || code[at - 1] == '_')
}

fn end_of_comment(code: &[char], start: usize) -> usize {
    let (mut at, mut depth) = (start + 2, 1);
    while at < code.len() && depth > 0 {
        match code[at..] {
            ['/', '*', ..] => (at, depth) = (at + 2, depth + 1),
            ['*', '/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    at
}

/// Returns where the code goes on.
fn blank_string(code: &mut [char], start: usize) -> usize {
    let mut at = start + 1;
    while at < code.len() && code[at] != '"' {
        at += if code[at] == '\\' { 2 } else { 1 };
    }
    let end = at.min(code.len());
    blank(code, start + 1, end);
    end + 1
}

/// `start` is at the `r`. Returns where the code goes on.
fn blank_raw_string(code: &mut [char], start: usize) -> usize {
    let hashes = code[start + 1..].iter().take_while(|letter| **letter == '#').count();
    let open = start + 1 + hashes;
    if code.get(open) != Some(&'"') {
        return open; // A raw name: `r#type`.
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let end = find(code, open + 1, &close);
    blank(code, open + 1, end);
    end + close.len()
}

/// The next attribute from `from` on: where it starts, and where it has ended.
fn next_attribute(code: &[char], from: usize) -> Option<(usize, usize)> {
    let start = (from..code.len()).find(|&at| matches!(code[at..], ['#', '[', ..] | ['#', '!', '[', ..]))?;
    Some((start, end_of_group(code, find(code, start, &['[']))))
}

/// Behind the bracket that closes the one at `open`.
fn end_of_group(code: &[char], open: usize) -> usize {
    let mut depth = 0;
    for (at, letter) in code.iter().enumerate().skip(open) {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

/// Before the bracket that closes the group in which `start` is; the end of the file if there is none.
fn end_of_enclosing(code: &[char], start: usize) -> usize {
    let mut at = start;
    while at < code.len() {
        match code[at] {
            ')' | ']' | '}' => return at,
            '(' | '[' | '{' => at = end_of_group(code, at),
            _ => at += 1,
        }
    }
    at
}

/// `cfg(test)`, or `cfg(all(…))` with `test` in it; `cfg(any(test, …))` and `cfg(not(test))` are the product's, too.
fn is_test_only(attribute: &[char]) -> bool {
    let words: String = attribute.iter().filter(|letter| !letter.is_whitespace()).collect();
    let Some(predicate) = words.split_once("[cfg(").and_then(|(_, rest)| rest.strip_suffix(")]")) else { return false };
    let all = predicate.strip_prefix("all(").and_then(|rest| rest.strip_suffix(')'));
    predicate == "test" || all.is_some_and(|parts| parts.split(',').any(|part| part == "test"))
}

/// Behind the item, statement, field, variant or arm that begins at `start`, with the attributes before it.
///
/// Where it can't be told for certain, it ends early: too much code is checked then, never too little.
fn end_of_item(code: &[char], start: usize) -> usize {
    let mut at = start;
    loop {
        at += code[at..].iter().take_while(|letter| letter.is_whitespace()).count();
        match code[at..] {
            ['#', '[', ..] => at = end_of_group(code, at + 1),
            _ => break,
        }
    }
    let kind = Kind::of(code, at);
    while at < code.len() {
        match code[at] {
            ';' => return at + 1,
            ',' if kind == Kind::Part => return at + 1,
            ')' | ']' | '}' => return at,
            '{' if kind != Kind::Semicolon => return end_of_group(code, at),
            '(' | '[' | '{' => at = end_of_group(code, at),
            _ => at += 1,
        }
    }
    at
}

/// How an item ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// At its semicolon, whatever braces it holds: `use a::{b, c};`.
    Semicolon,
    /// At its semicolon or behind its body, whatever commas it holds: `fn f<A, B>() {}`.
    Body,
    /// At a comma, too: a field, a variant, an arm.
    Part,
}

impl Kind {
    fn of(code: &[char], start: usize) -> Self {
        let head: String = code[start..].iter().take_while(|letter| !matches!(letter, ';' | '{' | '=')).collect();
        let head = head.trim_start();
        let head = head.strip_prefix("pub").filter(|rest| rest.starts_with([' ', '('])).unwrap_or(head).trim_start();
        let head = if head.starts_with('(') { head.split_once(')').map_or("", |(_, rest)| rest) } else { head };
        let mut words = head.split_whitespace();
        match (words.next().unwrap_or_default(), words.next().unwrap_or_default()) {
            ("const", "fn" | "unsafe" | "async" | "extern") => Self::Body,
            ("use" | "static" | "type" | "let" | "const", _) | ("extern", "crate") => Self::Semicolon,
            ("fn" | "mod" | "struct" | "enum" | "union" | "impl" | "trait" | "unsafe" | "async" | "extern", _) => {
                Self::Body
            }
            (word, _) if word.starts_with("impl<") || word.starts_with("macro_rules!") => Self::Body,
            _ => Self::Part,
        }
    }
}
