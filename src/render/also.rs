//! What else ends with a process: its other ports, and the connections of its clients.

use crate::diagnose::enumerate;
use crate::model::Protocol;

/// `the same process listens on 9229/tcp; 3 clients are connected`. `None` if nothing else ends.
pub fn sentence(who: &str, ports: &[(u16, Protocol)], clients: Option<usize>) -> Option<String> {
    /// So many are easy to read.
    const MOST: usize = 8;
    let mut names: Vec<String> = ports.iter().take(MOST).map(|(port, protocol)| format!("{port}/{protocol}")).collect();
    if ports.len() > MOST {
        names.push(format!("{} more ports", ports.len() - MOST));
    }
    let ports = (!names.is_empty()).then(|| format!("{who} listens on {}", enumerate(&names, "and")));
    let clients = match clients {
        None | Some(0) => None,
        Some(1) => Some("1 client is connected".to_owned()),
        Some(count) => Some(format!("{count} clients are connected")),
    };
    let parts: Vec<String> = ports.into_iter().chain(clients).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_ports_and_clients_are_one_sentence() {
        let ports: Vec<(u16, Protocol)> = (9220..9230).map(|port| (port, Protocol::Tcp)).collect();
        let of = |count: usize, clients| sentence("it", &ports[..count], clients).unwrap_or_default();
        assert_eq!(of(0, None), "");
        assert_eq!(of(0, Some(0)), "");
        assert_eq!(of(0, Some(1)), "1 client is connected");
        assert_eq!(of(1, Some(3)), "it listens on 9220/tcp; 3 clients are connected");
        assert_eq!(of(2, None), "it listens on 9220/tcp and 9221/tcp");
        assert!(of(10, None).ends_with("9227/tcp and 2 more ports"));
    }
}
