//! The verdicts on sockets that no process has in its descriptor table: `descriptor-in-flight`,
//! `call-in-progress`, `io-uring-descriptor`, `thread-owned`. Every other tool shows such a socket
//! without an owner.

use super::holders::groups_where;
use super::{Detail, Explanation, Facts, Group, Observation, Remedy, RemedyKind, Rule, Severity, Verb, listener};
use crate::model::{Owners, Via};

pub static IN_FLIGHT: Rule = Rule {
    code: "descriptor-in-flight",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "The socket is inside a message of a unix socket, on its way from one process to another (SCM_RIGHTS). \
               No process has a descriptor of it.",
        why: "A process passed the listener on and closed its own copy, as servers do that restart without a gap. The \
              receiver has not read the message: it is busy, stopped, or has forgotten about it.",
        detection: "No process has a descriptor of the socket. The process that is named has a unix socket with \
                    descriptors in its queue (scm_fds in its fdinfo).",
        remedy: "Let the receiver read the message, or end it: what waits in its queue is closed with it.",
    },
    check: |facts| {
        by(facts, |via| via == Via::UnixQueue)
            .iter()
            .map(|group| Observation {
                // No command: a process that only likely has it must not be killed on our word.
                remedies: vec![Remedy::advice(
                    RemedyKind::StopProgram,
                    "let that process read its messages, or end it: what waits in its queue is closed with it",
                )],
                ..Observation::about(
                    group,
                    Verb("has", "have"),
                    format!("{} in an unread message of a unix socket", group.addresses()),
                )
            })
            .collect()
    },
};

pub static IN_A_CALL: Rule = Rule {
    code: "call-in-progress",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "A thread waits in a system call on the socket, such as accept, recv or poll, and the descriptor has been \
               closed meanwhile. No process has a descriptor of it.",
        why: "The kernel keeps the socket until the call returns. A program closed its socket in one thread to make \
              another one stop, which does not end the call.",
        detection: "No process has a descriptor of the socket. The thread that is named is in a call on a descriptor \
                    that is closed, or in a call that may be on the socket (/proc/PID/task/TID/syscall).",
        remedy: "End the process, or make the call return: a connection ends accept, a datagram ends recv. A program \
                 should call shutdown before close.",
    },
    check: |facts| {
        let mut observations = Vec::new();
        for group in by(facts, |via| matches!(via, Via::SystemCall(_))) {
            let Via::SystemCall(thread) = group.sockets[0].via else { continue };
            let mut details = vec![("tid", Detail::Number(thread.into()))];
            if let Owners::Likely { reason, .. } = &*group.owners {
                details.push(("reason", Detail::Text(reason.clone())));
            }
            observations.push(Observation {
                details,
                // No command: a process that only likely has it must not be killed on our word.
                remedies: vec![Remedy::advice(
                    RemedyKind::StopProgram,
                    "end that process, or make the call return: a connection ends accept, a datagram ends recv",
                )],
                ..Observation::about(
                    &group,
                    Verb("holds", "hold"),
                    format!("{} by a system call in progress", group.addresses()),
                )
            });
        }
        observations
    },
};

pub static IO_URING: Rule = Rule {
    code: "io-uring-descriptor",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "The process has the socket registered with an io_uring, and has closed the descriptor. Tools that look at \
               descriptors do not find it.",
        why: "Registered files (io_uring_register(2)) live as long as the ring, even after their descriptors are \
              closed.",
        detection: "No process has a descriptor of the socket, and the fdinfo of an io_uring lists it among its \
                    UserFiles.",
        remedy: "End the process.",
    },
    check: |facts| {
        by(facts, |via| via == Via::IoUring)
            .iter()
            .map(|group| {
                let mut observation = listener::held_by(facts, group);
                observation.statement.object.push(", by a file registered with an io_uring".into());
                observation
            })
            .collect()
    },
};

pub static THREAD: Rule = Rule {
    code: "thread-owned",
    severity: Severity::Warning,
    explanation: Explanation {
        what: "A thread has the socket in a descriptor table of its own. Tools that look at /proc/PID/fd do not find it.",
        why: "The main thread has ended while others live on, or the thread has left the common table (unshare(2) with \
              CLONE_FILES).",
        detection: "No process has a descriptor of the socket, but /proc/PID/task/TID/fd of a thread has one.",
        remedy: "End the process: a signal to it reaches the thread.",
    },
    check: |facts| {
        let mut observations = Vec::new();
        for group in by(facts, |via| matches!(via, Via::Thread(_))) {
            let Via::Thread(thread) = group.sockets[0].via else { continue };
            observations.push(Observation {
                details: vec![("tid", Detail::Number(thread.into()))],
                ..Observation::about(
                    &group,
                    Verb("has", "have"),
                    format!("the socket only in thread {thread}, which has its own descriptor table"),
                )
            });
        }
        observations
    },
};

fn by<'a>(facts: &Facts<'a>, is_it: impl Fn(Via) -> bool) -> Vec<Group<'a>> {
    groups_where(facts, |socket| socket.state.is_waiting() && is_it(socket.via))
}
