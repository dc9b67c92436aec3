//! Servers that wait for peers: on which addresses, together with whom, and what is left for
//! others.

use std::net::Shutdown;

use socket2::Type;

use crate::common::role::{Role, listening, open};
use crate::common::{all_codes, json};
use crate::scenarios::scenarios;
use crate::scenarios::stage::{Stage, becomes_free, need_root, part, run_command, set_up};

scenarios! {
    a_listener: rows ["1"], proves ["listener", "loopback-only", "exposed"];
    a_dual_stack_listener: rows ["2"], proves ["listener", "dual-stack-overlap"];
    a_v6only_listener: rows ["3"], proves ["listener"];
    a_listener_on_another_address: rows ["4"], proves ["wildcard-overlap", "free"];
    a_v4_mapped_listener: rows ["5"], proves ["dual-stack-overlap"];
    a_v4_mapped_wildcard: rows ["5"], proves ["wildcard-overlap", "dual-stack-overlap"];
    bound_and_never_listening: rows ["6"], proves ["bound-not-listening"];
    bound_with_reuse_address: rows ["7"], proves ["bound-not-listening"];
    two_bound_and_one_listens: rows ["8"], proves ["bound-not-listening", "listener"];
    a_listener_that_was_shut_down: rows ["9"], proves ["bound-not-listening"];
    a_reuseport_group: rows ["18"], proves ["reuseport-group"];
    a_reuseport_group_of_another_user: rows ["19"], proves ["reuseport-other-user"];
    udp_holds_it: rows ["20"], proves ["udp-only", "tcp-only"];
    bound_to_a_device: rows ["29"], proves ["device-bound"];
    localhost_is_two_servers: rows ["40"], proves ["split-localhost"];
}

fn a_listener(stage: &Stage) -> Result<(), String> {
    for (address, reach) in [("127.0.0.1:8080", "loopback-only"), ("0.0.0.0:8080", "exposed")] {
        let (server, _) = Role::playing(&format!("listen {address} reuse-address"));
        let look = stage.expect("8080/tcp", "held", &["listener"], &[server.pid()]);
        for place in ["127.0.0.1", "0.0.0.0", "::"] {
            assert_eq!((look.bind_with(place, false), look.bind_with(place, true)), ("in-use", "in-use"), "{place}");
        }
        assert!(all_codes(&look.port).contains(&reach), "{:#}", look.port);
        stage.expect_as_nobody("8080/tcp", "held", &["hidden-owner"]);
        look.cure("listener");
        becomes_free("8080/tcp");
    }
    Ok(())
}

fn a_dual_stack_listener(stage: &Stage) -> Result<(), String> {
    let (server, _) = Role::playing("listen [::]:8080");
    let expected = &["listener", "dual-stack-overlap"];
    let look = stage.expect("8080/tcp", "held", expected, &[server.pid()]);
    assert_eq!((look.bind("127.0.0.1"), look.bind("::")), ("in-use", "in-use"));
    assert_eq!(look.port["sockets"][0]["v6only"], false);
    stage.expect("127.0.0.1:8080/tcp", "held", expected, &[server.pid()]);
    stage.expect("[::1]:8080/tcp", "held", &["listener", "wildcard-overlap"], &[server.pid()]);
    look.cure("listener");
    becomes_free("8080/tcp");
    Ok(())
}

fn a_v6only_listener(stage: &Stage) -> Result<(), String> {
    let (server, _) = Role::playing("listen [::]:8080 v6only");
    let look = stage.expect("8080/tcp", "held", &["listener"], &[server.pid()]);
    assert_eq!((look.bind("127.0.0.1"), look.bind("0.0.0.0"), look.bind("::")), ("ok", "ok", "in-use"));
    assert_eq!(look.port["sockets"][0]["v6only"], true);
    stage.expect("127.0.0.1:8080/tcp", "free", &["free"], &[]);
    Ok(())
}

fn a_listener_on_another_address(stage: &Stage) -> Result<(), String> {
    let (server, _) = Role::playing("listen 127.0.0.2:8080");
    let expected = &["listener", "wildcard-overlap"];
    let look = stage.expect("8080/tcp", "held", expected, &[server.pid()]);
    assert_eq!((look.bind("127.0.0.1"), look.bind("0.0.0.0"), look.bind("::")), ("ok", "in-use", "in-use"));
    stage.expect("127.0.0.1:8080/tcp", "free", &["free"], &[]);
    // The question is about the wildcard, so the answer says what is free.
    let look = stage.expect("0.0.0.0:8080/tcp", "held", expected, &[server.pid()]);
    let elsewhere = look.port["bind_elsewhere"].as_array().unwrap();
    let is_free = |address: &str| elsewhere.iter().any(|bind| bind["address"] == address && bind["result"] == "ok");
    assert!(is_free("127.0.0.1") && is_free("::1"), "{elsewhere:#?}");
    drop(server);
    // The other way round: the holder has the wildcard.
    let (server, _) = Role::playing("listen 0.0.0.0:8080");
    stage.expect("127.0.0.1:8080/tcp", "held", expected, &[server.pid()]);
    let text = crate::common::run(&["127.0.0.1:8080/tcp"]).stdout;
    assert!(text.contains("elsewhere: [::1] and [::] v6only free"), "{text}");
    Ok(())
}

fn a_v4_mapped_listener(stage: &Stage) -> Result<(), String> {
    let (server, _) = Role::playing("listen [::ffff:127.0.0.1]:8080");
    let expected = &["listener", "dual-stack-overlap"];
    let look = stage.expect("8080/tcp", "held", expected, &[server.pid()]);
    assert_eq!((look.bind("127.0.0.1"), look.bind("::1")), ("in-use", "ok"));
    stage.expect("127.0.0.1:8080/tcp", "held", expected, &[server.pid()]);
    Ok(())
}

/// Regression: it was no holder of `127.0.0.1`, and a port that could not be bound was called free.
fn a_v4_mapped_wildcard(stage: &Stage) -> Result<(), String> {
    let (server, _) = Role::playing("listen [::ffff:0.0.0.0]:8080");
    let overlap = &["listener", "wildcard-overlap", "dual-stack-overlap"];
    for address in ["127.0.0.1", "127.0.0.2", "[::ffff:127.0.0.1]"] {
        let target = format!("{address}:8080/tcp");
        let look = stage.expect(&target, "held", overlap, &[server.pid()]);
        assert!(look.finding("wildcard-overlap")["summary"].as_str().unwrap().contains("takes every address"));
        stage.look(&[&target, "--no-probe"]).is("held", overlap, &[server.pid()]);
        stage.look(&[&target, "-4"]).is("held", overlap, &[server.pid()]);
        let wait = crate::common::run(&[&target, "--wait", "listening", "--timeout", "20s"]);
        assert_eq!(wait.code, 0, "{wait:?}");
    }
    for address in ["0.0.0.0", "[::ffff:0.0.0.0]"] {
        let expected = &["listener", "dual-stack-overlap"];
        stage.expect(&format!("{address}:8080/tcp"), "held", expected, &[server.pid()]);
    }
    // It leaves IPv6 to others.
    for arguments in [&["[::1]:8080/tcp"][..], &["8080/tcp", "-6"], &["[::1]:8080/tcp", "--no-probe"]] {
        stage.look(arguments).is("free", &["free"], &[]);
    }
    stage.look(&["127.0.0.1:8080/tcp"]).cure("listener");
    becomes_free("8080/tcp");
    Ok(())
}

fn bound_and_never_listening(stage: &Stage) -> Result<(), String> {
    let (holder, _) = Role::playing("bind 127.0.0.1:8080");
    let look = stage.expect("8080/tcp", "held", &["bound-not-listening"], &[holder.pid()]);
    assert_eq!((look.bind("127.0.0.1"), look.bind_with("127.0.0.1", true)), ("in-use", "in-use"));
    stage.look(&["8080/tcp", "--reuse-addr"]).is("held", &["bound-not-listening"], &[holder.pid()]);
    stage.expect_as_nobody("8080/tcp", "held", &["hidden-owner"]);
    look.cure("bound-not-listening");
    becomes_free("8080/tcp");
    Ok(())
}

fn bound_with_reuse_address(stage: &Stage) -> Result<(), String> {
    let (holder, _) = Role::playing("bind 127.0.0.1:8080 reuse-address");
    let look = stage.expect("8080/tcp", "held", &["bound-not-listening"], &[holder.pid()]);
    assert_eq!((look.bind("127.0.0.1"), look.bind_with("127.0.0.1", true)), ("in-use", "ok"));
    stage.look(&["8080/tcp", "--reuse-addr"]).is("free", &["free"], &[holder.pid()]);
    Ok(())
}

fn two_bound_and_one_listens(stage: &Stage) -> Result<(), String> {
    let (bound, _) = Role::playing("bind 127.0.0.1:8080 reuse-address");
    let (server, _) = Role::playing("listen 127.0.0.1:8080 reuse-address");
    let expected = &["bound-not-listening", "listener"];
    stage.expect("8080/tcp", "held", expected, &[bound.pid(), server.pid()]);
    Ok(())
}

fn a_listener_that_was_shut_down(stage: &Stage) -> Result<(), String> {
    let own = std::process::id();
    for (options, with_reuse) in [(&["reuse-address"][..], "ok"), (&[], "in-use")] {
        let listener = listening("127.0.0.1:8080".parse().unwrap(), options);
        listener.shutdown(Shutdown::Both).map_err(|error| error.to_string())?;
        let look = stage.expect("8080/tcp", "held", &["bound-not-listening"], &[own]);
        assert_eq!((look.bind("127.0.0.1"), look.bind_with("127.0.0.1", true)), ("in-use", with_reuse));
    }
    Ok(())
}

fn a_reuseport_group(stage: &Stage) -> Result<(), String> {
    let part = "listen 127.0.0.1:8080 reuse-port";
    let (one, _) = Role::playing(part);
    let (other, _) = Role::playing(part);
    let look =
        stage.expect("8080/tcp", "held", &["listener", "listener", "reuseport-group"], &[one.pid(), other.pid()]);
    assert_eq!(look.finding("reuseport-group")["details"]["sockets"], 2);
    // One more socket of the same user can join, as the answer says.
    let own = listening("127.0.0.1:8080".parse().unwrap(), &["reuse-port"]);
    drop(own);
    for finding in look.port["findings"].as_array().unwrap().iter().filter(|finding| finding["code"] == "listener") {
        run_command(finding["remedies"][0]["command"].as_str().unwrap());
    }
    becomes_free("8080/tcp");
    Ok(())
}

fn a_reuseport_group_of_another_user(stage: &Stage) -> Result<(), String> {
    need_root()?;
    let part = "listen 127.0.0.1:8080 reuse-port";
    let (one, _) = Role::playing_as_user(58_231, part);
    let (other, _) = Role::playing_as_user(58_231, part);
    let expected = &["listener", "listener", "reuseport-other-user"];
    stage.expect("8080/tcp", "held", expected, &[one.pid(), other.pid()]);
    // Root is another user, too.
    let joining = socket2::Socket::new(socket2::Domain::IPV4, Type::STREAM, None).unwrap();
    joining.set_reuse_port(true).unwrap();
    joining.bind(&"127.0.0.1:8080".parse::<std::net::SocketAddr>().unwrap().into()).unwrap_err();
    Ok(())
}

fn udp_holds_it(stage: &Stage) -> Result<(), String> {
    let (server, _) = Role::playing("udp 127.0.0.1:8080");
    let answer = json(&["8080"]);
    let udp = part(&answer, 8080, "udp");
    assert_eq!(
        (&udp.port["status"], all_codes(&udp.port)),
        (&"held".into(), vec!["listener", "loopback-only", "udp-only"])
    );
    assert_eq!(
        (udp.bind("127.0.0.1"), udp.finding("listener")["pids"][0].as_u64()),
        ("in-use", Some(server.pid().into()))
    );
    assert_eq!(part(&answer, 8080, "tcp").port["status"], "free");
    stage.note_all(&answer);
    udp.cure("listener");
    becomes_free("8080/udp");
    // A UDP socket with a peer is missing from `ss -ul`.
    let (client, _) = Role::playing("udp 127.0.0.1:8080 to=127.0.0.1:9");
    stage.expect("8080/udp", "held", &["outgoing-connection"], &[client.pid()]);
    drop(client);
    let _tcp = listening("127.0.0.1:8080".parse().unwrap(), &[]);
    stage.note_all(&json(&["8080"]));
    Ok(())
}

fn bound_to_a_device(stage: &Stage) -> Result<(), String> {
    need_root()?;
    let (server, _) = Role::playing("listen 0.0.0.0:8080 device=lo");
    let look = stage.expect("8080/tcp", "held", &["listener", "device-bound"], &[server.pid()]);
    assert_eq!(look.finding("device-bound")["details"]["device"], "lo");
    assert_eq!((look.bind("127.0.0.1"), look.bind("0.0.0.0")), ("in-use", "in-use"));
    // On another device it is no conflict, as the answer says.
    set_up("ip link add v0 type veth peer name v1")?;
    let _other = open("0.0.0.0:8080".parse().unwrap(), Type::STREAM, &["device=v0"]);
    Ok(())
}

fn localhost_is_two_servers(stage: &Stage) -> Result<(), String> {
    let (ipv4, _) = Role::playing("listen 127.0.0.1:8080");
    let (ipv6, _) = Role::playing("listen [::]:8080 v6only");
    let look =
        stage.expect("8080/tcp", "held", &["listener", "listener", "split-localhost"], &[ipv4.pid(), ipv6.pid()]);
    let pids = crate::common::numbers(&look.finding("split-localhost")["pids"]);
    assert_eq!(pids, [ipv4.pid(), ipv6.pid()]);
    // One server on both is not split.
    let _both =
        [listening("127.0.0.1:8081".parse().unwrap(), &[]), listening("[::1]:8081".parse().unwrap(), &["v6only"])];
    stage.expect("8081/tcp", "held", &["listener"], &[std::process::id()]);
    Ok(())
}
