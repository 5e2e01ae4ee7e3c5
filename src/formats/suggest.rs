//! "Did you mean …?"

/// Longer words are no slip of the finger, and comparing takes time by the square of the length.
const WORD_MAX: usize = 300;

/// The candidate that is nearest to a misspelt word, if one is near enough to be meant.
///
/// Near enough is a Damerau-Levenshtein distance of at most a third of the word's length, 3 at most.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let limit = (length / 3).clamp(1, 3);
    if length > WORD_MAX {
        return None;
    }
    candidates
        .into_iter()
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= limit)
        .map(|candidate| (strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood_and_a_strange_word_is_not() {
        let keys = ["retention.ms", "retention.bytes", "segment.ms"];
        assert_eq!(nearest("retention.mss", keys), Some("retention.ms"));
        assert_eq!(nearest("Retention.ms", keys), Some("retention.ms"));
        assert_eq!(nearest("flush", keys), None);
    }
}
