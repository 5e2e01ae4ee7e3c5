//! `${env:NAME}`, `${file:PATH:KEY}` and `${dir:PATH:FILE}` in values, as Kafka's config providers replace them.
//!
//! The three work without `config.providers`: text of that form is never meant as it stands. Where `config.providers`
//! names others, they are Java classes that can't be loaded, and are refused.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use crate::clients::files;
use crate::formats::place::Place;
use crate::formats::properties;

/// The world outside of a properties file: closures, so that tests need none.
#[derive(Clone, Copy)]
pub struct Outside<'a> {
    /// An environment variable.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// The bytes of a file, or why it can't be read.
    pub read: &'a dyn Fn(&Path) -> Result<Vec<u8>, String>,
    /// Whether nothing may be taken from there.
    pub is_closed: bool,
}

/// Where a provider looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provider {
    /// The environment.
    Environment,
    /// A properties file.
    File,
    /// A folder with one file a value, as Kubernetes mounts a Secret.
    Folder,
}

impl Provider {
    /// By the name of Kafka's class.
    pub(super) fn of_class(class: &str) -> Option<Self> {
        match class.strip_prefix("org.apache.kafka.common.config.provider.")? {
            "EnvVarConfigProvider" => Some(Self::Environment),
            "FileConfigProvider" => Some(Self::File),
            "DirectoryConfigProvider" => Some(Self::Folder),
            _ => None,
        }
    }
}

/// Providers by name.
pub(super) type Providers = BTreeMap<String, Provider>;

/// Those that need no `config.providers`.
pub(super) fn default_providers() -> Providers {
    [("env", Provider::Environment), ("file", Provider::File), ("dir", Provider::Folder)]
        .map(|(name, provider)| (name.to_owned(), provider))
        .into()
}

/// A value after replacement.
pub(super) struct Replaced {
    /// The text.
    pub text: String,
    /// Whether anything was replaced.
    pub is_changed: bool,
    /// Where a `${name:…}` was left as it is, as no provider has that name.
    pub left: Vec<usize>,
}

/// Most references of one file of properties that are replaced, most files that they are taken from, and most bytes that
/// they bring, all together.
const REFERENCES_MAX: usize = 1_000;
const FILES_MAX: usize = 32;
const REPLACED_BYTES_MAX: usize = 1 << 20;

/// Most places of one value that are told of because no provider has that name.
const LEFT_MAX: usize = 20;

/// Replaces references in the values of one file. Each file that they name is read once.
pub(super) struct Replacer<'a> {
    providers: Providers,
    outside: Outside<'a>,
    files: BTreeMap<String, BTreeMap<String, String>>,
    references: usize,
    bytes: usize,
}

impl<'a> Replacer<'a> {
    /// With these providers.
    pub(super) fn new(providers: Providers, outside: Outside<'a>) -> Self {
        Self { providers, outside, files: BTreeMap::new(), references: 0, bytes: 0 }
    }

    /// Replaces every `${provider:path:key}` and `${provider:key}`. An error is an offset and what is wrong.
    pub(super) fn replace(&mut self, text: &str) -> Result<Replaced, (usize, String)> {
        let mut replaced = Replaced { text: String::new(), is_changed: false, left: Vec::new() };
        let (mut offset, mut colon, mut close) = (0, Ahead::new(':'), Ahead::new('}'));
        while let Some(start) = text[offset..].find("${").map(|found| offset + found) {
            replaced.text.push_str(&text[offset..start]);
            offset = start + 2;
            let reference = close.at(text, offset).and_then(|end| {
                let middle = colon.at(text, offset).filter(|middle| *middle < end)?;
                Some((&text[offset..middle], &text[middle + 1..end], end))
            });
            let Some((name, reference, end)) = reference else {
                replaced.text.push_str("${");
                continue;
            };
            let Some(provider) = self.providers.get(name).copied() else {
                if replaced.left.len() < LEFT_MAX {
                    replaced.left.push(start);
                }
                replaced.text.push_str("${");
                continue;
            };
            replaced.text.push_str(&self.value(provider, reference).map_err(|why| (start, why))?);
            replaced.is_changed = true;
            offset = end + 1;
        }
        replaced.text.push_str(&text[offset..]);
        Ok(replaced)
    }

    /// What a reference stands for, within the limits of the whole file.
    fn value(&mut self, provider: Provider, reference: &str) -> Result<String, String> {
        if self.outside.is_closed {
            return Err(CLOSED.to_owned());
        }
        self.references += 1;
        if self.references > REFERENCES_MAX {
            return Err(format!("this file refers to other places more than {REFERENCES_MAX} times"));
        }
        let value = self.look_up(provider, reference)?;
        self.bytes += value.len();
        if self.bytes > REPLACED_BYTES_MAX {
            return Err(format!("what this file refers to is longer than {} MiB", REPLACED_BYTES_MAX >> 20));
        }
        Ok(value)
    }

    fn look_up(&mut self, provider: Provider, reference: &str) -> Result<String, String> {
        let outside = self.outside;
        if provider == Provider::Environment {
            return (outside.environment)(reference)
                .ok_or_else(|| format!("environment variable {reference} is not set"));
        }
        let (path, key) =
            reference.rsplit_once(':').ok_or("the form is ${file:PATH:KEY} or ${dir:PATH:FILE}".to_owned())?;
        if provider == Provider::Folder {
            if key.contains('/') || key == ".." {
                return Err("the file's name may have no folders".to_owned());
            }
            let bytes = (outside.read)(&Path::new(path).join(key))?;
            let text = String::from_utf8(bytes).map_err(|_| format!("{path}/{key} is not UTF-8 text"))?;
            return Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned());
        }
        self.file(path)?.get(key).cloned().ok_or_else(|| format!("{path} has no key {key}"))
    }

    /// The keys and values of a file.
    fn file(&mut self, path: &str) -> Result<&BTreeMap<String, String>, String> {
        if !self.files.contains_key(path) {
            if self.files.len() == FILES_MAX {
                return Err(format!("this file refers to more than {FILES_MAX} other files"));
            }
            let bytes = (self.outside.read)(Path::new(path))?;
            let text = String::from_utf8(bytes).map_err(|_| format!("{path} is not UTF-8 text"))?;
            let found = properties::parse(path, escape(&text).as_bytes()).map_err(|faults| faults.to_string())?;
            let values = found.into_iter().map(|property| (property.key.clone(), property.value().to_owned()));
            self.files.insert(path.to_owned(), values.collect());
        }
        self.files.get(path).ok_or_else(|| format!("{path} can't be read"))
    }
}

const CLOSED: &str = "`${…}` is not replaced in a file that was found through the working folder, or its value would go to \
                      whichever broker that folder names; if the file is yours, name it with --command-config or \
                      --toolbox-file";

/// Where a sign stands next: each byte of the text is looked at once, however often it is asked.
struct Ahead {
    sign: char,
    /// The last place that was found.
    found: usize,
    /// Whether there is none behind it.
    is_last: bool,
}

impl Ahead {
    fn new(sign: char) -> Self {
        Self { sign, found: 0, is_last: false }
    }

    /// The first one at this byte or behind it. Offsets never go back.
    fn at(&mut self, text: &str, offset: usize) -> Option<usize> {
        if self.found < offset && !self.is_last {
            match text[offset..].find(self.sign) {
                Some(found) => self.found = offset + found,
                None => self.is_last = true,
            }
        }
        (self.found >= offset && text[self.found..].starts_with(self.sign)).then_some(self.found)
    }
}

/// Kafka reads these files as UTF-8, properties are ISO-8859-1: escapes carry what lies beyond ASCII.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    escaped
}

/// The real world: this process's environment, and files of at most the size of a properties file.
pub(in crate::clients) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A file's bytes.
pub(in crate::clients) fn read(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let limit = properties::FILE_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    let outcome = files::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    match outcome {
        Ok(_) => Ok(bytes),
        Err(error) => Err(format!("failed to read {}: {error}", path.display())),
    }
}

/// A place for a text that is not from a file.
pub(super) fn place_of_flag(flag: &str, column: usize) -> Place {
    Place { source: flag.into(), line: 1, column: column as u64 + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(text: &str) -> Result<String, (usize, String)> {
        replaced_in(text, false)
    }

    fn replaced_in(text: &str, is_closed: bool) -> Result<String, (usize, String)> {
        let outside = Outside {
            environment: &|name| (name == "PASSWORD").then(|| "from-env".to_owned()),
            read: &|path| match path.to_str() {
                Some("/s/kafka.properties") => Ok("password=from-fil\u{e9}\n".into()),
                Some("/s/password") => Ok("from-dir\n".into()),
                _ => Err(format!("failed to read {}", path.display())),
            },
            is_closed,
        };
        Replacer::new(default_providers(), outside).replace(text).map(|replaced| replaced.text)
    }

    #[test]
    fn each_provider_finds_its_value() {
        assert_eq!(replaced("a ${env:PASSWORD} b").as_deref(), Ok("a from-env b"));
        assert_eq!(replaced("${file:/s/kafka.properties:password}").as_deref(), Ok("from-filé"));
        assert_eq!(replaced("${dir:/s:password}${env:PASSWORD}").as_deref(), Ok("from-dirfrom-env"));
    }

    #[test]
    fn a_file_that_was_found_through_the_working_folder_gets_nothing_from_elsewhere() {
        for text in ["${env:PASSWORD}", "x${file:/s/kafka.properties:password}", "${dir:/s:password}"] {
            assert!(replaced_in(text, true).unwrap_err().1.contains("the working folder"), "{text}");
        }
        assert_eq!(replaced_in("plain ${vault:x}", true).as_deref(), Ok("plain ${vault:x}"));
    }

    #[test]
    fn what_no_provider_has_is_left_as_it_is() {
        for text in ["$", "${", "a${b", "${b}", "${vault:x}", "$${", "{env:X}"] {
            assert_eq!(replaced(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_file_of_references_alone_reads_each_file_once_and_is_bounded() {
        let reads = std::cell::Cell::new(0);
        let outside = Outside {
            environment: &|_| Some("x".repeat(10_000)),
            read: &|_| {
                reads.set(reads.get() + 1);
                Ok(b"key=value\n".to_vec())
            },
            is_closed: false,
        };
        let mut replacer = Replacer::new(default_providers(), outside);
        assert_eq!(replacer.replace(&"${file:/a:key}".repeat(900)).unwrap().text, "value".repeat(900));
        assert_eq!(reads.get(), 1);
        assert!(replacer.replace(&"${file:/a:key}".repeat(200)).err().unwrap().1.contains("more than 1000 times"));
        let mut replacer = Replacer::new(default_providers(), outside);
        assert!(replacer.replace(&"${env:X}".repeat(900)).err().unwrap().1.contains("longer than 1 MiB"));
    }

    /// How often a text of this length is looked at in vain is bounded by its length: each would take minutes otherwise.
    #[test]
    fn texts_that_only_look_like_references_take_time_in_proportion_to_their_length() {
        for text in ["${", "${a", "${a:", "${a:b}", "${}", ":${", "}${"] {
            let text = text.repeat(properties::FILE_BYTES_MAX / text.len());
            assert_eq!(replaced(&text).as_deref(), Ok(text.as_str()));
            let behind = format!("{text}}}:");
            assert_eq!(replaced(&behind).as_deref(), Ok(behind.as_str()));
        }
    }

    #[test]
    fn what_is_not_there_is_a_fault_at_its_place() {
        assert_eq!(replaced("ab${env:NO}"), Err((2, "environment variable NO is not set".to_owned())));
        assert_eq!(replaced("${file:/x:y}"), Err((0, "failed to read /x".to_owned())));
        assert_eq!(
            replaced("${file:/s/kafka.properties:user}"),
            Err((0, "/s/kafka.properties has no key user".to_owned()))
        );
        assert!(replaced("${dir:/s:../password}").is_err());
    }
}
