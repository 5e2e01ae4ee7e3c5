//! Our reader of properties beside Java's own, on thousands of files that a mean hand wrote.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use kafka_toolbox::formats::properties;

const FILES: usize = 4000;
const PIECES_MAX: u64 = 24;

/// What matters to the rules, and what looks as if it did.
const PIECES: [&[u8]; 27] = [
    b"a",
    b"b",
    b"key",
    b"=",
    b":",
    b" ",
    b"\t",
    b"\x0c",
    b"\\",
    b"\\\\",
    b"\n",
    b"\r",
    b"\r\n",
    b"#",
    b"!",
    b"\\u0041",
    b"\\u00e9",
    b"\\ud83d\\ude00",
    b"\\u12",
    b"\xC3\xA9",
    b"\\\n",
    b"\\\r\n",
    b"\\\r",
    b"\\t",
    b"\\=",
    b"\x0b",
    b"\x00",
];

/// Faults that are ours alone: Java takes the last of two equal keys, and has nothing against an empty key.
const STRICTER: [&str; 3] = ["is given twice", "a value without a key", "half of a surrogate pair"];

#[test]
fn properties_are_read_as_java_reads_them() {
    let files = files();
    let answers = ask_java(&files);
    assert_eq!(answers.len(), files.len());
    let mut agreed = 0;
    for (file, java) in files.iter().zip(&answers) {
        let shown = String::from_utf8_lossy(file);
        match properties::parse("file", file) {
            Ok(found) => {
                let ours: BTreeMap<_, _> = found.iter().map(|one| (units(&one.key), units(one.value()))).collect();
                let ours = ours.iter().fold(String::new(), |text, (key, value)| text + &format!("{key}={value} "));
                // A backslash that continues into nothing is an empty key in Java; here it is nothing.
                let java = java.strip_prefix("= ").unwrap_or(java);
                assert_eq!(ours, java, "{shown:?}");
                agreed += 1;
            }
            Err(faults) => {
                let stricter = STRICTER.iter().any(|words| faults.to_string().contains(words));
                assert!(java == "!" || stricter, "{shown:?}: {faults}");
            }
        }
    }
    assert!(agreed > FILES / 4, "only {agreed} files were read by both");
}

/// The same files in every run.
fn files() -> Vec<Vec<u8>> {
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut next = |limit: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % limit).unwrap()
    };
    let count = PIECES.len() as u64;
    (0..FILES).map(|_| (0..next(PIECES_MAX)).flat_map(|_| PIECES[next(count)]).copied().collect()).collect()
}

fn ask_java(files: &[Vec<u8>]) -> Vec<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/security/Read.java");
    let mut java = Command::new("java").arg(source).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    for file in files {
        for byte in file {
            write!(text, "{byte:02x}").unwrap();
        }
        text.push('\n');
    }
    // Java reads all before it writes anything.
    java.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = java.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn units(text: &str) -> String {
    text.encode_utf16().fold(String::new(), |units, unit| units + &format!("{unit:04x}"))
}
