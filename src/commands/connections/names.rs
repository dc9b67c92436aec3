//! What other machines are called (`--resolve`).

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// How long all answers together may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many are asked for at the same time.
const AT_ONCE: usize = 16;

/// The names of these addresses, as far as the name service tells them in time (getnameinfo(3)).
/// Anybody may give any name to an address of theirs.
pub fn of(addresses: BTreeSet<IpAddr>) -> HashMap<IpAddr, String> {
    find(addresses, PATIENCE, |address| dns_lookup::lookup_addr(address).ok())
}

fn find(
    addresses: BTreeSet<IpAddr>,
    patience: Duration,
    look_up: impl Fn(&IpAddr) -> Option<String> + Clone + Send + 'static,
) -> HashMap<IpAddr, String> {
    let deadline = Instant::now() + patience;
    let threads = addresses.len().min(AT_ONCE);
    let left = Arc::new(Mutex::new(addresses.into_iter()));
    let (sender, receiver) = mpsc::channel();
    for _ in 0..threads {
        let (left, sender, look_up) = (Arc::clone(&left), sender.clone(), look_up.clone());
        let ask = move || {
            let next = || left.lock().ok()?.next();
            while let Some(address) = next() {
                // If it is late, nobody receives it.
                if sender.send((address, look_up(&address))).is_err() {
                    return;
                }
            }
        };
        // Those that were started do the work of one that cannot be.
        let _ = thread::Builder::new().name("names".to_owned()).spawn(ask);
    }
    drop(sender);
    let mut names = HashMap::new();
    let next = || receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok();
    while let Some((address, name)) = next() {
        // Without a name, the address comes back.
        let name = name.filter(|name| !name.is_empty() && name.parse::<IpAddr>().is_err());
        names.extend(name.map(|name| (address, name)));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_late_or_no_name_is_left_out() {
        let addresses: BTreeSet<IpAddr> = (1..=40).map(|last| IpAddr::from([192, 0, 2, last])).collect();
        let (stop, stopped) = mpsc::channel::<()>();
        let stopped = Arc::new(Mutex::new(stopped));
        let look_up = move |address: &IpAddr| match address {
            IpAddr::V4(address) if address.octets()[3] == 7 => {
                // Until the test has ended.
                let _ = stopped.lock().unwrap().recv();
                Some("late".to_owned())
            }
            IpAddr::V4(address) if address.octets()[3] == 8 => Some(address.to_string()),
            address => Some(format!("host-{address}")),
        };
        let names = find(addresses, Duration::from_millis(300), look_up);
        assert_eq!(names.len(), 38);
        assert_eq!(names[&IpAddr::from([192, 0, 2, 1])], "host-192.0.2.1");
        drop(stop);
    }

    #[test]
    fn nothing_to_ask_takes_no_time() {
        assert!(find(BTreeSet::new(), Duration::from_mins(1), |_| None).is_empty());
    }
}
