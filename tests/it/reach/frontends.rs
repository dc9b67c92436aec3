//! The rules that ufw 0.36 and firewalld 1.3 made on Debian 12, as their tools printed them.

use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json as value};

use super::{NETWORK, from, prepare};
use crate::common::{in_namespace, json, run};

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/firewalls").join(name);
    path.to_str().unwrap().to_owned()
}

#[track_caller]
fn is(answer: &Value, port: u16, source: &str, result: &str) {
    let row = from(answer, port, source);
    assert_eq!(row["result"], result, "{row:#}");
}

#[test]
fn the_rules_of_ufw_are_followed_and_its_own_command_is_offered() {
    in_namespace(|| {
        let load = format!(
            "{NETWORK}
            ip address add fd77::5/64 dev eth0 nodad; ip -6 route add default via fd77::1
            iptables-restore <'{}'; ip6tables-restore <'{}'",
            fixture("ufw.ipv4"),
            fixture("ufw.ipv6")
        );
        if !prepare(&["ip", "iptables", "ip6tables"], &load) {
            return;
        }
        let _servers = [22, 8080, 9000, 2222].map(|port| TcpListener::bind(("::", port)).unwrap());
        let answer = json(&["reach", "22,8080,9000,2222/tcp", "--from", "10.77.0.9,203.0.113.7,2001:db8::7"]);
        for source in ["10.77.0.9", "203.0.113.7", "2001:db8::7"] {
            is(&answer, 22, source, "open");
            is(&answer, 8080, source, "dropped");
            // How often it connected before is not known (-m recent).
            is(&answer, 2222, source, "unknown");
        }
        is(&answer, 9000, "10.77.0.9", "open");
        is(&answer, 9000, "203.0.113.7", "dropped");
        let by = &from(&answer, 8080, "203.0.113.7")["by"];
        assert_eq!((&by["frontend"], &by["kind"], &by["chain"]), (&value!("ufw"), &value!("policy"), &value!("INPUT")));
        let report = run(&["reach", "8080"]);
        assert!(report.stdout.contains("to allow it:  ufw allow 8080/tcp\n"), "{report:?}");
        assert_eq!((report.code, run(&["reach", "22/tcp"]).code), (1, 0));
    });
}

#[test]
fn the_rules_of_firewalld_are_followed_and_its_own_command_is_offered() {
    in_namespace(|| {
        if !prepare(&["ip", "nft"], &format!("{NETWORK}\nnft -f '{}'", fixture("firewalld.nft"))) {
            return;
        }
        let _servers = [22, 8080, 18082].map(|port| TcpListener::bind(("0.0.0.0", port)).unwrap());
        let answer = json(&["reach", "22,8080,18082/tcp", "--from", "203.0.113.7"]);
        is(&answer, 22, "203.0.113.7", "open");
        is(&answer, 18082, "203.0.113.7", "open");
        is(&answer, 8080, "203.0.113.7", "refused");
        let by = &from(&answer, 8080, "203.0.113.7")["by"];
        assert_eq!((&by["frontend"], &by["table"]), (&value!("firewalld"), &value!("firewalld")), "{by:#}");
        let report = run(&["reach", "8080"]).stdout;
        assert!(report.contains("to allow it:  firewall-cmd --add-port=8080/tcp\n"), "{report}");
    });
}
