//! The ordinal in a pod's name. One rule: it is what follows the last `-`, decimal digits without a leading zero, as
//! StatefulSets name their pods: `my-kafka-eu-12` has the ordinal 12.

/// Most digits of an ordinal: what fits an id.
const DIGITS_MAX: usize = 9;

/// The ordinal of a pod, or why its name has none.
pub fn ordinal(name: &str) -> Result<usize, String> {
    let Some((_, last)) = name.rsplit_once('-') else {
        return Err(format!("`{name}` has no `-` with an ordinal behind it, as pods of a StatefulSet have (kafka-0)"));
    };
    if last.is_empty() || !last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{name}` ends in `{last}`, which is no ordinal: digits are expected behind the last `-`"));
    }
    if last.len() > 1 && last.starts_with('0') {
        return Err(format!("`{name}` ends in `{last}`, which has a leading zero: no StatefulSet names a pod so"));
    }
    if last.len() > DIGITS_MAX {
        return Err(format!("`{name}` ends in `{last}`, which has more than {DIGITS_MAX} digits"));
    }
    last.parse().map_err(|error| format!("`{name}` ends in `{last}`, which is no ordinal: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ordinal_is_the_number_after_the_last_dash() {
        for (name, expected) in [("kafka-0", 0), ("my-kafka-eu-12", 12), ("kafka-pool-b-3", 3), ("-7", 7)] {
            assert_eq!(ordinal(name), Ok(expected), "{name}");
        }
    }

    #[test]
    fn a_name_without_a_plain_ordinal_is_refused_with_the_reason() {
        let cases = [
            ("kafka-007", "a leading zero"),
            ("kafka", "has no `-`"),
            ("kafka-12-canary", "ends in `canary`, which is no ordinal"),
            ("kafka-", "ends in ``"),
            ("kafka-1x", "is no ordinal"),
            ("kafka-+1", "is no ordinal"),
            ("kafka-12345678901", "more than 9 digits"),
            ("kafka-١", "is no ordinal"),
            ("", "has no `-`"),
        ];
        for (name, why) in cases {
            let words = ordinal(name).unwrap_err();
            assert!(words.contains(why), "{name}: {words}");
        }
    }
}
