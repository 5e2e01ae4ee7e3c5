//! Label selectors as the API server reads them: `a=b`, `a!=b`, `a in (b, c)`, `a notin (b)`, `a`, `!a`. Pure.

use std::collections::BTreeMap;

use crate::clients::kubernetes::{CONFIG_MAPS_BYTES_MAX, CONFIG_MAPS_MAX, KubernetesError, LEASES_MAX};

/// Whether a list is still one that a run takes in.
pub(super) fn within_limits(
    namespace: &str,
    selector: &str,
    count: usize,
    bytes: usize,
) -> Result<(), KubernetesError> {
    let what = format!("the ConfigMaps of namespace {namespace} that `{selector}` matches");
    if count > CONFIG_MAPS_MAX {
        return Err(KubernetesError::TooMuch { what, limit: format!("{CONFIG_MAPS_MAX} objects") });
    }
    if bytes > CONFIG_MAPS_BYTES_MAX {
        return Err(KubernetesError::TooMuch { what, limit: format!("{} MiB", CONFIG_MAPS_BYTES_MAX >> 20) });
    }
    Ok(())
}

/// Refuses more Leases than a namespace has locks of one cluster.
pub(super) fn few_leases(namespace: &str, selector: &str, count: usize) -> Result<(), KubernetesError> {
    if count > LEASES_MAX as usize {
        let what = format!("the Leases of namespace {namespace} that `{selector}` matches");
        return Err(KubernetesError::TooMuch { what, limit: format!("{LEASES_MAX} objects") });
    }
    Ok(())
}

/// A parsed selector: all its requirements must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

impl Selector {
    /// Reads a selector; the message says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let parts = split_outside_parentheses(text)?;
        let requirements = parts.iter().map(|part| Requirement::parse(part.trim())).collect::<Result<_, _>>()?;
        Ok(Self(requirements))
    }

    pub(super) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Requirement::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Requirement::Exists(key) => labels.contains_key(key),
            Requirement::Missing(key) => !labels.contains_key(key),
        })
    }
}

impl Requirement {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(key) = text.strip_prefix('!') {
            return Ok(Self::Missing(label_key(key)?));
        }
        if let Some((key, values)) = text.split_once(" notin ") {
            return Ok(Self::NotIn(label_key(key)?, set(values)?));
        }
        if let Some((key, values)) = text.split_once(" in ") {
            return Ok(Self::In(label_key(key)?, set(values)?));
        }
        if let Some((key, value)) = text.split_once("!=") {
            return Ok(Self::NotIn(label_key(key)?, vec![label_value(value)?]));
        }
        if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
            return Ok(Self::In(label_key(key)?, vec![label_value(value)?]));
        }
        Ok(Self::Exists(label_key(text)?))
    }
}

fn set(text: &str) -> Result<Vec<String>, String> {
    let inner = text.trim().strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    let inner = inner.ok_or_else(|| format!("`{text}` is not a set such as (one, two)"))?;
    inner.split(',').map(label_value).collect()
}

fn split_outside_parentheses(text: &str) -> Result<Vec<&str>, String> {
    let mut parts = Vec::new();
    let (mut start, mut is_inside) = (0, false);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' if is_inside => return Err(format!("`{text}` has a parenthesis inside another one")),
            '(' => is_inside = true,
            ')' if !is_inside => return Err(format!("`{text}` has a `)` without its `(`")),
            ')' => is_inside = false,
            ',' if !is_inside => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if is_inside {
        return Err(format!("`{text}` has a `(` without its `)`"));
    }
    // An empty selector matches everything.
    if !(parts.is_empty() && text.trim().is_empty()) {
        parts.push(&text[start..]);
    }
    Ok(parts)
}

fn label_key(text: &str) -> Result<String, String> {
    let key = text.trim();
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_prefix_right = prefix.is_none_or(|prefix| {
        !prefix.is_empty()
            && prefix.len() <= 253
            && prefix.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
    });
    if is_prefix_right && is_label_word(name) && !name.is_empty() {
        Ok(key.to_owned())
    } else {
        Err(format!("`{key}` is not a label's key"))
    }
}

fn label_value(text: &str) -> Result<String, String> {
    let value = text.trim();
    if is_label_word(value) { Ok(value.to_owned()) } else { Err(format!("`{value}` is not a label's value")) }
}

/// At most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; or nothing.
fn is_label_word(text: &str) -> bool {
    let is_end = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && is_end(text.chars().next())
        && is_end(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Selector::parse(selector).unwrap().matches(&labels)
    }

    #[test]
    fn every_operator_means_what_kubectl_means() {
        let labels = [("app", "orders"), ("tier", "gold")];
        let right = ["", "app", "app=orders", "app==orders", "app!=x", "other!=x", "!other", "app in (x, orders)"];
        let wrong =
            ["other", "app=x", "app!=orders", "!app", "app in (x)", "app notin (orders,y)", "app=orders,tier=x"];
        for selector in right {
            assert!(matches(selector, &labels), "{selector}");
        }
        for selector in wrong {
            assert!(!matches(selector, &labels), "{selector}");
        }
        assert!(matches("app=orders,tier notin (silver),!other", &labels));
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for selector in ["=", "a=b=c", "a in b", "a in (b", "a)", "a b", "a=-b", ",", "a,", "x/y/z=1"] {
            assert!(Selector::parse(selector).is_err(), "{selector}");
        }
    }
}
