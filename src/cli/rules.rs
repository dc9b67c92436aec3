//! Rules between options that clap has no words for.

use super::Stop;

/// What does not go together, and what to say about it.
pub struct Rule<A> {
    /// A command line that breaks it.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests try it"))]
    pub example: &'static str,
    /// Whether these arguments break it.
    pub is_broken: fn(&A) -> bool,
    /// What is wrong, and what would be right.
    pub message: &'static str,
}

/// Says which of the rules is broken, if any is.
pub fn obey<A>(rules: &[Rule<A>], arguments: &A) -> Result<(), Stop> {
    match rules.iter().find(|rule| (rule.is_broken)(arguments)) {
        Some(rule) => Err(Stop::Usage(rule.message.to_owned())),
        None => Ok(()),
    }
}
