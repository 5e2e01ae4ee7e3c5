//! Events of YAML text: text in, events with their places or a fault out.
//!
//! A crate of its own, because generic code is compiled as the crate asks that names its types: the tool is built to be
//! small, its parser to be fast (`profile.release` in the workspace's `Cargo.toml`). Reading a long spec takes a third less
//! so.

use granit_parser::{Parser, StrInput, options};

pub use granit_parser::{ErrorKind, Event, Marker, ScalarStyle, ScanError, Span, Tag};

/// The events of one text, in its order. Comments are left out; an alias without an anchor is an event.
pub struct Events<'a>(Parser<'a, StrInput<'a>>);

impl<'a> Events<'a> {
    /// Reads nothing yet. Lists and mappings that nest deeper than `depth_max` are a fault.
    pub fn new(text: &'a str, depth_max: usize) -> Self {
        let options = options! {
            emit_comments: false,
            emit_unresolved_aliases: true,
            flow_nesting_limit: depth_max,
            block_nesting_limit: depth_max,
        };
        Self(Parser::new_from_str_with_options(text, options))
    }

    /// Goes on at the next document, whatever is left of this one; `false` if there is none.
    pub fn skip_document(&mut self) -> bool {
        matches!(self.0.proceed_next_document(), Ok(true))
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<(Event<'a>, Span), ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_event()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_in_one_document_leaves_the_next_one_readable() {
        let mut events = Events::new("one: [\n---\ntwo: 2\n", 8);
        assert!(events.any(|event| event.is_err()));
        assert!(events.skip_document());
        let scalars = events.filter_map(|event| match event {
            Ok((Event::Scalar(text, ..), span)) => Some((text.into_owned(), span.start.line())),
            _ => None,
        });
        assert_eq!(scalars.collect::<Vec<_>>(), [("two".to_owned(), 3), ("2".to_owned(), 3)]);
    }

    #[test]
    fn what_nests_too_deep_is_a_fault() {
        for text in ["[[[[0]]]]", "a:\n b:\n  c:\n   d: 0\n"] {
            assert!(Events::new(text, 3).any(|event| event.is_err()), "{text}");
            assert!(Events::new(text, 4).all(|event| event.is_ok()), "{text}");
        }
    }
}
