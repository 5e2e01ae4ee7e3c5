//! Schedules against three judges: Kubernetes' own parser (answers.txt), `croner`, and a walk over every minute.

use croner::Cron;
use croner::parser::{CronParser, Seconds};
use proptest::prelude::*;

use super::*;

fn schedule(text: &str) -> KubeSchedule {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn every_answer_is_that_of_kubernetes_own_parser() {
    let lines = include_str!("answers.txt").lines().filter(|line| !line.starts_with('#'));
    for line in lines {
        let [text, zone_name, after, answers] = line.split(" | ").collect::<Vec<_>>()[..] else { panic!("{line}") };
        let mut at = time(after);
        for answer in answers.split(' ') {
            at = schedule(text).next(at, &zone(zone_name)).unwrap();
            assert_eq!(at, time(answer), "{text} in {zone_name} after {after}");
        }
    }
}

#[test]
fn an_hour_that_starts_at_half_past_after_a_change_of_half_an_hour_is_not_missed() {
    // Kubernetes' own parser steps in whole hours here and comes a day late.
    let at = schedule("0 2 * * *").next(time("2026-04-04T06:00:00Z"), &zone("Australia/Lord_Howe"));
    assert_eq!(at, Some(time("2026-04-04T15:30:00Z")));
}

#[test]
fn a_leap_day_eight_years_away_is_found() {
    let at = schedule("0 0 29 2 *").next(time("2096-03-01T00:00:00Z"), &TimeZone::UTC);
    assert_eq!(at, Some(time("2104-02-29T00:00:00Z")));
}

#[test]
fn what_is_wrong_is_said_with_its_column_and_what_would_be_right() {
    let cases = include_str!("faults.txt").lines().filter(|line| !line.starts_with('#'));
    for (text, expected) in cases.map(|line| line.split_once(" => ").unwrap()) {
        assert_eq!(text.parse::<KubeSchedule>().unwrap_err().to_string(), expected, "{text:?}");
    }
}

/// A field that means the same to everybody: no `?`, no `5/15`, no Sunday, which croner numbers twice.
fn field(min: u8, max: u8) -> impl Strategy<Value = String> {
    let value = min..=max;
    let range = (value.clone(), value.clone()).prop_map(|(one, other)| (one.min(other), one.max(other)));
    let item = prop_oneof![
        value.prop_map(|value| value.to_string()),
        range.clone().prop_map(|(first, last)| format!("{first}-{last}")),
        (range, 1..=max).prop_map(|((first, last), step)| format!("{first}-{last}/{step}")),
    ];
    prop_oneof![
        2 => Just("*".to_owned()),
        1 => (1..=max).prop_map(|step| format!("*/{step}")),
        4 => prop::collection::vec(item, 1..4).prop_map(|items| items.join(",")),
    ]
}

/// Five fields; where a day field has a step after its star, croner counts it as unrestricted, so the other is free.
fn five_fields() -> impl Strategy<Value = String> {
    (field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6)).prop_map(
        |(minute, hour, day, month, weekday)| {
            let is_free = |text: &str| text.starts_with('*');
            let weekday = if is_free(&day) || is_free(&weekday) && weekday != "*" { "*".to_owned() } else { weekday };
            format!("{minute} {hour} {day} {month} {weekday}")
        },
    )
}

fn instant() -> impl Strategy<Value = Timestamp> {
    // 2024 to 2040.
    (1_704_067_200i64..2_209_000_000).prop_map(|second| Timestamp::from_second(second).unwrap())
}

/// The judge that can't be wrong: looks at each minute of the next days.
fn by_walking(fields: &KubeSchedule, after: Timestamp, zone: &TimeZone, days: i64) -> Option<Timestamp> {
    let Rule::Fields(fields) = &fields.rule else { return None };
    let first = after.as_second().div_euclid(60) + 1;
    (first..first + days * 1_440).map(|minute| Timestamp::from_second(minute * 60).unwrap()).find(|instant| {
        let shown = instant.to_zoned(zone.clone());
        fields.has_day(shown.date())
            && fields.hours().any(|hour| hour == shown.hour())
            && fields.minutes().any(|minute| minute == shown.minute())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn croner_agrees_on_what_both_understand(text in five_fields(), after in instant()) {
        let croner: Cron = CronParser::builder().seconds(Seconds::Disallowed).build().parse(&text).unwrap();
        let theirs = croner.find_next_occurrence(&after.to_zoned(TimeZone::UTC), false).ok();
        let ours = schedule(&text).next(after, &TimeZone::UTC);
        prop_assert_eq!(ours, theirs.map(|zoned| zoned.timestamp()), "{}", text);
    }

    #[test]
    fn no_change_of_the_clocks_hides_a_time_or_makes_one_up(
        minute in field(0, 59),
        hour in field(0, 4),
        zone_name in prop::sample::select(vec![
            ("Europe/Berlin", "2026-03-28T20:00:00Z"), ("Europe/Berlin", "2026-10-24T20:00:00Z"),
            ("America/Sao_Paulo", "2018-11-03T20:00:00Z"), ("America/Sao_Paulo", "2018-02-17T20:00:00Z"),
            ("Australia/Lord_Howe", "2026-04-04T10:00:00Z"), ("Australia/Lord_Howe", "2026-10-03T10:00:00Z"),
            ("America/St_Johns", "2007-11-03T20:00:00Z"), ("Pacific/Apia", "2011-12-29T06:00:00Z"),
        ]),
        later in 0i64..900,
    ) {
        let (zone, fields) = (zone(zone_name.0), schedule(&format!("{minute} {hour} * * *")));
        let after = Timestamp::from_second(time(zone_name.1).as_second() + later * 60 + 7).unwrap();
        prop_assert_eq!(fields.next(after, &zone), by_walking(&fields, after, &zone, 4), "{} {:?}", fields, zone_name);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[-0-9*/,?@#LWa-zäß \t]{0,24}") {
        let _ = text.parse::<KubeSchedule>();
    }
}
