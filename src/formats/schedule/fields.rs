//! The five fields: minute, hour, day of the month, month, day of the week.

use jiff::civil::Date;

use crate::formats::schedule::ScheduleError;
use crate::formats::suggest::nearest;

/// A field: its name, its bounds, its words.
struct Kind {
    name: &'static str,
    min: u8,
    max: u8,
    words: &'static [&'static str],
}

const KINDS: [Kind; 5] = [
    Kind { name: "minute", min: 0, max: 59, words: &[] },
    Kind { name: "hour", min: 0, max: 23, words: &[] },
    Kind { name: "day of the month", min: 1, max: 31, words: &[] },
    Kind {
        name: "month",
        min: 1,
        max: 12,
        words: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    Kind { name: "day of the week", min: 0, max: 6, words: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

/// Days of each month in a leap year.
const DAYS: [u8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// The values of a field as bits, and whether it is unrestricted (`*`, `?` or `*/1`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Set {
    bits: u64,
    is_star: bool,
}

impl Set {
    fn has(self, value: u8) -> bool {
        self.bits & (1 << value) != 0
    }
}

/// Five checked fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields([Set; 5]);

impl Fields {
    /// Reads five fields; refuses what Kubernetes refuses, and what would never be due.
    pub(super) fn parse(text: &str) -> Result<Self, ScheduleError> {
        let words = words(text);
        if let Some((column, word)) = words.first().filter(|(_, word)| word.contains("TZ=")) {
            let hint = "use --time-zone, as a CronJob uses `timeZone`";
            return Err(ScheduleError::new(*column, format!("`{word}` has no place in a schedule"), hint));
        }
        if words.len() != KINDS.len() {
            let column = words.get(KINDS.len()).map_or(1, |(column, _)| *column);
            let hint = "minute, hour, day of the month, month, day of the week, as in `*/5 * * * *`";
            return Err(ScheduleError::new(column, format!("there are {} fields, not five", words.len()), hint));
        }
        let mut fields = [Set::default(); 5];
        for ((field, kind), (column, word)) in fields.iter_mut().zip(&KINDS).zip(&words) {
            *field = set(word, *column, kind)?;
        }
        let fields = Self(fields);
        if !fields.is_ever_due() {
            let hint = "no month that is asked for has that day";
            return Err(ScheduleError::new(words[2].0, "this schedule never fires".to_owned(), hint));
        }
        Ok(fields)
    }

    pub(super) fn minutes(&self) -> impl Iterator<Item = i8> + Clone {
        values(self.0[0], 0..=59)
    }

    pub(super) fn hours(&self) -> impl Iterator<Item = i8> {
        values(self.0[1], 0..=23)
    }

    /// Whether a day is one of those that are asked for. Where both day fields are restricted, either will do.
    pub(super) fn has_day(&self, day: Date) -> bool {
        let [_, _, days, months, weekdays] = self.0;
        let is_day = days.has(day.day().unsigned_abs());
        let is_weekday = weekdays.has(day.weekday().to_sunday_zero_offset().unsigned_abs());
        let is_one = if days.is_star || weekdays.is_star { is_day && is_weekday } else { is_day || is_weekday };
        months.has(day.month().unsigned_abs()) && is_one
    }

    /// Some month has some day that is asked for, or a day of the week will do.
    fn is_ever_due(&self) -> bool {
        let [_, _, days, months, weekdays] = self.0;
        let has_day = |month: u8| (1..=DAYS[usize::from(month) - 1]).any(|day| days.has(day));
        (!days.is_star && !weekdays.is_star) || (1..=12).filter(|month| months.has(*month)).any(has_day)
    }
}

fn values(set: Set, range: std::ops::RangeInclusive<i8>) -> impl Iterator<Item = i8> + Clone {
    range.filter(move |value| set.has(value.unsigned_abs()))
}

/// The words of a text, each with its column.
fn words(text: &str) -> Vec<(usize, &str)> {
    let column = |word: &str| text[..word.as_ptr() as usize - text.as_ptr() as usize].chars().count() + 1;
    text.split_whitespace().map(|word| (column(word), word)).collect()
}

/// A field: ranges with commas between them.
fn set(text: &str, column: usize, kind: &Kind) -> Result<Set, ScheduleError> {
    let mut set = Set::default();
    let mut column = column;
    for range in text.split(',') {
        let found = self::range(range, column, kind)?;
        set = Set { bits: set.bits | found.bits, is_star: set.is_star || found.is_star };
        column += range.chars().count() + 1;
    }
    Ok(set)
}

/// `*`, `?`, a value, or two with `-` between them; with or without `/STEP`.
fn range(text: &str, column: usize, kind: &Kind) -> Result<Set, ScheduleError> {
    let (ends, step) = match text.split_once('/') {
        None => (text, None),
        Some((ends, step)) => (ends, Some(self::step(step, column + ends.chars().count() + 1, kind)?)),
    };
    let is_star = ends == "*" || ends == "?";
    let (first, last) = match ends.split_once('-') {
        _ if is_star => (kind.min, kind.max),
        Some((first, last)) => (value(first, column, kind)?, value(last, column + first.chars().count() + 1, kind)?),
        // A single value with a step goes on to the end.
        None => (value(ends, column, kind)?, if step.is_some() { kind.max } else { value(ends, column, kind)? }),
    };
    if first > last {
        let hint = format!("write two ranges: `{first}-{},{}-{last}`", kind.max, kind.min);
        return Err(ScheduleError::new(column, format!("`{ends}` ends before it begins"), hint));
    }
    let step = step.unwrap_or(1);
    let bits = (first..=last).step_by(usize::from(step)).fold(0, |bits, value| bits | 1 << value);
    Ok(Set { bits, is_star: is_star && step == 1 })
}

fn step(text: &str, column: usize, kind: &Kind) -> Result<u8, ScheduleError> {
    let hint = format!("a step is a whole number of {}s, as in `*/5`", kind.name);
    match number(text) {
        Some(0) => Err(ScheduleError::new(column, "a step can't be 0", hint)),
        // A step beyond the field's end leaves only its first value, however far beyond it goes.
        Some(step) => Ok(u8::try_from(step).unwrap_or(u8::MAX)),
        None => Err(ScheduleError::new(column, format!("`{text}` is no step"), hint)),
    }
}

fn value(text: &str, column: usize, kind: &Kind) -> Result<u8, ScheduleError> {
    let word = text.to_lowercase();
    if let Some(at) = kind.words.iter().position(|known| *known == word) {
        return Ok(kind.min + u8::try_from(at).unwrap_or_default());
    }
    match number(text) {
        Some(number) if (u32::from(kind.min)..=u32::from(kind.max)).contains(&number) => {
            Ok(u8::try_from(number).unwrap_or_default())
        }
        Some(_) => Err(ScheduleError::new(column, format!("`{text}` is no {}", kind.name), right(text, kind))),
        None => Err(ScheduleError::new(column, format!("`{text}` is no {}", kind.name), spelled(text, kind))),
    }
}

/// Digits only: no sign, no blank.
fn number(text: &str) -> Option<u32> {
    text.chars().all(|letter| letter.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn right(text: &str, kind: &Kind) -> String {
    match (kind.max, text) {
        (6, "7") => "Sunday is 0 in Kubernetes".into(),
        _ => format!("{} to {}", kind.min, kind.max),
    }
}

/// What was probably meant by something that is no number.
fn spelled(text: &str, kind: &Kind) -> String {
    if text.is_empty() {
        return "something is missing here".into();
    }
    let quartz = text.contains(['#', '*', '?']) || text.to_uppercase().ends_with(['L', 'W']);
    let near = nearest(text, kind.words.iter().copied()).filter(|_| text.len() >= 3);
    match (near, kind.words) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        _ if quartz => "Kubernetes knows `*`, `?`, `,`, `-` and `/`, but not `L`, `W` or `#`".into(),
        (None, []) => format!("{} to {}", kind.min, kind.max),
        (None, words) => format!("{} to {}, or {} to {}", kind.min, kind.max, words[0], words[words.len() - 1]),
    }
}
