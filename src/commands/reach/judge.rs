//! From what became of a packet to whether its sender can reach the port.

use std::net::SocketAddr;

use crate::model::{By, Question, Reach, Reached, Reply, Socket, Trial};

/// A question and all that answers it.
#[derive(Debug)]
pub struct Case<'a> {
    pub question: &'a Question,
    /// What became of the packet; `None` if it could not be sent.
    pub trial: Option<&'a Trial>,
    /// The sockets of the port.
    pub sockets: &'a [Socket],
    /// Whether the replica has all that decides.
    pub is_certain: bool,
    /// Whether ufw has rules here.
    pub has_ufw: bool,
}

impl Case<'_> {
    /// Judges. What could not be replayed makes the answer unknown, whatever came back.
    pub fn judge(&self) -> Reach {
        let Question { from, origin, to, .. } = self.question;
        let unknown = Reach {
            from: *from,
            origin: origin.clone(),
            to: to.ip(),
            diverted_to: None,
            result: Reached::Unknown,
            by: None,
            note: None,
        };
        let Some(trial) = self.trial.filter(|_| self.is_certain) else { return unknown };
        if let Some(doubt) = &trial.doubt {
            let by = doubt.rule.clone().map(By::Firewall);
            return Reach { by, note: Some(format!("it depends on {}", doubt.on)), ..unknown };
        }
        let (result, by) = self.result(trial);
        let diverted_to = self.diverted(trial);
        let passes_ufw = self.has_ufw && trial.is_dockers && result == Reached::Diverted;
        let note = passes_ufw.then(|| "Docker's rules come before ufw, so ufw does not block it".to_owned());
        Reach { diverted_to, result, by, note, ..unknown }
    }

    /// Where rules send the packet, if that is not where it was sent to.
    fn diverted(&self, trial: &Trial) -> Option<SocketAddr> {
        let elsewhere = match trial.reply {
            Reply::Forwarded(to) => Some(to),
            _ => trial.delivered,
        };
        elsewhere.filter(|to| (to.ip().to_canonical(), to.port()) != (self.question.to.ip(), self.question.to.port()))
    }

    fn result(&self, trial: &Trial) -> (Reached, Option<By>) {
        let firewall = trial.stopper.clone().map(By::Firewall);
        if self.diverted(trial).is_some() && firewall.is_none() {
            return (Reached::Diverted, None);
        }
        let waiting = || self.sockets.iter().filter(|socket| socket.state.is_listening());
        let binding = || {
            let mut addresses: Vec<String> = waiting().map(Socket::local_name).collect();
            addresses.sort();
            addresses.dedup();
            Some(By::Binding(addresses))
        };
        let is_diverted = self.diverted(trial).is_some();
        if !is_diverted && waiting().next().is_none() {
            return (Reached::NotListening, None);
        }
        if !is_diverted && !waiting().any(|socket| socket.overlaps(self.question.to.ip())) {
            return (Reached::NotBoundThere, binding());
        }
        match (trial.reply, firewall) {
            (Reply::Answered, _) => (Reached::Open, None),
            (Reply::Refused, Some(by)) => (Reached::Refused, Some(by)),
            (Reply::Silence, Some(by)) => (Reached::Dropped, Some(by)),
            // It is bound to an interface.
            (Reply::Refused, None) => (Reached::NotBoundThere, binding()),
            (Reply::Silence, None) | (Reply::Forwarded(_), _) => (Reached::Dropped, Some(By::Route)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Doubt, Origin, Protocol, Stopper};
    use crate::testing::listener;

    #[expect(clippy::needless_pass_by_value, reason = "made where it is passed")]
    fn judged(sockets: &[&str], trial: Option<Trial>, is_certain: bool) -> Reach {
        let question = Question {
            protocol: Protocol::Tcp,
            from: "203.0.113.7".parse().unwrap(),
            origin: Origin::Named,
            to: "10.0.0.5:80".parse().unwrap(),
            through: 2,
        };
        let sockets: Vec<Socket> = sockets.iter().map(|local| listener(local)).collect();
        Case { question: &question, trial: trial.as_ref(), sockets: &sockets, is_certain, has_ufw: false }.judge()
    }

    fn trial(reply: Reply) -> Trial {
        Trial { reply, delivered: None, stopper: None, doubt: None, is_dockers: false }
    }

    #[test]
    fn what_could_not_be_replayed_is_never_open() {
        assert_eq!(judged(&["0.0.0.0:80"], Some(trial(Reply::Answered)), true).result, Reached::Open);
        assert_eq!(judged(&["0.0.0.0:80"], Some(trial(Reply::Answered)), false).result, Reached::Unknown);
        assert_eq!(judged(&["0.0.0.0:80"], None, true).result, Reached::Unknown);
        let doubt = Some(Doubt { rule: None, on: "chance".to_owned() });
        assert_eq!(
            judged(&["0.0.0.0:80"], Some(Trial { doubt, ..trial(Reply::Answered) }), true).result,
            Reached::Unknown
        );
    }

    #[test]
    fn the_server_comes_before_the_firewall() {
        let stopper = Some(Stopper {
            backend: "nftables",
            family: "inet".to_owned(),
            table: "filter".to_owned(),
            chain: "input".to_owned(),
            rule: None,
            frontend: None,
        });
        let dropped = || Some(Trial { stopper: stopper.clone(), ..trial(Reply::Silence) });
        assert_eq!(judged(&[], dropped(), true).result, Reached::NotListening);
        assert_eq!(judged(&["127.0.0.1:80"], dropped(), true).result, Reached::NotBoundThere);
        assert_eq!(judged(&["0.0.0.0:80"], dropped(), true).result, Reached::Dropped);
        assert_eq!(judged(&["0.0.0.0:80"], Some(trial(Reply::Silence)), true).by, Some(By::Route));
        let elsewhere = Some(trial(Reply::Forwarded("172.18.0.2:80".parse().unwrap())));
        assert_eq!(judged(&[], elsewhere, true).result, Reached::Diverted);
        // A rule that stops what another one redirects is named, whoever listens on the port itself.
        let to = Some("10.0.0.5:3128".parse().unwrap());
        let stopped = judged(&[], Some(Trial { delivered: to, ..dropped().unwrap() }), true);
        assert_eq!((stopped.result, stopped.diverted_to), (Reached::Dropped, to));
        let redirected = Trial { delivered: Some("10.0.0.5:3128".parse().unwrap()), ..trial(Reply::Refused) };
        assert_eq!(judged(&["0.0.0.0:80"], Some(redirected), true).diverted_to, Some("10.0.0.5:3128".parse().unwrap()));
    }
}
