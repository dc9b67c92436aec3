//! Rules of the firewall that send what arrives for a port elsewhere, in network namespaces of the tests' own.

use std::process::{Command, Stdio};

use serde_json::json as value;

use crate::common::server::program;
use crate::common::{codes, in_namespace, is_root, json, json_as_nobody, port, run, skip};

/// Runs a tool of the firewall. `false`, said aloud, where it is not there or does not work.
fn firewall(tool: &str, line: &str) -> bool {
    let Some(program) = program(tool).filter(|_| is_root()) else {
        skip(&format!("no {tool}, or not root"));
        return false;
    };
    let done = Command::new(program).args(line.split(' ')).stderr(Stdio::null()).status().unwrap().success();
    if !done {
        skip(&format!("{tool} does not work here"));
    }
    done
}

#[test]
fn a_free_port_that_a_rule_diverts_is_told_with_table_chain_and_target() {
    let rules = [
        ("nft", "add rule ip web pre tcp dport 4000 dnat to 10.9.9.9:80", "web", "pre", 4000),
        (
            "iptables-nft",
            "-t nat -A PREROUTING -p tcp --dport 4010 -j DNAT --to-destination 10.9.9.9:80",
            "nat",
            "PREROUTING",
            4010,
        ),
        (
            "iptables-legacy",
            "-t nat -A PREROUTING -p tcp --dport 4020 -j DNAT --to-destination 10.9.9.9:80",
            "nat",
            "PREROUTING",
            4020,
        ),
    ];
    in_namespace(|| {
        for (tool, rule, table, chain, diverted) in rules {
            let is_ready = tool != "nft"
                || (firewall("nft", "add table ip web")
                    && firewall("nft", "add chain ip web pre { type nat hook prerouting priority -100 ; }"));
            if is_ready && firewall(tool, rule) {
                is_told(diverted, table, chain);
            }
        }
    });
}

#[track_caller]
fn is_told(diverted: u16, table: &str, chain: &str) {
    let target = diverted.to_string();
    let answer = json(&[&target]);
    let tcp = port(&answer, diverted, "tcp");
    assert_eq!((&tcp["status"], &answer["exit_code"]), (&value!("free"), &value!(0)), "{tcp:#}");
    let finding = &tcp["findings"][0];
    assert_eq!((&finding["code"], &finding["severity"]), (&value!("rule-diverts"), &value!("warning")));
    let details = &finding["details"];
    let expected = (&value!(table), &value!(chain), &value!(1));
    assert_eq!((&details["table"], &details["chain"], &details["position"]), expected);
    assert_eq!(details["target"], "10.9.9.9:80");
    assert_eq!((&tcp["forwards"][0]["kind"], &tcp["forwards"][0]["to"]["port"]), (&value!("rule"), &value!(80)));
    assert!(!codes(port(&answer, diverted, "udp")).contains(&"rule-diverts"));
    let report = run(&[&target]).stdout;
    let sentence = "but a firewall rule redirects connections from other machines to it: they reach 10.9.9.9:80";
    assert!(report.contains(sentence), "{report}");
    let next = json(&[&(diverted + 1).to_string()]);
    assert!(!codes(port(&next, diverted + 1, "tcp")).contains(&"rule-diverts"));

    let answer = json_as_nobody(&[&target]);
    let gap = answer["gaps"].as_array().unwrap().iter().find(|gap| gap["code"] == "firewall-unread").unwrap();
    assert_eq!((&gap["root_would_see"], &gap["hides"]), (&value!(true), &value!("details")));
}
