//! Sends the steps of one batch until each has an ending: a step whose answer was lost, and which the cluster does not
//! show as done, is sent again, a few times at most.

use crate::change::carry_out::Ended;

/// A step is sent so often at most.
const ATTEMPTS_MAX: usize = 3;

/// One ending a step. `attempt` sends the steps that it is given and says how each ended: none for one whose answer was
/// lost and that the cluster does not show. What still has no ending after the last attempt is unknown, and `next` says
/// what to do about it.
pub async fn attempts<S: Clone>(
    batch: &[S],
    next: &str,
    mut attempt: impl AsyncFnMut(&[S]) -> Vec<Option<Ended>>,
) -> Vec<Ended> {
    let mut ended: Vec<Option<Ended>> = vec![None; batch.len()];
    for _ in 0..ATTEMPTS_MAX {
        let open: Vec<usize> = (0..batch.len()).filter(|index| ended[*index].is_none()).collect();
        if open.is_empty() {
            break;
        }
        let steps: Vec<_> = open.iter().map(|index| batch[*index].clone()).collect();
        for (index, ending) in open.into_iter().zip(attempt(&steps).await) {
            ended[index] = ending;
        }
    }
    let lost = || Ended::unknown(format!("the answer was lost, and the cluster does not show the change; {next}"));
    ended.into_iter().map(|ending| ending.unwrap_or_else(lost)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_steps_without_an_ending_are_sent_again_and_three_times_at_most() {
        let mut sent = Vec::new();
        let ended = attempts(&[1, 2, 3], "run again", async |steps: &[i32]| {
            sent.push(steps.to_vec());
            let ending = |step: &i32| match step {
                1 => Some(Ended::done()),
                2 => (steps.len() == 2).then(|| Ended::failed("no")),
                _ => None,
            };
            steps.iter().map(ending).collect()
        })
        .await;
        assert_eq!(sent, [vec![1, 2, 3], vec![2, 3], vec![3]]);
        assert_eq!(ended[..2], [Ended::done(), Ended::failed("no")]);
        let words = "the answer was lost, and the cluster does not show the change; run again";
        assert_eq!(ended[2], Ended::unknown(words));
    }
}
