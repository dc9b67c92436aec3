//! What a rule finds, and how severe that is.

use super::statement::{LISTENS, RECEIVES};
use super::{Group, Phrase, Remedy, Statement, Verb};
use crate::model::Pid;

/// How much a finding blocks a bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
#[non_exhaustive]
pub enum Severity {
    /// A bind fails because of it.
    Conflict,
    /// A bind fails, though nobody holds the port.
    Blocked,
    /// It cannot be told whether a bind works.
    Unknown,
    /// A bind works, or fails for another reason. This may surprise.
    Warning,
    /// Good to know.
    Info,
}

/// A fact that a finding rests on, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// A count, an id, or milliseconds where the name says so.
    Number(u64),
    /// Anything else.
    Text(String),
}

/// When a finding is worth a line of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prominence {
    /// Always.
    Always,
    /// Only with -v: it is usual, or another line says it, too.
    Detail,
}

/// What a rule found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The code of the rule.
    pub code: &'static str,
    /// The severity of the rule.
    pub severity: Severity,
    /// What it says.
    pub statement: Statement,
    /// When it is worth a line of the report.
    pub prominence: Prominence,
    /// The processes it is about, the leader first.
    pub pids: Vec<Pid>,
    /// Facts that the statement rests on.
    pub details: Vec<(&'static str, Detail)>,
    /// What to do about it, the best first.
    pub remedies: Vec<Remedy>,
}

/// What a check found, before the rule adds its code and severity.
#[derive(Debug, Clone)]
pub struct Observation {
    /// See [`Finding::statement`].
    pub statement: Statement,
    /// See [`Finding::prominence`].
    pub prominence: Prominence,
    /// See [`Finding::pids`].
    pub pids: Vec<Pid>,
    /// See [`Finding::details`].
    pub details: Vec<(&'static str, Detail)>,
    /// See [`Finding::remedies`].
    pub remedies: Vec<Remedy>,
}

impl Observation {
    /// An observation with nothing but a statement.
    pub fn of(statement: Statement) -> Self {
        Self { statement, prominence: Prominence::Always, pids: Vec::new(), details: Vec::new(), remedies: Vec::new() }
    }

    /// One with a statement about somebody who holds the port.
    pub fn about(group: &Group<'_>, verb: Verb, object: impl Into<Phrase>) -> Self {
        Self { pids: group.owners.pids().to_vec(), ..Self::of(Statement::new(group, verb, object)) }
    }
}

impl Finding {
    /// Whether it says only that its subject waits for peers, and where.
    pub fn says_only_where_it_waits(&self) -> bool {
        matches!(self.statement.object[..], [_]) && [LISTENS, RECEIVES].contains(&self.statement.verb)
    }
}
