//! Which topics and which brokers are meant: flags and maps → groups of topics, each with the brokers it belongs on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::cluster::broker::{BrokerId, BrokerRange};
use crate::cluster::map::{Map, Maps, NamePattern};
use crate::cluster::topic::TopicName;
use crate::commands::mapping::observe::Observed;
use crate::formats::suggest::nearest;

/// Most names that a message lists.
const NAMES_MAX: usize = 10;

/// Names and regular expressions with commas between them; commas inside of brackets belong to the expression.
#[derive(Debug, Clone)]
pub struct TopicPatterns(Vec<(String, NamePattern)>);

impl fmt::Display for TopicPatterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(|(text, _)| text.as_str()).collect();
        f.write_str(&texts.join(","))
    }
}

impl FromStr for TopicPatterns {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = |token: &str| {
            let pattern = NamePattern::new(token)
                .map_err(|error| format!("`{token}` is neither a topic's name nor a regular expression: {error}"))?;
            Ok::<_, String>((token.to_owned(), pattern))
        };
        let patterns = split(text).into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if patterns.is_empty() {
            return Err("names or regular expressions are expected, as `orders,web_.*`".into());
        }
        Ok(Self(patterns))
    }
}

/// Cuts at commas that stand outside of brackets, and not behind a backslash.
fn split(text: &str) -> Vec<&str> {
    let (mut tokens, mut start, mut depth, mut is_escaped) = (Vec::new(), 0, 0_usize, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                tokens.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    tokens.push(&text[start..]);
    tokens.into_iter().map(str::trim).filter(|token| !token.is_empty()).collect()
}

impl TopicPatterns {
    /// The topics that are meant. A name or expression that fits none is a fault: it is a slip.
    fn choose(&self, topics: &BTreeSet<&TopicName>) -> Result<BTreeSet<TopicName>, String> {
        let mut chosen = BTreeSet::new();
        for (text, pattern) in &self.0 {
            let before = chosen.len();
            let mut fitting = topics.iter().filter(|topic| pattern.fits(topic)).peekable();
            let is_any = fitting.peek().is_some();
            chosen.extend(fitting.map(|topic| (*topic).clone()));
            if chosen.len() == before && !is_any {
                return Err(fits_none(text, pattern, topics));
            }
        }
        Ok(chosen)
    }
}

fn fits_none(text: &str, pattern: &NamePattern, topics: &BTreeSet<&TopicName>) -> String {
    let hint = match pattern {
        NamePattern::Literal(_) => nearest(text, topics.iter().map(|topic| topic.as_str()))
            .map(|meant| format!("did you mean `{meant}`?"))
            .unwrap_or_default(),
        NamePattern::Regex(_) if text.ends_with('*') && !text.ends_with(".*") => {
            format!("as a regular expression that is `{}.*`", text.trim_end_matches('*'))
        }
        NamePattern::Regex(_) => "a regular expression must match a whole name".into(),
    };
    let hint = if hint.is_empty() { hint } else { format!(" ({hint})") };
    match pattern {
        NamePattern::Literal(_) => format!("there is no topic `{text}`{hint}"),
        NamePattern::Regex(_) => format!("no topic matches `{text}`{hint}"),
    }
}

/// Brokers with commas between them: ids, ranges as `1001-1006`, `-1` for those that hold the topics now, `-2` for all
/// that are live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brokers {
    text: String,
    tokens: Vec<BrokerToken>,
}

impl fmt::Display for Brokers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum BrokerToken {
    Holders,
    Live,
    Range(BrokerRange),
}

impl FromStr for Brokers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = |token: &str| match token {
            "-1" => Ok(BrokerToken::Holders),
            "-2" => Ok(BrokerToken::Live),
            _ if token.starts_with('-') => {
                Err(format!("`{token}` names no brokers: -1 is those that hold the topics now, -2 all that are live"))
            }
            _ => token.parse().map(BrokerToken::Range),
        };
        let tokens = text.split(',').map(str::trim).filter(|token| !token.is_empty()).map(read);
        let tokens = tokens.collect::<Result<Vec<_>, _>>()?;
        if tokens.is_empty() {
            return Err("broker ids are expected, as `1001,1003-1006`".into());
        }
        Ok(Self { text: text.to_owned(), tokens })
    }
}

impl Brokers {
    /// The brokers that are meant. One that is neither live nor holds anything is a slip.
    pub fn resolve(&self, observed: &Observed, topics: &BTreeSet<TopicName>) -> Result<BTreeSet<BrokerId>, String> {
        let (mut found, mut unknown) = (BTreeSet::new(), BTreeSet::new());
        for token in &self.tokens {
            match token {
                BrokerToken::Holders => found.extend(holders(observed, topics)),
                BrokerToken::Live => found.extend(live(observed)),
                BrokerToken::Range(range) => {
                    found.extend(range.ids());
                    unknown.extend(range.ids().filter(|id| !observed.brokers.contains_key(id)));
                }
            }
        }
        if unknown.is_empty() { Ok(found) } else { Err(no_broker(observed, &unknown)) }
    }
}

/// What to say of brokers that are not there: of all at once.
pub fn no_broker(observed: &Observed, ids: &BTreeSet<BrokerId>) -> String {
    let (live, shown) = (shown_ids(&live(observed)), shown_ids(ids));
    match ids.len() {
        1 => format!(
            "broker {shown} is not in the cluster: it is not live, and no replica is assigned to it; live are {live}"
        ),
        _ => format!(
            "brokers {shown} are not in the cluster: they are not live, and no replica is assigned to them; live are {live}"
        ),
    }
}

/// Brokers that are live.
pub fn live(observed: &Observed) -> BTreeSet<BrokerId> {
    observed.brokers.iter().filter(|(_, broker)| broker.live).map(|(id, _)| *id).collect()
}

/// Brokers that hold replicas of these topics.
pub fn holders(observed: &Observed, topics: &BTreeSet<TopicName>) -> BTreeSet<BrokerId> {
    let chosen = observed.topics.iter().filter(|(name, _)| topics.contains(*name));
    let partitions = chosen.flat_map(|(_, topic)| &topic.partitions);
    partitions.flat_map(|partition| &partition.replicas).copied().collect()
}

/// Ids as people write them: `1001-1004, 1006`.
pub fn shown_ids(ids: &BTreeSet<BrokerId>) -> String {
    let mut ranges: Vec<(i32, i32)> = Vec::new();
    for id in ids {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == id.0 => *last = id.0,
            _ => ranges.push((id.0, id.0)),
        }
    }
    let shown = |(first, last): &(i32, i32)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first}-{last}"),
    };
    if ranges.is_empty() { "none".into() } else { ranges.iter().map(shown).collect::<Vec<_>>().join(", ") }
}

/// Topics that belong on the same brokers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The map that says so, if one does.
    pub map: Option<String>,
    /// The topics.
    pub topics: BTreeSet<TopicName>,
    /// Where they belong; some of these brokers may not be live.
    pub brokers: BTreeSet<BrokerId>,
}

/// What the flags say about topics and brokers.
#[derive(Debug, Clone, Default)]
pub struct Selection<'a> {
    /// `--map`.
    pub map: Option<&'a str>,
    /// `--topics`.
    pub topics: Option<&'a TopicPatterns>,
    /// `--topics-exclude`.
    pub exclude: Option<&'a TopicPatterns>,
    /// `--brokers`, where that flag says on which brokers the topics belong.
    pub brokers: Option<&'a Brokers>,
    /// Whether Kafka's own topics, where no map has them, may be placed on all live brokers.
    pub internal: bool,
}

impl Selection<'_> {
    /// The groups, in the order of the maps. A topic in no map or in two is a fault that names them.
    pub fn groups(&self, observed: &Observed, maps: &Maps) -> Result<Vec<Group>, String> {
        let map = self.map.map(|name| named(maps, name)).transpose()?;
        let topics = self.choose(observed, map)?;
        if let Some(map) = map {
            check_alone(maps, map, &topics)?;
        }
        if let Some(brokers) = self.brokers {
            let brokers = brokers.resolve(observed, &topics)?;
            return Ok(vec![Group { map: map.map(|map| map.name.clone()), topics, brokers }]);
        }
        match map {
            Some(map) => Ok(vec![Group { map: Some(map.name.clone()), topics, brokers: map.brokers.clone() }]),
            // Those that are gone, too: that nobody named them does not mean that they should be drained.
            None if maps.0.is_empty() => {
                Ok(vec![Group { map: None, topics, brokers: observed.brokers.keys().copied().collect() }])
            }
            None => self.by_map(observed, maps, topics),
        }
    }

    /// The topics that are meant, whatever maps they belong to.
    pub fn topics(&self, observed: &Observed, maps: &Maps) -> Result<BTreeSet<TopicName>, String> {
        let map = self.map.map(|name| named(maps, name)).transpose()?;
        self.choose(observed, map)
    }

    /// The chosen topics; none at all is a fault.
    fn choose(&self, observed: &Observed, map: Option<&Map>) -> Result<BTreeSet<TopicName>, String> {
        let names: BTreeSet<_> = observed.topics.keys().filter(|name| map.is_none_or(|map| map.holds(name))).collect();
        let mut chosen = match self.topics {
            Some(patterns) => patterns.choose(&names).map_err(|error| match map {
                Some(map) => format!("{error}; only topics of map `{}` are looked at", map.name),
                None => error,
            })?,
            None => names.iter().map(|name| (*name).clone()).collect(),
        };
        if let Some(patterns) = self.exclude {
            let excluded = patterns.choose(&names).map_err(|error| format!("--topics-exclude: {error}"))?;
            chosen.retain(|name| !excluded.contains(name));
        }
        match (chosen.is_empty(), map) {
            (false, _) => Ok(chosen),
            (true, Some(map)) => Err(format!("map `{}` ({}) holds no topic of this cluster", map.name, map.topics)),
            (true, None) if observed.topics.is_empty() => Ok(chosen),
            (true, None) => Err("no topic is left after --topics-exclude".into()),
        }
    }

    fn by_map(&self, observed: &Observed, maps: &Maps, topics: BTreeSet<TopicName>) -> Result<Vec<Group>, String> {
        let mut groups: BTreeMap<&str, BTreeSet<TopicName>> = BTreeMap::new();
        let (mut own, mut faults) = (BTreeSet::new(), Vec::new());
        for topic in topics {
            let is_internal = observed.topics.get(&topic).is_some_and(|topic| topic.internal);
            match maps.of(&topic) {
                Ok(Some(map)) => _ = groups.entry(&map.name).or_default().insert(topic),
                _ if is_internal && !maps.0.iter().any(|map| map.holds(&topic)) => _ = own.insert(topic),
                Ok(None) => {}
                Err(fault) => faults.push(fault),
            }
        }
        if !faults.is_empty() {
            return Err(shortened(&faults));
        }
        let of = |map: &Map| {
            let topics = groups.remove(map.name.as_str())?;
            Some(Group { map: Some(map.name.clone()), topics, brokers: map.brokers.clone() })
        };
        let mut all: Vec<_> = maps.0.iter().filter_map(of).collect();
        if self.internal && !own.is_empty() {
            all.push(Group { map: None, topics: own, brokers: live(observed) });
        }
        Ok(all)
    }
}

fn named<'m>(maps: &'m Maps, name: &str) -> Result<&'m Map, String> {
    maps.named(name).ok_or_else(|| {
        let names = || maps.0.iter().map(|map| map.name.as_str());
        let hint = match nearest(name, names()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if maps.0.is_empty() => "there are no maps: toolbox.yaml has them, see --cluster and --maps".into(),
            None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
        };
        format!("there is no map `{name}` ({hint})")
    })
}

/// The topics of a map belong to no other one.
fn check_alone(maps: &Maps, map: &Map, topics: &BTreeSet<TopicName>) -> Result<(), String> {
    let faults: Vec<_> =
        topics.iter().filter(|topic| map.holds(topic)).filter_map(|topic| maps.of(topic).err()).collect();
    if faults.is_empty() { Ok(()) } else { Err(shortened(&faults)) }
}

fn shortened(faults: &[String]) -> String {
    let mut lines: Vec<_> = faults.iter().take(NAMES_MAX).cloned().collect();
    if faults.len() > NAMES_MAX {
        lines.push(format!("and {} topics more", faults.len() - NAMES_MAX));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::mapping::observe::{ObservedBroker, ObservedPartition, ObservedTopic};

    fn observed() -> Observed {
        let topic = |replicas: &[i32], internal| ObservedTopic {
            internal,
            partitions: vec![ObservedPartition {
                replicas: replicas.iter().copied().map(BrokerId).collect(),
                ..ObservedPartition::default()
            }],
            ..ObservedTopic::default()
        };
        let topics = [("a.b", topic(&[1, 9], false)), ("axb", topic(&[2], false)), ("__own", topic(&[3], true))];
        Observed {
            brokers: [1, 2, 3, 9]
                .map(|id| (BrokerId(id), ObservedBroker { live: id < 9, ..Default::default() }))
                .into(),
            topics: topics.map(|(name, topic)| (TopicName::new(name).unwrap(), topic)).into(),
            ..Observed::default()
        }
    }

    fn names(topics: &BTreeSet<TopicName>) -> Vec<&str> {
        topics.iter().map(TopicName::as_str).collect()
    }

    #[test]
    fn commas_cut_where_no_bracket_is_open() {
        assert_eq!(split("a, b{1,2},[,],(x|y,z),c\\,d,,"), ["a", "b{1,2}", "[,]", "(x|y,z)", "c\\,d"]);
        assert!("".parse::<TopicPatterns>().is_err() && "(".parse::<TopicPatterns>().is_err());
    }

    #[test]
    fn brokers_are_ids_ranges_and_kafka_kits_numbers() {
        let topics = BTreeSet::from([TopicName::new("a.b").unwrap()]);
        let resolve = |text: &str| text.parse::<Brokers>()?.resolve(&observed(), &topics).map(|ids| shown_ids(&ids));
        assert_eq!(resolve("-1").as_deref(), Ok("1, 9"), "those that are gone hold it, too");
        assert_eq!(resolve("-2").as_deref(), Ok("1-3"));
        assert_eq!(resolve("-1,2-3").as_deref(), Ok("1-3, 9"));
        assert!(resolve("2-4").unwrap_err().contains("broker 4 is not in the cluster"));
        for wrong in ["-3", "x", "", "3-1", "1--2"] {
            assert!(resolve(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn topics_are_grouped_by_map_and_kafkas_own_need_none() {
        let map = |name: &str, topics: &str, brokers: &[i32]| {
            Map::new(name, topics, brokers.iter().copied().map(BrokerId).collect()).unwrap()
        };
        let maps = Maps(vec![map("n", "axb", &[2]), map("m", "a.b", &[1])]);
        let all = Selection { internal: true, ..Selection::default() };
        let groups = all.groups(&observed(), &maps).unwrap();
        let shown: Vec<_> = groups.iter().map(|group| (group.map.as_deref(), names(&group.topics))).collect();
        assert_eq!(shown, [(Some("n"), vec!["axb"]), (Some("m"), vec!["a.b"]), (None, vec!["__own"])]);
        let one = Selection { map: Some("m"), ..Selection::default() }.groups(&observed(), &maps).unwrap();
        assert_eq!(names(&one[0].topics), ["a.b"]);
        let bare = Selection::default().groups(&observed(), &Maps(vec![map("m", "a.b", &[1])])).unwrap_err();
        assert_eq!(bare, "topic axb belongs to no map; the maps are m (a.b)");
        let no_maps = Selection::default().groups(&observed(), &Maps::default()).unwrap();
        assert_eq!((no_maps.len(), no_maps[0].topics.len(), no_maps[0].brokers.len()), (1, 3, 4));
    }
}
