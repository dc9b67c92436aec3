//! How --wait went, as JSON: the types, and how they are made from a report.

#[cfg(test)]
use crate::commands::wait::Awaited;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
#[cfg(test)]
use strum::VariantNames;

use crate::commands::wait::{By, Goal, Outcome, Place, Progress, Report};
use crate::duration::milliseconds;

/// What --wait waited for, and how that ended.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Wait"))]
pub struct WireWait {
    /// What was waited for.
    #[cfg_attr(test, schemars(extend("enum" = Awaited::VARIANTS)))]
    pub r#for: &'static str,
    /// How it ended.
    #[cfg_attr(test, schemars(extend("enum" = Outcome::VARIANTS)))]
    pub outcome: &'static str,
    /// How long it may have taken; null for ever.
    pub timeout_ms: Option<u64>,
    /// How long it took.
    pub elapsed_ms: u64,
    /// Whether one port was enough.
    pub any: bool,
    /// Who had to listen: a process id or a name; null for anybody.
    pub by: Option<String>,
    /// The process whose end ended it.
    pub ended_pid: Option<u32>,
    /// Each port that was waited for.
    pub goals: Vec<WireGoal>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Goal"))]
pub struct WireGoal {
    /// As people write it: `8080/tcp`, `db.internal:5432`.
    pub target: String,
    /// Whether it is on another machine, and was tried by connecting.
    pub remote: bool,
    /// Whether it is as awaited.
    pub met: bool,
    /// On another machine: the address that answered, or why none did.
    pub note: Option<String>,
}

pub fn wait(report: &Report) -> WireWait {
    WireWait {
        r#for: report.options.awaited.into_str(),
        outcome: report.outcome.into_str(),
        timeout_ms: report.options.timeout.map(milliseconds),
        elapsed_ms: milliseconds(report.elapsed),
        any: report.options.any,
        by: report.options.by.as_ref().map(By::to_string),
        ended_pid: match report.outcome {
            Outcome::ProcessEnded(pid) => Some(pid),
            _ => None,
        },
        goals: report.goals.iter().map(goal).collect(),
    }
}

fn goal(goal: &Goal) -> WireGoal {
    WireGoal {
        target: goal.name(),
        remote: matches!(goal.place, Place::There(_)),
        met: goal.is_met,
        note: goal.progress.as_ref().map(Progress::to_string),
    }
}
