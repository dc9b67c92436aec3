//! Sends a packet into the replica, and sees what becomes of it.

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Socket, Type};

use super::build::Replica;
use super::fate::{Fate, Reader};
use super::firewall::{Firewall, OWN};
use super::legacy::Counters;
use super::netfilter::{Chain, Step, Tracer, Verdict};
use super::packet::{self, Kind};
use super::programs::Guarded;
use crate::model::{Doubt, Origin, Protocol, Question, Reply, Trial};

/// How long to wait for an answer. Packets are handled while they are sent, unless the machine is
/// very busy.
const PATIENCE: Duration = Duration::from_millis(60);

/// How long to wait for the fence.
const PATIENCE_WITH_FENCE: Duration = Duration::from_millis(500);

/// A packet behind each packet, which our own table drops. Once that is traced, whatever was before it
/// has been handled. The addresses are for documentation.
const FENCE: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254)), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 253))];

/// Senders have ports from here on.
const FIRST_PORT: u16 = 40000;

/// All that a trial needs.
#[derive(Debug)]
pub struct Bench<'a> {
    pub replica: &'a mut Replica,
    pub firewall: &'a Firewall,
    pub guarded: &'a [Guarded],
    pub handles: HashMap<Chain, Vec<u64>>,
    pub tracer: Option<Tracer>,
    /// The sockets that receive datagrams.
    pub receivers: Vec<UdpSocket>,
    /// How many packets were sent.
    pub count: u32,
    /// The sequence number of the last answer.
    pub sequence: Cell<u32>,
}

impl Bench<'_> {
    /// Asks one question. `None` if no interface leads to where it comes from.
    pub fn ask(&mut self, question: &Question) -> Option<Trial> {
        let (reply, steps) = self.send(question)?;
        let reader = Reader { firewall: self.firewall, handles: &self.handles };
        let Fate { delivered, mut stopper, doubt, is_dockers } = reader.read(&steps, question);
        let family = if question.to.is_ipv4() { "ip" } else { "ip6" };
        let legacy = self.firewall.legacy_families.iter().find(|known| **known == family).copied();
        let doubt = doubt.or_else(|| legacy.and_then(|_| reader.legacy_doubt(&steps, question)));
        let doubt = doubt.or_else(|| self.program_doubt(question));
        if let Some(family) = legacy.filter(|_| stopper.is_none() && matches!(reply, Reply::Refused | Reply::Silence)) {
            stopper = self.legacy_stopper(family, question);
        }
        // The rule did not end its way if an answer came.
        let stopper = stopper.filter(|_| matches!(reply, Reply::Refused | Reply::Silence));
        Some(Trial { reply, delivered, stopper, doubt, is_dockers })
    }

    /// The program of a cgroup that may decide about the packet.
    fn program_doubt(&self, question: &Question) -> Option<Doubt> {
        let is_it = |guarded: &&Guarded| (guarded.protocol, guarded.port) == (question.protocol, question.to.port());
        let Guarded { cgroup, .. } = self.guarded.iter().find(is_it)?;
        Some(Doubt { rule: None, on: format!("a program (BPF) of the cgroup {cgroup}") })
    }

    fn legacy_stopper(&mut self, family: &'static str, question: &Question) -> Option<crate::model::Stopper> {
        let before = Counters::read(family)?;
        self.send(question)?;
        Counters::read(family)?.stopper(&before, self.firewall)
    }

    fn send(&mut self, question: &Question) -> Option<(Reply, Vec<Step>)> {
        self.forget();
        self.count += 1;
        let token = 0x5000_0000 | self.count << 1;
        let port = self.sender_port();
        if question.origin == Origin::Here {
            return Some(self.connect(question, token));
        }
        let route = self.replica.interface_to(question.from);
        let back = route.unwrap_or(question.through);
        let packet = packet::ask(question.protocol, SocketAddr::new(question.from, port), question.to, token);
        let (_, tun) = self.replica.tuns.iter().find(|(index, _)| *index == back)?;
        tun.send(&packet).ok()?;
        let patience = match (&self.tracer, route) {
            (Some(_), _) => {
                // Its port tells it from a fence that came late.
                let [from, to] = [SocketAddr::new(FENCE[0], 9), SocketAddr::new(FENCE[1], port)];
                tun.send(&packet::ask(Protocol::Udp, from, to, 0)).ok()?;
                PATIENCE_WITH_FENCE
            }
            (None, Some(_)) => PATIENCE,
            // Without a way back there is no answer.
            (None, None) => Duration::ZERO,
        };
        let (reply, mut steps) = self.watch(patience, |bench| bench.answer(&[token]));
        // Where not even the fence was seen, the machine is too busy to tell.
        if self.tracer.is_some() && reply == Reply::Silence && !steps.iter().any(|step| step.verdict == Verdict::Drop) {
            return None;
        }
        if question.protocol == Protocol::Udp || reply != Reply::Answered {
            return Some((reply, steps));
        }
        // A rule may stop what comes after the first packet.
        let theirs = self.sequence.get().wrapping_add(1);
        let from = SocketAddr::new(question.from, port);
        let (_, tun) = self.replica.tuns.iter().find(|(index, _)| *index == back)?;
        let follower = token | 1;
        tun.send(&packet::follow(from, question.to, follower, theirs)).ok()?;
        let tokens = [follower, theirs];
        // The fence behind the first packet is an old one now.
        self.count += 1;
        let (reply, more) = self.watch(PATIENCE_WITH_FENCE, |bench| bench.answer(&tokens));
        steps.extend(more);
        Some((reply, steps))
    }

    /// Waits until `reply` tells one, or a rule ends the way of the packet.
    fn watch(&self, patience: Duration, reply: impl Fn(&Self) -> Option<Reply>) -> (Reply, Vec<Step>) {
        let mut steps = Vec::new();
        let end = Instant::now() + patience;
        loop {
            let told = reply(self);
            steps.extend(self.tracer.iter().flat_map(Tracer::steps));
            if let Some(reply) = told {
                // The steps of an answer that a rule wrote may follow.
                steps.extend(self.tracer.iter().flat_map(Tracer::steps));
                return (reply, steps);
            }
            let left = end.saturating_duration_since(Instant::now());
            // A rule has dropped the packet, or our own has dropped the fence.
            let is_over = steps.iter().any(|step: &Step| step.verdict == Verdict::Drop && !self.is_old_fence(step));
            if left.is_zero() || is_over {
                // A reset of the rule that ended it may have followed.
                return (reply(self).unwrap_or(Reply::Silence), steps);
            }
            self.sleep(left);
        }
    }

    /// Whether this is the fence behind an earlier packet.
    fn is_old_fence(&self, step: &Step) -> bool {
        step.chain.1 == OWN && step.headed.is_some_and(|to| to.port() != self.sender_port())
    }

    /// The port of the sender of this packet.
    fn sender_port(&self) -> u16 {
        FIRST_PORT + u16::try_from(self.count % 20000).unwrap_or_default()
    }

    /// Sleeps until a packet comes, at most a little.
    fn sleep(&self, left: Duration) {
        let mut watched: Vec<PollFd<'_>> =
            self.replica.tuns.iter().map(|(_, tun)| PollFd::from_borrowed_fd(tun.as_fd(), PollFlags::IN)).collect();
        let brief = left.min(Duration::from_millis(5));
        let _ = poll(&mut watched, Timespec::try_from(brief).ok().as_ref());
    }

    /// What came of the packet with one of these tokens; of any connection if there are none.
    fn answer(&self, tokens: &[u32]) -> Option<Reply> {
        let mut room = vec![0; 65536];
        for (_, tun) in &self.replica.tuns {
            while let Some(packet) = tun.next(&mut room) {
                match packet::read(packet) {
                    Some((of, kind)) if tokens.is_empty() || tokens.contains(&of) => {
                        return Some(match kind {
                            Kind::Answer(sequence) => {
                                self.sequence.set(sequence);
                                Reply::Answered
                            }
                            // A connection that is there goes on trying (RFC 1122, section 4.2.3.9).
                            Kind::Unreachable if is_follower(of) => Reply::Silence,
                            Kind::Reset | Kind::Unreachable => Reply::Refused,
                            Kind::Itself(to) => Reply::Forwarded(to),
                        });
                    }
                    _ => {}
                }
            }
        }
        let mut datagram = [0; 4];
        let received = |socket: &UdpSocket| {
            socket.recv_from(&mut datagram).is_ok() && tokens.contains(&u32::from_be_bytes(datagram))
        };
        self.receivers.iter().any(received).then_some(Reply::Answered)
    }

    /// Leaves nothing of earlier packets.
    fn forget(&self) {
        let mut room = vec![0; 65536];
        for (_, tun) in &self.replica.tuns {
            while tun.next(&mut room).is_some() {}
        }
        for socket in &self.receivers {
            while socket.recv_from(&mut room).is_ok() {}
        }
        let _ = self.tracer.as_ref().map(Tracer::steps);
    }

    /// Connects from inside, as this machine itself.
    fn connect(&self, question: &Question, token: u32) -> (Reply, Vec<Step>) {
        let kind = if question.protocol == Protocol::Tcp { Type::STREAM } else { Type::DGRAM };
        let connected = Socket::new(Domain::for_address(question.to), kind, None).and_then(|socket| {
            socket.set_nonblocking(true)?;
            let _ = socket.bind(&SocketAddr::new(question.from, 0).into());
            match socket.connect(&question.to.into()) {
                Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
                _ => {}
            }
            if question.protocol == Protocol::Udp {
                socket.send(&token.to_be_bytes())?;
            }
            Ok(socket)
        });
        let socket = match connected {
            Ok(socket) => socket,
            Err(error) => {
                let steps = self.tracer.iter().flat_map(Tracer::steps).collect();
                return (if is_refusal(&error) { Reply::Refused } else { Reply::Silence }, steps);
            }
        };
        let own = [token];
        let told = |bench: &Bench<'_>| {
            let seen = bench.answer(if question.protocol == Protocol::Udp { &own } else { &[] });
            match socket.take_error() {
                Ok(Some(error)) if is_refusal(&error) => Some(Reply::Refused),
                Ok(Some(_)) => Some(Reply::Silence),
                _ if question.protocol == Protocol::Tcp && socket.peer_addr().is_ok() => Some(Reply::Answered),
                _ => seen,
            }
        };
        self.watch(PATIENCE, told)
    }
}

/// Whether this is the number of a packet that goes on with a connection. That of the first is even.
const fn is_follower(token: u32) -> bool {
    token & 1 == 1
}

/// Whether somebody said no, other than a router that knows no way.
fn is_refusal(error: &io::Error) -> bool {
    let refusals =
        [libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::EACCES, libc::ECONNRESET, libc::ENOPROTOOPT, libc::EPROTO];
    error.raw_os_error().is_some_and(|number| refusals.contains(&number))
}
