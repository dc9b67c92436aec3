//! What the user has agreed to, and when a mere yes is not enough.

use std::collections::BTreeSet;

use super::{Plan, Prepared};

/// With more processes than this on several ports, the user must give their number.
const MOST_PROCESSES: usize = 5;
/// The same for their users.
const MOST_USERS: usize = 3;

/// The user's consent to the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consent {
    /// The plan is shown, and the user is asked.
    #[default]
    Ask,
    /// It was given beforehand, perhaps for exactly so many processes.
    Given(Option<usize>),
    /// Nothing must be changed.
    DryRun,
}

/// Why consent does not cover a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objection {
    /// It is for another number of processes.
    Miscounted {
        /// The number that was given.
        expected: usize,
        /// The number of processes in the plan.
        processes: usize,
    },
    /// There are so many processes that their number must be given.
    Uncounted {
        /// How many processes.
        processes: usize,
        /// Of how many users.
        users: usize,
    },
}

impl Prepared {
    /// Why a consent that was given beforehand does not cover the plan.
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

    /// Whether a yes is not enough, and the number of processes must be given or typed.
    pub fn has_to_be_counted(&self) -> bool {
        self.is_about_several_ports() && (self.plan.holders.len() > MOST_PROCESSES || users(&self.plan) > MOST_USERS)
    }

    /// Whether several ports were asked about. Then the holders are not one server.
    pub fn is_about_several_ports(&self) -> bool {
        let mut ports = self.diagnosis.ports.iter().map(|port| port.observed.port);
        ports.next().is_some_and(|first| ports.any(|port| port != first))
    }
}

/// The number of users of a plan's processes.
pub fn users(plan: &Plan) -> usize {
    plan.holders.iter().map(|holder| holder.user.as_deref()).collect::<BTreeSet<_>>().len()
}
