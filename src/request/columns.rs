//! The columns of lists: each can be shown, and sorted by.

use std::str::FromStr;

/// What a list is ordered by: a column, the least first, or the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Order<C> {
    /// The column.
    pub column: C,
    /// Whether the most comes first.
    pub is_reversed: bool,
}

impl<C: FromStr> FromStr for Order<C> {
    type Err = C::Err;

    /// `port`, or `-port` for the reverse.
    fn from_str(typed: &str) -> Result<Self, C::Err> {
        let name = typed.strip_prefix('-');
        Ok(Self { column: name.unwrap_or(typed).parse()?, is_reversed: name.is_some() })
    }
}

/// A column of the list of ports, in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::EnumString, strum::VariantArray, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Column {
    /// The port number.
    #[default]
    Port,
    /// TCP before UDP.
    Protocol,
    /// The network namespace; our own comes first.
    Namespace,
    /// The state of the sockets.
    State,
    /// Whether it is well-known, registered or dynamic.
    Class,
    /// The name of the service.
    Service,
    /// The addresses; the lowest counts.
    Address,
    /// The other end of a connection.
    Peer,
    /// From where it can be reached; the farthest comes first.
    Exposure,
    /// The name of the first owner; unknown ones last.
    Process,
    /// The pid of the first owner; unknown ones last.
    Pid,
    /// The name of the user; unknown ones last.
    User,
    /// The unit of systemd, or the container; those without one last.
    Unit,
    /// The command line; unknown ones last.
    Command,
}

/// A column of the list of connections, in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::EnumString, strum::VariantArray, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum ConnectionColumn {
    /// The port of the server.
    #[default]
    Port,
    /// TCP or UDP.
    Protocol,
    /// The state.
    State,
    /// The end on this machine; the server's, if both are.
    Local,
    /// The other end.
    Peer,
    /// The process at the end on this machine.
    Process,
    /// The address of the client.
    From,
    /// The process of the client.
    Client,
    /// The address of the server.
    To,
    /// The process of the server.
    Server,
    /// The network namespaces of the ends, if one is not ours.
    Namespace,
    /// Bytes that the client sent.
    Sent,
    /// Bytes that the client received.
    Received,
    /// Both together.
    Bytes,
    /// Bytes that wait in the queues of both ends.
    Queued,
    /// The round-trip time.
    Rtt,
    /// How many segments were sent again.
    Retransmits,
    /// How long ago data was last sent or received.
    Idle,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dash_reverses_an_order() {
        let order = |typed: &str| typed.parse::<Order<Column>>();
        assert_eq!(order("pid"), Ok(Order { column: Column::Pid, is_reversed: false }));
        assert_eq!(order("-pid"), Ok(Order { column: Column::Pid, is_reversed: true }));
        assert!(order("--pid").is_err() && order("").is_err() && order("x").is_err());
    }
}
