//! `${env:NAME}`, `${file:PATH:KEY}` and `${dir:PATH:FILE}` in values, as Kafka's config providers replace them.
//!
//! The three work without `config.providers`: text of that form is never meant as it stands. Where `config.providers`
//! names others, they are Java classes that can't be loaded, and are refused.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use crate::formats::place::Place;
use crate::formats::properties;

/// The world outside of a properties file: closures, so that tests need none.
#[derive(Clone, Copy)]
pub struct Outside<'a> {
    /// An environment variable.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// The bytes of a file, or why it can't be read.
    pub read: &'a dyn Fn(&Path) -> Result<Vec<u8>, String>,
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

/// Replaces every `${provider:path:key}` and `${provider:key}`. An error is an offset and what is wrong.
pub(super) fn replace(text: &str, providers: &Providers, outside: Outside<'_>) -> Result<Replaced, (usize, String)> {
    let mut replaced = Replaced { text: String::new(), is_changed: false, left: Vec::new() };
    let mut offset = 0;
    while let Some(start) = text[offset..].find("${").map(|found| offset + found) {
        replaced.text.push_str(&text[offset..start]);
        offset = start + 2;
        let inside = text[offset..].split_once('}').map(|(inside, _)| inside);
        let Some((inside, (name, reference))) = inside.and_then(|inside| Some((inside, inside.split_once(':')?)))
        else {
            replaced.text.push_str("${");
            continue;
        };
        let Some(provider) = providers.get(name) else {
            replaced.left.push(start);
            replaced.text.push_str("${");
            continue;
        };
        let value = look_up(*provider, reference, outside).map_err(|why| (start, why))?;
        replaced.text.push_str(&value);
        replaced.is_changed = true;
        offset += inside.len() + 1;
    }
    replaced.text.push_str(&text[offset..]);
    Ok(replaced)
}

fn look_up(provider: Provider, reference: &str, outside: Outside<'_>) -> Result<String, String> {
    if provider == Provider::Environment {
        return (outside.environment)(reference).ok_or_else(|| format!("environment variable {reference} is not set"));
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
    let bytes = (outside.read)(Path::new(path))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{path} is not UTF-8 text"))?;
    let found = properties::parse(path, escape(&text).as_bytes()).map_err(|faults| faults.to_string())?;
    let property = found.iter().find(|property| property.key == key);
    property.map(|property| property.value().to_owned()).ok_or_else(|| format!("{path} has no key {key}"))
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
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A file's bytes.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let limit = properties::FILE_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    let outcome = std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
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
        let outside = Outside {
            environment: &|name| (name == "PASSWORD").then(|| "from-env".to_owned()),
            read: &|path| match path.to_str() {
                Some("/s/kafka.properties") => Ok("password=from-fil\u{e9}\n".into()),
                Some("/s/password") => Ok("from-dir\n".into()),
                _ => Err(format!("failed to read {}", path.display())),
            },
        };
        replace(text, &default_providers(), outside).map(|replaced| replaced.text)
    }

    #[test]
    fn each_provider_finds_its_value() {
        assert_eq!(replaced("a ${env:PASSWORD} b").as_deref(), Ok("a from-env b"));
        assert_eq!(replaced("${file:/s/kafka.properties:password}").as_deref(), Ok("from-filé"));
        assert_eq!(replaced("${dir:/s:password}${env:PASSWORD}").as_deref(), Ok("from-dirfrom-env"));
    }

    #[test]
    fn what_no_provider_has_is_left_as_it_is() {
        for text in ["$", "${", "a${b", "${b}", "${vault:x}", "$${", "{env:X}"] {
            assert_eq!(replaced(text).as_deref(), Ok(text));
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
