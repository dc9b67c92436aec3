//! Ports that nobody holds: reserved, privileged, on addresses that do not exist, redirected.

use crate::common::role::listening;
use crate::common::{is_root, json, json_of, run};
use crate::scenarios::scenarios;
use crate::scenarios::stage::{Stage, becomes_free, need_root, part, run_command, set_up, wait_until};

scenarios! {
    a_reserved_port: rows ["21"], proves ["reserved-port", "free"];
    a_privileged_port: rows ["22"], proves ["privileged-port"];
    a_link_local_address_without_scope: rows ["30"], proves ["address-needs-scope"];
    an_address_of_another_machine: rows ["31"], proves ["address-not-local"];
    a_tentative_address: rows ["31"], proves ["address-tentative"];
    ipv6_is_switched_off: rows ["32"], proves ["no-ipv6"];
    traffic_is_redirected: rows ["36"], proves ["free"];
    browsers_refuse_it: rows [], proves ["browser-blocked"];
    what_cannot_be_seen: rows [], proves ["unseen"];
}

fn a_reserved_port(stage: &Stage) -> Result<(), String> {
    need_root()?;
    std::fs::write("/proc/sys/net/ipv4/ip_local_reserved_ports", "8080,40001").unwrap();
    stage.expect("8080/tcp", "free", &["reserved-port", "free"], &[]);
    // It is safe even inside the ephemeral range.
    stage.expect("40001/tcp", "free", &["reserved-port", "free"], &[]);
    stage.expect("40002/tcp", "free", &["ephemeral-port", "free"], &[]);
    Ok(())
}

fn a_privileged_port(stage: &Stage) -> Result<(), String> {
    need_root()?;
    // A namespace made by an old systemd may start with another limit.
    std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "1024").unwrap();
    let look = stage.look_as_nobody(&["81/tcp"]);
    look.is("blocked", &["privileged-port"], &[]);
    assert_eq!(
        (look.bind("127.0.0.1"), look.bind("0.0.0.0"), look.bind("::")),
        ("access-denied", "access-denied", "access-denied")
    );
    stage.expect("81/tcp", "free", &["free"], &[]);
    stage.look_as_nobody(&["81/tcp", "--no-probe"]).is("free", &["free"], &[]);
    // The first command is for one program, the second one for everybody.
    let commands = look.commands("privileged-port");
    assert!(commands[0].starts_with("sudo setcap cap_net_bind_service"), "{commands:?}");
    run_command(commands[1]);
    stage.look_as_nobody(&["81/tcp"]).is("free", &["free"], &[]);
    Ok(())
}

/// Two interfaces with the same link-local address, which can be used at once.
fn two_interfaces() -> Result<(), String> {
    set_up(
        "ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up && \
         ip addr add fe80::5/64 dev v0 nodad && ip addr add fe80::5/64 dev v1 nodad",
    )
}

fn a_link_local_address_without_scope(stage: &Stage) -> Result<(), String> {
    two_interfaces()?;
    let look = stage.expect("[fe80::5]:9090/tcp", "blocked", &["address-needs-scope"], &[]);
    assert_eq!(look.bind("fe80::5 only"), "invalid");
    // What is offered works.
    let mut commands = look.commands("address-needs-scope");
    commands.sort_unstable();
    assert_eq!(commands.len(), 2, "one for each interface: {commands:?}");
    for (command, name) in commands.iter().zip(["v0", "v1"]) {
        assert!(command.contains(&format!("[fe80::5%{name}]:9090/tcp")), "{command}");
    }
    stage.expect("[fe80::5%v0]:9090/tcp", "free", &["free"], &[]);
    // The interface distinguishes two places with the same address.
    let both = run(&["[fe80::5%v0]:9090", "[fe80::5%v1]:9090"]);
    let lines: Vec<&str> = both.stdout.lines().filter(|line| line.starts_with("9090")).collect();
    let expected = ["9090 on fe80::5%v0 is free", "9090 on fe80::5%v1 is free"];
    assert!(lines.len() == 2 && lines.iter().zip(expected).all(|(line, free)| line.starts_with(free)), "{both:?}");

    // The same address on another interface is no conflict.
    let any = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let index = rustix::net::netdevice::name_to_index(&any, "v0").unwrap();
    let address = std::net::SocketAddrV6::new("fe80::5".parse().unwrap(), 8081, 0, index);
    let _server = listening(address.into(), &["v6only"]);
    stage.expect("[fe80::5%v0]:8081/tcp", "held", &["listener"], &[std::process::id()]);
    stage.expect("[fe80::5%v1]:8081/tcp", "free", &["free"], &[]);
    Ok(())
}

fn an_address_of_another_machine(stage: &Stage) -> Result<(), String> {
    // A wildcard listener does not block an address that does not exist.
    let _server = listening("0.0.0.0:8080".parse().unwrap(), &[]);
    let look = stage.expect("198.51.100.1:8080/tcp", "blocked", &["address-not-local"], &[]);
    assert_eq!(look.bind("198.51.100.1"), "not-available");
    let summary = look.finding("address-not-local")["summary"].as_str().unwrap();
    assert!(summary.contains("127.0.0.1"), "what there is: {summary}");
    if is_root() {
        let look = stage.expect("198.51.100.1:8081/tcp", "blocked", &["address-not-local"], &[]);
        look.cure("address-not-local");
        becomes_free("198.51.100.1:8081/tcp");
    }
    Ok(())
}

fn a_tentative_address(stage: &Stage) -> Result<(), String> {
    need_root()?;
    // Duplicate address detection that never ends.
    set_up("ip link add v0 type veth peer name v1")?;
    std::fs::write("/proc/sys/net/ipv6/conf/v0/dad_transmits", "1000").map_err(|error| error.to_string())?;
    set_up("ip link set v0 up && ip link set v1 up && ip addr add fd00::5/64 dev v0")?;
    let look = stage.expect("[fd00::5]:8080/tcp", "blocked", &["address-tentative"], &[]);
    assert_eq!(look.bind("fd00::5 only"), "not-available");
    assert_eq!(look.commands("address-tentative"), [""; 0], "it ends by itself");
    set_up("ip addr del fd00::5/64 dev v0 && ip addr add fd00::5/64 dev v0 nodad")?;
    becomes_free("[fd00::5]:8080/tcp");
    Ok(())
}

fn ipv6_is_switched_off(stage: &Stage) -> Result<(), String> {
    need_root()?;
    std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").map_err(|error| error.to_string())?;
    let look = stage.expect("[::1]:8080/tcp", "blocked", &["no-ipv6"], &[]);
    assert_eq!(look.bind("::1"), "not-available");
    // Nobody else needs it: [::] still serves IPv4, and localhost is 127.0.0.1.
    let look_at_all = stage.expect("8080/tcp", "free", &["free"], &[]);
    assert_eq!((look_at_all.bind("::1"), look_at_all.bind("::")), ("not-available", "ok"));
    stage.expect("localhost:8080/tcp", "free", &["free"], &[]);
    look.cure("no-ipv6");
    wait_until("::1 is back", || stage.look(&["[::1]:8080/tcp"]).port["status"] == "free");
    Ok(())
}

fn traffic_is_redirected(stage: &Stage) -> Result<(), String> {
    need_root()?;
    set_up(
        "nft 'add table ip nat; add chain ip nat output { type nat hook output priority -100; }; \
         add rule ip nat output tcp dport 8080 dnat to 127.0.0.1:9090'",
    )?;
    let look = stage.expect("8080/tcp", "free", &["free"], &[]);
    // It can be bound, which is the question. That others cannot reach it then is not visible here.
    assert_eq!((look.bind("127.0.0.1"), look.bind("0.0.0.0"), look.bind("::")), ("ok", "ok", "ok"));
    Ok(())
}

fn browsers_refuse_it(stage: &Stage) -> Result<(), String> {
    let answer = json(&["6000"]);
    stage.note_all(&answer);
    part(&answer, 6000, "tcp").says("free", &["browser-blocked", "free"]);
    part(&answer, 6000, "udp").says("free", &["free"]);
    assert!(crate::common::run(&["6000"]).stdout.contains("ERR_UNSAFE_PORT"));
    Ok(())
}

fn what_cannot_be_seen(stage: &Stage) -> Result<(), String> {
    // Without netlink (AF_NETLINK is 16) a bound socket is not visible, and bind is not to be
    // tried.
    let arguments = ["8080/tcp", "--no-probe"];
    let command = crate::common::seccomp::portcheck_without("socket=16", &arguments).ok_or("no seccomp filter")?;
    stage.note(json_of(command)).is("unknown", &["unseen"], &[]);
    Ok(())
}
