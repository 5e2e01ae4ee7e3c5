//! Reads maps that were written in the order of their keys: into a tree at once, instead of searching it for each entry.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// Most entries that room is made for before they are read.
const ROOM_MAX: usize = 4_096;

/// For `#[serde(deserialize_with)]`. Entries may come in any order; of two with one key the last counts.
pub fn map<'de, D, K, V>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
{
    deserializer.deserialize_map(Entries(PhantomData))
}

struct Entries<K, V>(PhantomData<(K, V)>);

impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Visitor<'de> for Entries<K, V> {
    type Value = BTreeMap<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::with_capacity(entries.size_hint().unwrap_or(0).min(ROOM_MAX));
        while let Some(entry) = entries.next_entry()? {
            all.push(entry);
        }
        Ok(BTreeMap::from_iter(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_order_is_read_and_the_last_of_two_counts() {
        let text = r#"{"b":1,"a":2,"c":3,"a":4}"#;
        let read: BTreeMap<String, i32> = map(&mut serde_json::Deserializer::from_str(text)).unwrap();
        assert_eq!(Vec::from_iter(read), [("a".to_owned(), 4), ("b".to_owned(), 1), ("c".to_owned(), 3)]);
    }
}
