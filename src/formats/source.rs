//! Texts that were read somewhere, with the name that faults call them by.

use std::sync::Arc;

/// One text, not decoded yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// A file's path as the user gave it, `-` for standard input, or `configmap NAMESPACE/NAME, key KEY`.
    pub label: Arc<str>,
    /// Its bytes; that they are UTF-8 is checked by whoever reads them.
    pub bytes: Vec<u8>,
}

impl Source {
    /// A named text.
    pub fn new(label: impl Into<Arc<str>>, text: impl Into<Vec<u8>>) -> Self {
        Self { label: label.into(), bytes: text.into() }
    }
}
