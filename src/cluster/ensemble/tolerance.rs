//! How many failures a quorum survives.

use serde::{Deserialize, Serialize};

/// Voters, and how many of them serve and have all that was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tolerance {
    /// All voters of the configuration.
    pub voters: usize,
    /// Those that serve and are caught up with the leader.
    pub live: usize,
}

impl Tolerance {
    /// How many voters a majority has.
    pub fn majority(self) -> usize {
        self.voters / 2 + 1
    }

    /// How many more voters may fail: `live - majority`. 0: the next failure stops writes; below 0: there is no quorum.
    pub fn spare(self) -> i64 {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        number(self.live) - number(self.majority())
    }

    /// The same after one more live voter has failed.
    #[must_use]
    pub fn after_one_loss(self) -> Self {
        Self { live: self.live.saturating_sub(1), ..self }
    }

    /// In words, as `3 of 5 voters are live, 3 are needed: the next failure stops writes`.
    pub fn words(self) -> String {
        let (live, voters, majority) = (self.live, self.voters, self.majority());
        let meaning = match self.spare() {
            ..0 => "there is no quorum".to_owned(),
            0 => "the next failure stops writes".to_owned(),
            1 => "one more may fail".to_owned(),
            spare => format!("{spare} more may fail"),
        };
        format!("{live} of {voters} voters are live, {majority} are needed: {meaning}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_voters_are_those_beyond_the_majority() {
        for (voters, live, spare) in
            [(1, 1, 0), (2, 2, 0), (3, 3, 1), (3, 2, 0), (3, 1, -1), (4, 4, 1), (5, 5, 2), (5, 2, -1)]
        {
            assert_eq!(Tolerance { voters, live }.spare(), spare, "{live} of {voters}");
        }
        assert_eq!(Tolerance { voters: 0, live: 0 }.spare(), -1);
        let words = Tolerance { voters: 5, live: 3 }.after_one_loss().words();
        assert_eq!(words, "2 of 5 voters are live, 3 are needed: there is no quorum");
    }
}
