//! Ids and ranges of ids. An id that a template left unfilled (`${HOSTNAME##*-}`) is refused, not repaired.

use std::collections::BTreeSet;

use crate::cluster::broker::{BrokerId, BrokerRange};
use crate::cluster::map::Maps;
use crate::cluster::visible;
use crate::formats::suggest::nearest;

/// Reads one id: digits only.
pub fn id(text: &str) -> Result<BrokerId, String> {
    let shown = visible::value(text);
    if text.contains('$') {
        return Err(format!("`{shown}` holds `$`: nothing is substituted and no command is run here; give the number"));
    }
    if text.is_empty() || text.chars().any(char::is_whitespace) {
        return Err(format!("`{shown}` is empty or holds a space; an id is a number such as 1003"));
    }
    if text.starts_with('-') {
        return Err(format!(
            "`{shown}` is negative: ids are 0 to 2147483647, and -1 (let Kafka choose) is not supported"
        ));
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{shown}` is not a number; an id is a number such as 1003"));
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(format!("`{shown}` has a leading zero; write `{}`", text.trim_start_matches('0')));
    }
    text.parse()
}

/// Reads ids and ranges with commas between them: `1001-1006,1010`.
pub fn ids(text: &str) -> Result<BTreeSet<BrokerId>, String> {
    let mut found = BTreeSet::new();
    for part in text.split(',') {
        for end in part.split('-') {
            id(end)?;
        }
        found.extend(part.parse::<BrokerRange>()?.ids());
    }
    Ok(found)
}

/// The ids of a map, checked against those of all other maps and against the KRaft controllers': an id belongs to one
/// broker of one map, even where two maps share brokers for their topics.
pub fn of_map(maps: &Maps, name: &str, controllers: &BTreeSet<BrokerId>) -> Result<BTreeSet<BrokerId>, String> {
    let Some(map) = maps.named(name) else {
        let names: Vec<_> = maps.0.iter().map(|map| map.name.as_str()).collect();
        let hint = match nearest(name, names.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("there are {}", names.join(", ")),
        };
        return Err(format!("there is no map `{name}` ({hint})"));
    };
    for (index, one) in maps.0.iter().enumerate() {
        for other in &maps.0[..index] {
            if let Some(shared) = one.brokers.intersection(&other.brokers).next() {
                return Err(format!(
                    "maps `{}` and `{}` both have id {shared}: ranges that ids are drawn from may not overlap (`overlap: \
                     true` is for topics)",
                    other.name, one.name
                ));
            }
        }
        check_controllers(&one.name, &one.brokers, controllers)?;
    }
    Ok(map.brokers.clone())
}

/// Refuses ids that KRaft controllers have.
pub fn check_controllers(map: &str, ids: &BTreeSet<BrokerId>, controllers: &BTreeSet<BrokerId>) -> Result<(), String> {
    match ids.intersection(controllers).next() {
        Some(shared) => Err(format!(
            "map `{map}` has id {shared}, which is a KRaft controller's (--controller-ids): brokers and controllers share one \
             space of ids"
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::map::Map;

    #[test]
    fn an_id_is_digits_and_everything_else_is_refused_with_the_reason() {
        assert_eq!(id("1003"), Ok(BrokerId(1003)));
        assert_eq!(id("0"), Ok(BrokerId(0)));
        let cases = [
            ("-1", "is negative"),
            ("${HOSTNAME##*-}", "holds `$`"),
            ("$(hostname | awk -F '-' '{print $2}')", "holds `$`"),
            ("10 03", "holds a space"),
            ("", "is empty"),
            ("007", "a leading zero; write `7`"),
            ("1e3", "is not a number"),
            ("2147483648", "0 to 2147483647"),
        ];
        for (text, why) in cases {
            let words = id(text).unwrap_err();
            assert!(words.contains(why), "{text}: {words}");
        }
        assert_eq!(ids("1-3,7").unwrap().len(), 4);
        assert!(ids("1-3,$X").unwrap_err().contains("holds `$`"));
        assert!(ids("3-1").unwrap_err().contains("ends before it starts"));
    }

    #[test]
    fn ranges_of_maps_may_share_no_id_with_each_other_or_with_controllers() {
        let map = |name: &str, text: &str| Map::new(name, name, ids(text).unwrap()).unwrap();
        let maps = Maps(vec![map("a", "1001-1003"), map("b", "1004-1006")]);
        let none = BTreeSet::new();
        assert_eq!(of_map(&maps, "b", &none).unwrap(), ids("1004-1006").unwrap());
        assert!(of_map(&maps, "c", &none).unwrap_err().contains("there is no map `c`"));
        let words = of_map(&maps, "a", &ids("1005").unwrap()).unwrap_err();
        assert!(words.contains("map `b` has id 1005, which is a KRaft controller's"), "{words}");
        let mut shared = map("c", "1003-1004");
        shared.overlap = true;
        let words = of_map(&Maps(vec![map("a", "1001-1003"), shared]), "a", &none).unwrap_err();
        assert!(words.contains("maps `a` and `c` both have id 1003"), "{words}");
    }
}
