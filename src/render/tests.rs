//! The reports and tables as they look, on answers made by hand.

use super::*;
use crate::classify::services::Services;
use crate::commands::list::Listing;
use crate::diagnose::{Facts, Observed, PortReport, diagnose};
use crate::model::{Container, Gap, Owners, Process, Protocol, Runtime, ShownBy, Socket, gap};
use crate::testing::{host, listener, owned, process};

/// What the pipeline makes of these facts.
fn diagnosis_of(facts: Vec<(u16, Protocol, Vec<Socket>)>, processes: Vec<Process>, gaps: Vec<Gap>) -> Diagnosis {
    let services = Services::default();
    let judge = |(port, protocol, sockets): (u16, Protocol, Vec<Socket>)| {
        let service = services.lookup(port, protocol);
        let observed = Observed { service: service.map(Box::new), sockets, ..Observed::of(port, protocol) };
        let findings = diagnose(&Facts { processes: &processes, gaps: &gaps, ..Facts::of(&observed, &host()) });
        PortReport { observed, verdict: findings.into() }
    };
    let ports = facts.into_iter().map(judge).collect();
    Diagnosis { ports, processes, gaps, ..Diagnosis::of_no_ports(host()) }
}

fn check(facts: Vec<(u16, Protocol, Vec<Socket>)>, processes: Vec<Process>, gaps: Vec<Gap>) -> Answer {
    Answer::Check(diagnosis_of(facts, processes, gaps))
}

fn show(answer: &Answer, style: &Style) -> String {
    let mut out = Vec::new();
    write(answer, style, &mut out).unwrap();
    let text = anstream::adapter::strip_str(std::str::from_utf8(&out).unwrap()).to_string();
    if !crate::platform::machine::IS_WINDOWS {
        return text;
    }
    // The snapshots have the quotes of other shells.
    text.replace('"', "'").replace("kill [::1]:3000/tcp", "kill '[::1]:3000/tcp'")
}

fn style(width: Option<u16>) -> Style {
    Style { width, as_root: "sudo portcheck".to_owned(), now: 1_795_253_400 + 7500, ..Style::default() }
}

/// A listing with every kind of owner.
fn busy_machine() -> Diagnosis {
    let mut web = process(812, 1, "nginx");
    web.user = Some("root".to_owned());
    let mut database = process(900, 1, "postgres");
    database.container = Some(Container {
        runtime: Runtime::Docker,
        id: "8f3a0c1d2e4b".repeat(6)[..64].to_owned(),
        pod: None,
        user: None,
    });
    let likely = Socket {
        owners: Owners::Likely { pids: vec![900], reason: "the only process that fits".to_owned() },
        ..listener("127.0.0.1:5432")
    };
    let hidden = Socket {
        owners: Owners::Hidden { reason: "not yours".to_owned() },
        uid: Some(0),
        user: None,
        ..listener("0.0.0.0:22")
    };
    let v6only = Socket { v6only: Some(true), ..owned("[::]:80", &[812, 813]) };
    let workers = process(813, 812, "nginx");
    diagnosis_of(
        vec![
            (22, Protocol::Tcp, vec![hidden]),
            (80, Protocol::Tcp, vec![owned("0.0.0.0:80", &[812, 813]), v6only]),
            (5432, Protocol::Tcp, vec![likely]),
            (62893, Protocol::Tcp, vec![owned("127.0.0.1:62893", &[950])]),
        ],
        vec![web, workers, database, process(950, 7, "a)\n(b")],
        vec![Gap { shown_by: ShownBy::Root, ..gap::UNREADABLE_PROCESSES.gap("12 processes could not be inspected") }],
    )
}

#[test]
fn a_report() {
    let facts = vec![(62893, Protocol::Tcp, vec![owned("127.0.0.1:62893", &[42])]), (62893, Protocol::Udp, vec![])];
    let report = check(facts, vec![process(42, 7, "python3")], vec![]);
    insta::assert_snapshot!(show(&report, &style(None)));
}

#[test]
fn a_report_on_two_holders_and_one_with_evidence() {
    let mut child = process(43, 42, "web");
    child.ancestors[0].name = "web".to_owned();
    let facts = vec![(3000, Protocol::Tcp, vec![owned("127.0.0.1:3000", &[42, 43]), owned("[::1]:3000", &[50])])];
    let report = check(facts, vec![process(42, 7, "web"), child, process(50, 7, "node")], vec![]);
    insta::assert_snapshot!("two_holders", show(&report, &style(None)));
    insta::assert_snapshot!("two_holders_verbose", show(&report, &Style { verbose: true, ..style(None) }));
}

#[test]
fn a_report_on_a_free_port() {
    let facts = vec![(8080, Protocol::Tcp, vec![]), (8080, Protocol::Udp, vec![])];
    insta::assert_snapshot!(show(&check(facts, vec![], vec![]), &style(None)));
}

#[test]
fn a_report_on_a_hidden_owner() {
    let mut machine = busy_machine();
    machine.ports.truncate(1);
    insta::assert_snapshot!(show(&Answer::Check(machine), &style(None)));
}

#[test]
fn a_listing_at_every_width() {
    let listing = Answer::List(Listing { diagnosis: busy_machine(), hint: None });
    for width in [Some(60), Some(80), Some(100), Some(120), Some(140), Some(160), None] {
        let text = show(&listing, &style(width));
        if let Some(width) = width {
            let table = text.split("\n\n").next().unwrap_or_default();
            assert!(table.lines().all(|line| line.chars().count() <= width.into()), "{width}:\n{text}");
        }
        insta::assert_snapshot!(
            format!("listing_{}", width.map_or("piped".to_owned(), |width| width.to_string())),
            text
        );
    }
}

#[test]
fn verdicts_on_several_ports() {
    let mut machine = busy_machine();
    let free = diagnosis_of(
        (3000..3003).flat_map(|port| Protocol::ALL.map(|protocol| (port, protocol, vec![]))).collect(),
        vec![],
        vec![],
    );
    machine.ports.extend(free.ports);
    insta::assert_snapshot!(show(&Answer::Check(machine), &style(Some(100))));
}

#[test]
fn markdown_is_not_taken_for_markup() {
    let facts = vec![(62893, Protocol::Tcp, vec![owned("127.0.0.1:62893", &[42])])];
    let machine = check(facts, vec![process(42, 7, "a|b<i>_c_")], vec![]);
    insta::assert_snapshot!(show(&machine, &Style { format: Format::Markdown, ..style(None) }));
}
