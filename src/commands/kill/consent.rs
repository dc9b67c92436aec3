//! What somebody has agreed to, and what is too much to be covered by a mere yes.

use std::collections::BTreeSet;

use super::{Plan, Prepared};

/// More processes than this, of several ports, have to be counted by whoever agrees.
const MOST_PROCESSES: usize = 5;
/// The same for their users.
const MOST_USERS: usize = 3;

/// Whether somebody has agreed to what is going to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// They are shown it, and asked.
    Ask,
    /// Beforehand; perhaps to the end of so many processes, and of no other number.
    Given(Option<usize>),
    /// Nothing is to be changed.
    DryRun,
}

/// Why consent does not cover a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objection {
    /// It is for another number of processes.
    Miscounted {
        /// That number.
        expected: usize,
        /// How many there are.
        processes: usize,
    },
    /// It is for so many that their number has to be given.
    Uncounted {
        /// How many processes.
        processes: usize,
        /// Of how many users.
        users: usize,
    },
}

impl Prepared {
    /// Why the consent that was given beforehand does not cover the plan.
    pub fn objection(&self) -> Option<Objection> {
        let (processes, users) = (self.plan.holders.len(), users(&self.plan));
        match self.options.consent {
            Consent::Given(Some(expected)) if expected != processes => {
                Some(Objection::Miscounted { expected, processes })
            }
            Consent::Given(None) if self.has_to_be_counted() => Some(Objection::Uncounted { processes, users }),
            _ => None,
        }
    }

    /// Whether a yes is not enough: the number of processes has to be given, or typed.
    pub fn has_to_be_counted(&self) -> bool {
        self.is_about_several_ports() && (self.plan.holders.len() > MOST_PROCESSES || users(&self.plan) > MOST_USERS)
    }

    /// Whether several ports were asked about, such as a range: what holds them is not one server.
    pub fn is_about_several_ports(&self) -> bool {
        let mut ports = self.diagnosis.ports.iter().map(|port| port.observed.port);
        ports.next().is_some_and(|first| ports.any(|port| port != first))
    }
}

/// How many users the processes of a plan have.
pub fn users(plan: &Plan) -> usize {
    plan.holders.iter().map(|holder| holder.user.as_deref()).collect::<BTreeSet<_>>().len()
}
