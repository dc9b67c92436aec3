//! What a task of Ansible requires, beside the question that it asks.

/// A task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Task {
    /// What must be so.
    pub state: State,
    /// Whether nothing may be changed.
    pub is_check: bool,
    /// Whether the answer is a fact of the machine, for all later tasks.
    pub is_fact: bool,
}

/// The state that a task requires of its ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum State {
    /// Any: the task only tells.
    #[default]
    Reported,
    /// Each port can be bound.
    Free,
    /// Somebody listens on each port.
    Listening,
}
