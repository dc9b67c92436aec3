//! The JSON of docs/json.md: from an answer, or an error, to the types of [`wire`].

mod ansible;
mod connection;
mod event;
mod formatter;
mod forward;
mod free;
mod hosts;
mod identify;
mod kill;
mod parts;
mod ports;
mod preflight;
mod process;
mod reach;
mod summary;
mod wait;
mod wire;

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde_json::Serializer;

use crate::answer::Answer;
use crate::classify::Exposure;
use crate::classify::services::Service;
use crate::commands::diagnosis::Diagnosis;
use crate::commands::exit::{Command, Exit};
use crate::commands::preflight::Report as Preflight;
use crate::diagnose::{self, Finding, PortReport};
use crate::model::{self, KernelUser, Owners, ShownBy, find_process};
use crate::probe::Attempt;
use crate::prose;
use crate::render::Style;
pub use ansible::{task, task_error};
pub use connection::lines as connection_lines;
pub use event::event;
use formatter::Escaping;
pub use hosts::lines as host_lines;
use parts::{endpoint, remedy};
use ports::Ports;
use process::{WireProcess, process, unit};
use wire::{
    Envelope, Line, WireBind, WireDescriptor, WireDetail, WireError, WireFinding, WireGap, WireHost, WireKernelUser,
    WireNamespace, WireOwners, WirePort, WireService, WireSocket, WireTimer, WireVirtualHost,
};

const SCHEMA_VERSION: u32 = 1;

/// Why a command failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum ErrorKind {
    /// The command line is wrong.
    Usage,
    /// The tool failed.
    Failure,
}

/// One document with the whole answer.
pub fn document(answer: &Answer, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let mut envelope = envelope(answer, style);
    envelope.ports.depth = Some(2);
    write(&envelope, Escaping::pretty(), out)
}

fn envelope<'a>(answer: &'a Answer, style: &Style) -> Envelope<'a> {
    let diagnosis = answer.diagnosis();
    Envelope {
        schema_version: SCHEMA_VERSION,
        version: env!("CARGO_PKG_VERSION"),
        command: Some(answer.command().into_str()),
        exit_code: style.exit(answer).code(),
        host: host(&diagnosis.host),
        ports: Ports { reports: &diagnosis.ports, processes: &diagnosis.processes, depth: None },
        processes: diagnosis.processes.iter().map(process).collect(),
        gaps: diagnosis.gaps.iter().map(gap).collect(),
        kill: if let Answer::Kill(report) = answer { Some(kill::kill(report)) } else { None },
        wait: if let Answer::Wait(report) = answer { Some(wait::wait(report)) } else { None },
        free: if let Answer::Free(report) = answer { Some(free::free(report, style)) } else { None },
        connections: match answer {
            Answer::Connections(report) => {
                report.connections().map(|found| connection::connection(found, report)).collect()
            }
            _ => Vec::new(),
        },
        connection_groups: match answer {
            Answer::Connections(report) => report.groups.iter().flatten().map(connection::group).collect(),
            _ => Vec::new(),
        },
        preflight: if let Answer::Preflight(report) = answer { preflight::rows(report) } else { Vec::new() },
        hosts: if let Answer::Hosts(report) = answer { hosts::Hosts(&report.hosts) } else { hosts::Hosts(&[]) },
        summary: if let Answer::Summary(counted) = answer { Some(summary::summary(counted)) } else { None },
        error: None,
    }
}

/// Writes the envelope of a command that failed.
pub fn error(
    kind: ErrorKind,
    message: &str,
    command: Option<Command>,
    of: &model::Host,
    out: &mut dyn Write,
) -> io::Result<()> {
    write(&envelope_of_error(kind, message, command, of), Escaping::pretty(), out)
}

fn envelope_of_error<'a>(
    kind: ErrorKind,
    message: &'a str,
    command: Option<Command>,
    of: &'a model::Host,
) -> Envelope<'a> {
    let exit = match kind {
        ErrorKind::Usage => Exit::Usage,
        ErrorKind::Failure => Exit::Failure,
    };
    Envelope {
        schema_version: SCHEMA_VERSION,
        version: env!("CARGO_PKG_VERSION"),
        command: command.map(|command| command.into_str()),
        exit_code: exit.code(),
        host: host(of),
        ports: Ports::default(),
        processes: Vec::new(),
        gaps: Vec::new(),
        kill: None,
        wait: None,
        free: None,
        connections: Vec::new(),
        connection_groups: Vec::new(),
        preflight: Vec::new(),
        hosts: hosts::Hosts(&[]),
        summary: None,
        error: Some(WireError { kind: kind.into_str(), message }),
    }
}

/// A line for each port, to be read one by one.
pub fn lines(diagnosis: &Diagnosis, out: &mut dyn Write) -> io::Result<()> {
    for answered in &diagnosis.ports {
        let pids = answered.observed.everywhere().flat_map(|socket| socket.owners.pids()).copied();
        let processes = each_once(pids, &diagnosis.processes);
        line(&Line { port: port(answered, &diagnosis.processes), processes }, out)?;
    }
    Ok(())
}

/// A line for each port that a file asks for.
pub fn preflight_lines(report: &Preflight, out: &mut dyn Write) -> io::Result<()> {
    report.rows.iter().try_for_each(|row| line(&preflight::row(report, row), out))
}

/// These processes, as far as they are known, by their ids.
fn each_once(pids: impl Iterator<Item = u32>, processes: &[model::Process]) -> Vec<WireProcess<'_>> {
    let pids: BTreeSet<u32> = pids.collect();
    pids.into_iter().filter_map(|pid| find_process(processes, pid)).map(process).collect()
}

fn line(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    write(value, Escaping::compact(), out)
}

/// Each number and bracket is a write: they are gathered here, where the compiler sees them all.
fn write(value: &impl Serialize, layout: Escaping, out: &mut dyn Write) -> io::Result<()> {
    let mut gathered = BufWriter::new(out);
    value.serialize(&mut Serializer::with_formatter(&mut gathered, layout))?;
    gathered.write_all(b"\n")?;
    gathered.into_inner()?;
    Ok(())
}

fn host(host: &model::Host) -> WireHost<'_> {
    WireHost {
        os: host.os,
        release: host.release.as_deref(),
        backend: host.backend.into_str(),
        euid: host.euid,
        ephemeral_range: host.ephemeral_range,
    }
}

fn port<'a>(report: &'a PortReport, processes: &[model::Process]) -> WirePort<'a> {
    WirePort {
        port: report.observed.port,
        protocol: report.observed.protocol.into_str(),
        namespace: report.observed.namespace.as_deref().map(namespace),
        addresses: report.observed.addresses.iter().map(ToString::to_string).collect(),
        class: report.observed.class().into_str(),
        service: report.observed.service.as_deref().map(service),
        status: report.verdict.status.into_str(),
        bind: report.observed.attempts.iter().map(bind).collect(),
        bind_elsewhere: report.observed.attempts_elsewhere.iter().map(bind).collect(),
        findings: report.verdict.findings.iter().map(|found| finding(found, processes)).collect(),
        sockets: report.observed.everywhere().map(socket).collect(),
        forwards: forward::forwards(&report.observed),
        reach: report.observed.reach.iter().map(reach::reach).collect(),
        identified: report.observed.identified.as_deref().map(identify::identified),
        virtual_hosts: report.observed.virtual_hosts.iter().map(virtual_host).collect(),
    }
}

fn virtual_host(host: &model::VirtualHost) -> WireVirtualHost<'_> {
    WireVirtualHost {
        server: host.server,
        names: &host.names,
        file: host.file.to_string_lossy().into_owned(),
        line: host.line,
        loaded: if host.is_newer { "as on disk, newer than the server" } else { "as on disk" },
    }
}

fn bind(attempt: &Attempt) -> WireBind {
    WireBind {
        address: attempt.spot.address.to_string(),
        v6only: attempt.spot.v6only,
        reuse_address: attempt.reuse_address,
        result: attempt.outcome.into_str(),
        errno: attempt.outcome.errno(),
    }
}

fn service(service: &Service) -> WireService<'_> {
    WireService {
        name: service.name.as_deref(),
        source: service.source.map(|source| source.into_str()),
        iana: service.iana,
        common_use: service.common_use,
    }
}

fn finding<'a>(finding: &'a Finding, processes: &[model::Process]) -> WireFinding<'a> {
    let details = finding.details.iter().map(|(name, detail)| {
        let detail = match detail {
            diagnose::Detail::Number(number) => WireDetail::Number(*number),
            diagnose::Detail::Text(text) => WireDetail::Text(text),
        };
        (*name, detail)
    });
    WireFinding {
        code: finding.code,
        severity: finding.severity.into_str(),
        summary: prose::sentence(finding, processes),
        pids: &finding.pids,
        details: details.collect(),
        remedies: finding.remedies.iter().map(remedy).collect(),
    }
}

fn socket(socket: &model::Socket) -> WireSocket<'_> {
    WireSocket {
        protocol: socket.protocol.into_str(),
        family: socket.family.into_str(),
        state: socket.state.into_str(),
        local: endpoint(socket.local),
        remote: socket.remote.map(endpoint),
        device: socket.device.as_deref(),
        v6only: socket.v6only,
        inode: socket.inode,
        uid: socket.uid,
        user: socket.user.as_deref(),
        cgroup: socket.cgroup.as_deref(),
        exposure: Exposure::of(socket).into_str(),
        receive_queue: socket.receive_queue,
        send_queue: socket.send_queue,
        timer: socket.timer.map(|timer| WireTimer {
            kind: timer.kind.into_str(),
            expires_in_ms: timer.expires_in_ms.into(),
            retransmits: timer.retransmits,
        }),
        mptcp: socket.mptcp,
        owners: owners(socket),
        kernel_user: socket.kernel_user.as_deref().map(kernel_user),
        socket_unit: socket.activated_by.as_deref().map(unit),
        forwards_to: socket.forwards_to.as_ref().map(|forward| &*forward.target),
        namespace: socket.namespace.as_deref().map(namespace),
    }
}

fn namespace(namespace: &model::Namespace) -> WireNamespace<'_> {
    WireNamespace { inode: namespace.inode, name: namespace.given_name() }
}

fn kernel_user(user: &KernelUser) -> WireKernelUser<'_> {
    match user {
        KernelUser::Device { kind, name } => WireKernelUser { kind, name: Some(name), id: None },
        KernelUser::MptcpEndpoint(id) => WireKernelUser { kind: "mptcp-endpoint", name: None, id: Some(*id) },
        KernelUser::Nfsd => WireKernelUser { kind: "nfsd", name: None, id: None },
        KernelUser::HttpSys => WireKernelUser { kind: "http-sys", name: None, id: None },
        KernelUser::NetBios => WireKernelUser { kind: "netbios", name: None, id: None },
        KernelUser::FileSharing => WireKernelUser { kind: "file-sharing", name: None, id: None },
    }
}

fn owners(socket: &model::Socket) -> WireOwners<'_> {
    let owners = &socket.owners;
    let reason = match owners {
        Owners::Partial { reason, .. } | Owners::Likely { reason, .. } | Owners::Hidden { reason } => Some(&**reason),
        Owners::NotAsked => Some("nobody looked for the holders"),
        Owners::Known(_) | Owners::Kernel | Owners::None => None,
    };
    let via = (!owners.pids().is_empty()).then(|| socket.via.into_str());
    let descriptor = |of: &model::Descriptor| WireDescriptor { pid: of.pid, number: of.number };
    let descriptors = socket.descriptors.iter().map(descriptor).collect();
    WireOwners { kind: owners.kind(), pids: owners.pids(), reason, via, descriptors }
}

fn gap(gap: &model::Gap) -> WireGap<'_> {
    WireGap {
        code: gap.kind.code,
        hides: gap.kind.hides.into_str(),
        protocol: gap.protocol.map(|protocol| protocol.into_str()),
        summary: &gap.summary,
        root_would_see: gap.shown_by == ShownBy::Root,
    }
}
