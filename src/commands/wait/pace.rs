//! How often to look: often at first, as most waits are short, and never so often that it costs
//! much.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(5);
/// The longest pause between cheap looks. Every change is seen within 50 ms.
const LONGEST: Duration = Duration::from_millis(40);
/// A look of one millisecond is followed by a pause of a hundred, so looks use at most one per cent
/// of a processor.
const SHARE: u32 = 100;
/// The longest pause after expensive looks, such as at thousands of ports.
const DEAREST: Duration = Duration::from_secs(1);

/// The pauses between looks.
#[derive(Debug)]
pub struct Pace {
    pause: Duration,
    /// The cost of a look: the least so far, as other processes may have delayed some.
    cost: Duration,
    /// The cost of a look that a diagnosis did not confirm.
    disagreement: Option<Duration>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { pause: FIRST, cost: DEAREST, disagreement: None }
    }
}

impl Pace {
    /// Notes how long a look took.
    pub fn looked(&mut self, took: Duration) {
        self.cost = self.cost.min(took);
    }

    /// Notes how long a look took that a diagnosis did not confirm.
    pub fn disagreed(&mut self, took: Duration) {
        self.disagreement = Some(took);
    }

    /// The pause before the next look.
    pub fn pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 5 / 4).min(LONGEST);
        let cost = self.disagreement.take().unwrap_or(self.cost);
        pause.max((cost * SHARE).min(DEAREST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_short_while_looks_are_cheap() {
        let mut pace = Pace::default();
        pace.looked(Duration::from_micros(50));
        let pauses: Vec<Duration> = (0..100).map(|_| pace.pause()).collect();
        assert!(pauses.is_sorted() && pauses[0] == FIRST && pauses[99] == LONGEST);
        assert!(pauses.iter().take(20).sum::<Duration>() < Duration::from_secs(1));
    }

    #[test]
    fn dear_looks_are_rare_and_one_that_was_disturbed_does_not_count() {
        let mut pace = Pace::default();
        pace.looked(Duration::from_millis(4));
        assert_eq!(pace.pause(), Duration::from_millis(400));
        pace.looked(Duration::from_secs(2));
        assert_eq!(pace.pause(), Duration::from_millis(400));
        pace.looked(Duration::ZERO);
        assert!(pace.pause() < LONGEST);
    }
}
