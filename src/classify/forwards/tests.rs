//! Command lines as people type them, and what they forward.

use super::*;
use crate::model::SshServer;
use crate::testing::process;

/// What `line` forwards, a line each: `local 15432 -> db:5432 via ada@host:22`.
fn told(line: &str) -> Vec<String> {
    let words = shlex::split(line).unwrap();
    Program::called(&words[0], &words[1..]).map(|program| program.told.iter().map(show).collect()).unwrap_or_default()
}

fn show(told: &Told) -> String {
    let kind: &str = told.kind.into_str();
    let kind = kind.strip_suffix("-forward").unwrap_or(kind);
    let protocol = if told.protocol == Protocol::Udp { " udp" } else { "" };
    let listen = match &told.listen {
        Listen::Here(None, port) => port.to_string(),
        Listen::Here(Some(address), port) => format!("{address}|{port}"),
        Listen::Given => "given".to_owned(),
        Listen::There(None) => "there".to_owned(),
        Listen::There(Some(port)) => format!("there {port}"),
    };
    let port = |port: Option<u16>| port.map_or_else(|| "?".to_owned(), |port| port.to_string());
    let to = match &told.to {
        Destination::Host(host, port) => format!("{host}|{port}"),
        Destination::Named(name, of) => format!("{name} {}", port(*of)),
        Destination::Path(path) => path.clone(),
        Destination::Anywhere => "anywhere".to_owned(),
        Destination::Untold => "untold".to_owned(),
    };
    let through = match &told.through {
        None => String::new(),
        Some(Through::Ssh(SshServer { user, host, port: at, is_direct })) => {
            let user = user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
            format!(" via {user}{host}:{}{}", at, if *is_direct { "" } else { " indirectly" })
        }
        Some(Through::Proxy(host)) => format!(" via {host}"),
        Some(Through::Kubernetes(namespace)) => format!(" in {namespace}"),
        Some(Through::Cloud(name)) => format!(" by {name}"),
    };
    format!("{kind}{protocol} {listen} -> {to}{through}")
}

#[track_caller]
fn check(cases: &[(&str, &[&str])]) {
    for (line, expected) in cases {
        assert_eq!(told(line), *expected, "{line}");
    }
}

#[test]
fn ssh_in_all_spellings() {
    let one = ["local 15432 -> db|5432 via host:22"];
    check(&[
        ("ssh -L 15432:db:5432 host", &one),
        ("ssh -L15432:db:5432 host", &one),
        ("ssh -fNL 15432:db:5432 host", &one),
        ("ssh -fNL15432:db:5432 host", &one),
        ("ssh host -N -L 15432:db:5432", &one),
        ("ssh -L 15432:db:5432 -- host", &one),
        ("ssh -o LocalForward='15432 db:5432' host", &one),
        ("ssh -oLocalForward='15432 db:5432' host", &one),
        ("ssh -o 'localforward 15432 db:5432' host", &one),
        ("ssh -o 'LocalForward = 15432 db:5432' host", &one),
        ("ssh -fNo 'LocalForward \"15432\" db:5432' host", &one),
        ("ssh -L 15432/db/5432 host", &[]),
        ("ssh -L 15432:db:postgresql host", &one),
        ("ssh -D 1080 host", &["dynamic 1080 -> anywhere via host:22"]),
        ("ssh -qCND1080 host", &["dynamic 1080 -> anywhere via host:22"]),
        ("ssh -D '[::1]:1080' host", &["dynamic ::1|1080 -> anywhere via host:22"]),
        ("ssh -o 'DynamicForward 1080' host", &["dynamic 1080 -> anywhere via host:22"]),
        ("ssh -o DynamicForward=*:1080 host", &["dynamic *|1080 -> anywhere via host:22"]),
        ("ssh -R 16000:localhost:3000 host", &["remote there 16000 -> localhost|3000 via host:22"]),
        ("ssh -R 0:localhost:3000 host", &["remote there -> localhost|3000 via host:22"]),
        ("ssh -NR16000 host", &["remote there 16000 -> anywhere via host:22"]),
        ("ssh -o 'RemoteForward 16000 localhost:3000' host", &["remote there 16000 -> localhost|3000 via host:22"]),
    ]);
}

#[test]
fn ssh_on_addresses_and_paths() {
    check(&[
        ("ssh -L 127.0.0.1:15432:db:5432 h", &["local 127.0.0.1|15432 -> db|5432 via h:22"]),
        ("ssh -L '*:15432:db:5432' h", &["local *|15432 -> db|5432 via h:22"]),
        ("ssh -L :15432:db:5432 h", &["local |15432 -> db|5432 via h:22"]),
        ("ssh -L '[::1]:15432:[::1]:5432' h", &["local ::1|15432 -> ::1|5432 via h:22"]),
        ("ssh -L '15432:[fd00::5]:5432' h", &["local 15432 -> fd00::5|5432 via h:22"]),
        ("ssh -o 'LocalForward [::1]:15432 [::1]:5432' h", &["local ::1|15432 -> ::1|5432 via h:22"]),
        ("ssh -L 5432:/run/pg/.s.PGSQL.5432 h", &["local 5432 -> /run/pg/.s.PGSQL.5432 via h:22"]),
        ("ssh -L ::1:5432:/run/s h", &[]),
        ("ssh -L 127.0.0.1:5432:/run/s h", &["local 127.0.0.1|5432 -> /run/s via h:22"]),
        ("ssh -L /tmp/s:db:5432 h", &[]),
        ("ssh -L /tmp/s:/run/s h", &[]),
        // What ssh refuses as well.
        ("ssh -L 15432 h", &[]),
        ("ssh -L 15432:db h", &[]),
        ("ssh -L 0:db:5432 h", &[]),
        ("ssh -L 70000:db:5432 h", &[]),
        ("ssh -L 1:2:3:4:5 h", &[]),
        ("ssh -L '[::1:15432:db:5432' h", &[]),
        ("ssh -D 1080:db:5432 h", &[]),
        ("ssh -L", &[]),
        ("ssh", &[]),
    ]);
}

/// A value of another option is never taken for a forward, nor is the command that runs there.
#[test]
fn ssh_with_other_options() {
    let values = "-b -L1:a:1 -c -L2:a:2 -F -L3:a:3 -i -L4:a:4 -E -L5:a:5 -I -L6:a:6 -m -L7:a:7 -S -L8:a:8 -w -L9:a:9";
    check(&[
        (&format!("ssh {values} h"), &[]),
        ("ssh -W db:5432 h", &[]),
        ("ssh -O forward -S /tmp/s -Q -D1 h", &[]),
        ("ssh h -v socat -L 15432:db:5432", &[]),
        ("ssh h -- -L 15432:db:5432", &[]),
        ("ssh -p 2222 -l ada -D 1080 h", &["dynamic 1080 -> anywhere via ada@h:2222"]),
        ("ssh -D 1080 ada@h -p2222", &["dynamic 1080 -> anywhere via ada@h:2222"]),
        ("ssh -l bob -D 1080 ada@h", &["dynamic 1080 -> anywhere via bob@h:22"]),
        ("ssh -D 1080 'a@b@h'", &["dynamic 1080 -> anywhere via a@b@h:22"]),
        ("ssh -D 1080 ssh://ada@h:2222", &["dynamic 1080 -> anywhere via ada@h:2222"]),
        ("ssh -D 1080 'ssh://[::1]:2222/'", &["dynamic 1080 -> anywhere via ::1:2222"]),
        ("ssh -D 1080 ::1", &["dynamic 1080 -> anywhere via ::1:22"]),
        ("ssh -oHostName=db.%h -oUser=root -oPort=23 -D 1080 h", &["dynamic 1080 -> anywhere via root@db.h:23"]),
        ("ssh -J jump -D 1080 h", &["dynamic 1080 -> anywhere via h:22 indirectly"]),
        ("ssh -oProxyCommand='nc %h %p' -D 1080 h", &["dynamic 1080 -> anywhere via h:22 indirectly"]),
        ("ssh -oProxyJump=none -D 1080 h", &["dynamic 1080 -> anywhere via h:22"]),
        (
            "ssh -fNL 15432:127.0.0.1:5432 -D 1080 -R 16000:localhost:3000 root@db.example",
            &[
                "local 15432 -> 127.0.0.1|5432 via root@db.example:22",
                "dynamic 1080 -> anywhere via root@db.example:22",
                "remote there 16000 -> localhost|3000 via root@db.example:22",
            ],
        ),
    ]);
}

#[test]
fn socat_in_its_spellings() {
    check(&[
        ("socat TCP-LISTEN:8080,fork TCP:host:80", &["proxy 8080 -> host|80"]),
        ("socat tcp-l:8080,fork,reuseaddr tcp4:host:http", &["proxy 8080 -> host|80"]),
        ("socat TCP4-LISTEN:8080,bind=127.0.0.1 TCP-CONNECT:h:80", &["proxy 127.0.0.1|8080 -> h|80"]),
        ("socat 'TCP6-LISTEN:8080,bind=[::1]' 'TCP6:[::1]:80'", &["proxy ::1|8080 -> ::1|80"]),
        ("socat TCP:host:80 TCP-LISTEN:8080", &["proxy 8080 -> host|80"]),
        ("socat -d -d -lf /log -T 5 -b8192 TCP-L:8080 TCP:host:80", &["proxy 8080 -> host|80"]),
        ("socat UDP-LISTEN:53,fork UDP:10.0.0.1:53", &["proxy udp 53 -> 10.0.0.1|53"]),
        ("socat UDP4-RECVFROM:53,fork UDP4-SENDTO:10.0.0.1:53", &["proxy udp 53 -> 10.0.0.1|53"]),
        ("socat OPENSSL-LISTEN:443,cert=a.pem,fork TCP:host:80", &["proxy 443 -> host|80"]),
        ("socat SSL-L:443 OPENSSL:host:443,verify=0", &["proxy 443 -> host|443"]),
        ("socat TCP-LISTEN:2375 UNIX-CONNECT:/run/docker.sock", &["proxy 2375 -> /run/docker.sock"]),
        ("socat TCP-LISTEN:2375 ABSTRACT:name", &["proxy 2375 -> @name"]),
        ("socat TCP-LISTEN:1 SOCKS4A:proxy:host:80,socksport=9050", &["proxy 1 -> host|80 via proxy"]),
        ("socat TCP-LISTEN:1 PROXY:proxy:host:80", &["proxy 1 -> host|80 via proxy"]),
        ("socat TCP-LISTEN:1 SOCKS5-CONNECT:proxy:1080:host:80", &["proxy 1 -> host|80 via proxy"]),
        ("socat TCP-LISTEN:8080 EXEC:cat", &[]),
        ("socat TCP-LISTEN:8080 -", &[]),
        ("socat - TCP-LISTEN:8080", &[]),
        ("socat -u UDP4-RECV:5353 STDOUT", &[]),
        ("socat TCP-LISTEN:1 TCP-LISTEN:2", &[]),
        ("socat TCP-LISTEN:0 TCP:host:80", &[]),
        ("socat TCP-LISTEN:8080", &[]),
        ("socat 'EXEC:\"ssh h socat - TCP-LISTEN:1\"' TCP-L:1", &[]),
    ]);
}

#[test]
fn kubectl_and_systemd() {
    check(&[
        ("kubectl port-forward svc/web 8080:80", &["proxy 8080 -> svc/web 80"]),
        ("kubectl -n shop port-forward web-1 8080", &["proxy 8080 -> pod/web-1 8080 in shop"]),
        ("kubectl port-forward --namespace=shop deploy/web 8080:http", &["proxy 8080 -> deploy/web 80 in shop"]),
        ("kubectl --context prod port-forward svc/web 1:web-port", &["proxy 1 -> svc/web ?"]),
        (
            "kubectl port-forward --address localhost,10.0.0.5 svc/web 8080:80 -nshop :90 --insecure-skip-tls-verify 81",
            &[
                "proxy localhost|8080 -> svc/web 80 in shop",
                "proxy 10.0.0.5|8080 -> svc/web 80 in shop",
                "proxy localhost|81 -> svc/web 81 in shop",
                "proxy 10.0.0.5|81 -> svc/web 81 in shop",
            ],
        ),
        ("kubectl proxy --port=8001", &[]),
        ("kubectl -n port-forward get pods", &[]),
        ("oc port-forward svc/web 8080:80", &["proxy 8080 -> svc/web 80"]),
        ("systemd-socket-proxyd 10.0.0.5:5432", &["proxy given -> 10.0.0.5|5432"]),
        ("systemd-socket-proxyd -c 5 --exit-idle-time 60 --verbose [::1]:5432", &["proxy given -> ::1|5432"]),
        ("systemd-socket-proxyd --exit-idle-time=60 /run/app.sock", &["proxy given -> /run/app.sock"]),
        ("systemd-socket-proxyd www.example", &["proxy given -> www.example|80"]),
        ("systemd-socket-proxyd", &[]),
    ]);
}

#[test]
fn cloudflared_and_ngrok() {
    check(&[
        ("cloudflared tunnel --url http://localhost:8080", &["proxy there -> localhost|8080 by Cloudflare"]),
        ("cloudflared tunnel --no-autoupdate --url localhost:8080", &["proxy there -> localhost|8080 by Cloudflare"]),
        ("cloudflared --url https://127.0.0.1/", &["proxy there -> 127.0.0.1|443 by Cloudflare"]),
        ("cloudflared tunnel run mine", &[]),
        (
            "cloudflared access tcp --hostname db.example --url 127.0.0.1:9210",
            &["proxy 127.0.0.1|9210 -> db.example ? by Cloudflare"],
        ),
        ("cloudflared access ssh --hostname db.example", &[]),
        ("ngrok http 8080", &["proxy there -> localhost|8080 by ngrok"]),
        ("ngrok http --region eu https://localhost:8443", &["proxy there -> localhost|8443 by ngrok"]),
        ("ngrok --config a.yml tcp 127.0.0.1:22", &["proxy there -> 127.0.0.1|22 by ngrok"]),
        ("ngrok start --all", &[]),
        ("haproxy -f /etc/haproxy/haproxy.cfg", &[]),
        ("python3 -m http.server 8080", &[]),
    ]);
}

fn running(line: &str, exe: &str) -> Process {
    Process { exe: Some(exe.into()), command: shlex::split(line).unwrap(), ..process(42, 7, "ssh") }
}

/// A process can call itself anything. Its program file counts.
#[test]
fn a_name_makes_no_forwarder() {
    let line = "ssh -L 15432:db:5432 host";
    assert_eq!(Program::of(&running(line, "/usr/bin/ssh")).unwrap().told.len(), 1);
    assert_eq!(Program::of(&running(line, "/usr/bin/ssh (deleted)")).unwrap().told.len(), 1);
    assert_eq!(Program::of(&running(line, "C:/Windows/System32/OpenSSH/SSH.EXE")).unwrap().told.len(), 1);
    assert_eq!(Program::of(&running(line, "/usr/bin/python3")), None);
    assert_eq!(Program::of(&Process { exe: None, ..running(line, "/usr/bin/ssh") }), None);
}

/// A master of several sessions renames itself, and has forwards that it was told of later.
#[test]
fn what_the_command_line_does_not_tell_is_untold() {
    let master = Program::of(&running("'ssh: /home/ada/.ssh/master [mux]'", "/usr/bin/ssh")).unwrap();
    assert_eq!((master.told.len(), master.otherwise), (0, Some(ForwardKind::LocalForward)));
    let socat = running("socat TCP-LISTEN:8080 EXEC:cat", "/usr/bin/socat1");
    assert_eq!(Program::of(&socat), None);
}

#[test]
fn the_most_exact_address_tells() {
    let line = "ssh -L 8080:any:1 -L 127.0.0.1:8080:v4:2 -L [::1]:8080:v6:3 -L 10.0.0.5:9090:own:4 host";
    let ssh = Program::of(&running(line, "/usr/bin/ssh")).unwrap();
    let host_at = |address: &str, port| match ssh.on(Protocol::Tcp, address.parse().unwrap(), port).map(|told| &told.to)
    {
        Some(Destination::Host(host, _)) => host.as_str(),
        _ => "none",
    };
    assert_eq!((host_at("127.0.0.1", 8080), host_at("::1", 8080), host_at("0.0.0.0", 8080)), ("v4", "v6", "any"));
    assert_eq!((host_at("10.0.0.5", 9090), host_at("127.0.0.1", 9090), host_at("::", 7070)), ("own", "none", "none"));
    assert!(ssh.on(Protocol::Udp, "127.0.0.1".parse().unwrap(), 8080).is_none());
    let given = Program::of(&running("systemd-socket-proxyd db:1", "/usr/lib/systemd/systemd-socket-proxyd")).unwrap();
    assert!(given.on(Protocol::Tcp, "::".parse().unwrap(), 80).is_some());
}

/// Whatever stands in a command line, nothing panics.
#[test]
fn hostile_command_lines_tell_nothing() {
    let parts = [
        "-",
        "--",
        "-L",
        "-o",
        "-oLocalForward=",
        "[",
        "]",
        ":",
        "::::",
        "\\",
        "\u{301}é",
        "-é",
        "",
        "a=b",
        "-L:",
        "-D[::",
    ];
    for program in ["ssh", "socat", "kubectl", "oc", "systemd-socket-proxyd", "cloudflared", "ngrok"] {
        for first in parts {
            for second in parts {
                for third in ["port-forward", "TCP-LISTEN:", "http", "access", "-L\\", "LocalForward \\"] {
                    let _ = Program::called(program, &[first, second, third].map(str::to_owned));
                    let _ = Program::called(program, &[third, first, second].map(str::to_owned));
                }
            }
        }
    }
}
