//! Real servers, each run as its users run it. All its processes are found. What an ordinary user
//! may not see is called hidden, never free.

use std::process::Command;

use crate::common::cgroup::Cgroup;
use crate::common::programs::{Postgres, nginx_config};
use crate::common::server::{Server, children, holders, program, with_own_run};
use crate::common::{
    Background, Run, codes, in_namespace, json, json_as_nobody, numbers, owners, port, portcheck_as_nobody, run, skip,
    until_it_listens,
};
use serde_json::{Value, json as value};

/// The rows of the listing for a port.
fn rows(port: u16) -> Vec<String> {
    let list = run(&[]);
    assert_eq!(list.code, 0, "{list:?}");
    let is_ports = |line: &&str| line.split_whitespace().next() == Some(&*port.to_string());
    list.stdout.lines().filter(is_ports).map(str::to_owned).collect()
}

/// The local addresses of a port's sockets, sorted.
fn addresses(port: &Value) -> Vec<&str> {
    let sockets = port["sockets"].as_array().unwrap();
    let mut addresses: Vec<&str> = sockets.iter().map(|socket| socket["local"]["address"].as_str().unwrap()).collect();
    addresses.sort_unstable();
    addresses
}

#[track_caller]
fn assert_contains(text: &str, expected: &[&str]) {
    for expected in expected {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
}

/// Three sites on one port, two of them in a file of their own.
#[test]
fn the_virtual_hosts_of_nginx_are_told_with_file_and_line() {
    in_namespace(|| {
        let Some(nginx) = program("nginx") else { return skip("no nginx") };
        let directory = tempfile::tempdir().unwrap();
        let prefix = directory.path();
        let (file, sites) = (prefix.join("nginx.conf"), prefix.join("sites.conf"));
        let site = |name: &str| format!("server {{ listen 127.0.0.1:8080; server_name {name}; }}\n");
        std::fs::write(&sites, format!("{}\n{}", site("a.example"), site("b.example www.b.example"))).unwrap();
        let own = format!("http {{ include sites.conf;\n{}", site("_"));
        std::fs::write(&file, nginx_config(8081).replacen("http {", &own, 1)).unwrap();
        let mut command = Command::new(nginx);
        command.arg("-p").arg(prefix).arg("-c").arg(&file);
        let _server = Server::start(command, "start worker process ", 3);
        let hosts = || json(&["8080/tcp"])["ports"][0]["virtual_hosts"].clone();
        let host = |names: &[&str], file: &std::path::Path, line: u64, loaded: &str| value!({"server": "nginx", "names": names, "file": file, "line": line, "loaded": loaded});
        let line = std::fs::read_to_string(&file).unwrap().lines().position(|line| line.contains("8080")).unwrap();
        let line = u64::try_from(line).unwrap() + 1;
        let found = hosts();
        let expected = [
            host(&["a.example"], &sites, 1, "as on disk"),
            host(&["b.example", "www.b.example"], &sites, 3, "as on disk"),
            host(&[], &file, line, "as on disk"),
        ];
        assert_eq!(found, value!(expected));
        let report = run(&["8080/tcp", "-v"]).stdout;
        let sentence = format!("nginx serves b.example and www.b.example: {}, line 3", sites.display());
        assert!(report.replace("\n  ", " ").contains(&sentence), "{report}");
        std::fs::File::options()
            .append(true)
            .open(&sites)
            .unwrap()
            .set_modified(std::time::SystemTime::now() + std::time::Duration::from_mins(1))
            .unwrap();
        assert_eq!(hosts()[0]["loaded"], "as on disk, newer than the server");
    });
}

#[test]
fn the_virtual_hosts_of_apache_are_told_with_file_and_line() {
    in_namespace(|| {
        let Some(apache) = program("apache2") else { return skip("no apache2") };
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().display();
        let file = directory.path().join("apache.conf");
        let module = |name: &str| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n");
        let modules = module("mpm_event") + &module("authz_core");
        let text = format!(
            "ServerRoot {root}\nDefaultRuntimeDir {root}\nPidFile {root}/pid\nErrorLog /dev/stderr\n{modules}\
             User nobody\nGroup nogroup\nServerName localhost\nListen 127.0.0.1:8080\n\
             <VirtualHost 127.0.0.1:8080>\nServerName a.example\nServerAlias www.a.example\n</VirtualHost>\n"
        );
        std::fs::write(&file, &text).unwrap();
        let mut command = Command::new(apache);
        command.arg("-d").arg(directory.path()).arg("-f").arg(&file).arg("-DFOREGROUND");
        let _server = Server::start(command, "resuming normal operations", 1);
        let line = text.lines().position(|line| line.starts_with("<VirtualHost")).unwrap() + 1;
        let names = ["a.example", "www.a.example"];
        let expected =
            value!([{"server": "apache", "names": names, "file": file, "line": line, "loaded": "as on disk"}]);
        assert_eq!(json(&["8080/tcp"])["ports"][0]["virtual_hosts"], expected);
    });
}

/// Proxies of connections: where they lead is in their configuration.
#[test]
fn what_nginx_and_haproxy_pass_on_to_is_told() {
    in_namespace(|| {
        let module = std::path::Path::new("/usr/lib/nginx/modules/ngx_stream_module.so");
        let (Some(nginx), Some(haproxy), true) = (program("nginx"), program("haproxy"), module.exists()) else {
            return skip("no nginx with streams, or no haproxy");
        };
        let directory = tempfile::tempdir().unwrap();
        let (streams, frontends) = (directory.path().join("nginx.conf"), directory.path().join("haproxy.cfg"));
        let text = format!(
            "load_module {};\ndaemon off;\npid {}/pid;\nerror_log stderr notice;\nevents {{}}\nstream {{ upstream db {{ \
             server 127.0.0.1:8090; }} server {{ listen 127.0.0.1:8080; proxy_pass db; }} }}\n",
            module.display(),
            directory.path().display()
        );
        std::fs::write(&streams, text).unwrap();
        let text = "defaults\n  mode tcp\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\n\
                    frontend web\n  bind 127.0.0.1:8081\n  default_backend shop\nbackend shop\n  server one 127.0.0.1:8090\n";
        std::fs::write(&frontends, text).unwrap();
        let mut command = Command::new(nginx);
        command.arg("-c").arg(&streams);
        let _nginx = Server::start(command, "start worker process ", 1);
        let _haproxy = Background::spawn(Command::new(haproxy).arg("-f").arg(&frontends));
        until_it_listens(8081);
        for (number, by) in [(8080, "nginx"), (8081, "haproxy")] {
            let look = || json(&[&format!("{number}/tcp")])["ports"][0].clone();
            let forward = |port: &Value| port["forwards"][0].clone();
            // Nobody listens at the other end yet.
            let dead = look();
            assert_eq!(codes(&dead), ["forwarder", "dead-forward"], "{dead:#}");
            let _end = std::net::TcpListener::bind("127.0.0.1:8090").unwrap();
            let told = forward(&look());
            assert_eq!((&told["kind"], &told["by"]), (&value!("proxy"), &value!(by)));
            let to = value!({"address": "127.0.0.1", "port": 8090, "namespace": null});
            assert_eq!((&told["to"], &told["confidence"]), (&to, &value!("likely")));
            assert_eq!(told["ends_at"][0]["pid"], std::process::id(), "{told:#}");
            let report = run(&[&format!("{number}/tcp")]);
            let line = format!("{number}/tcp is in use: {by} forwards it to 127.0.0.1:8090");
            assert_eq!(report.first_line(), line);
        }
    });
}

#[test]
fn nginx_is_its_master_and_the_workers() {
    in_namespace(|| {
        let Some(nginx) = program("nginx") else { return skip("no nginx") };
        let directory = tempfile::tempdir().unwrap();
        let prefix = directory.path();
        let file = prefix.join("nginx.conf");
        std::fs::write(&file, nginx_config(8080)).unwrap();
        let mut command = Command::new(nginx);
        command.arg("-p").arg(prefix).arg("-c").arg(file);
        let server = Server::start(command, "start worker process ", 3);

        let master = server.pid();
        let workers = children(master);
        assert_eq!(workers.len(), 3);
        let mut all = workers;
        all.push(master);
        all.sort_unstable();
        assert_eq!(holders(8080), all);

        let answer = json(&["8080/tcp"]);
        let tcp = port(&answer, 8080, "tcp");
        assert_eq!((owners(tcp), codes(tcp)), (all.clone(), vec!["listener"]));
        let mut named = numbers(&tcp["findings"][0]["pids"]);
        assert_eq!(named[0], master);
        named.sort_unstable();
        assert_eq!(named, all);
        assert_eq!(addresses(tcp), ["127.0.0.1", "::1"]);

        let report = run(&["8080/tcp"]);
        let holder = format!("8080/tcp is in use: nginx (pid {master}) and 3 children");
        assert!(report.first_line().starts_with(&holder), "{report:?}");
        let rows = rows(8080);
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_contains(&rows[0], &["127.0.0.1, ::1", "nginx", &format!("{master} +3")]);

        drop(server);
        assert!(run(&["8080"]).first_line().starts_with("8080 is free"));
    });
}

/// The commands of a finding's remedies with this text.
fn commands<'a>(finding: &'a Value, text: &str) -> Vec<&'a str> {
    let remedies = finding["remedies"].as_array().unwrap();
    let fits = remedies.iter().filter(|remedy| remedy["text"] == text);
    fits.filter_map(|remedy| remedy["command"].as_str()).collect()
}

#[test]
fn postgres_is_seen_by_root_and_hidden_from_others() {
    in_namespace(|| {
        let Some(postgres) = Postgres::set_up() else { return };
        // Other tests check what the cgroup tells: the root cgroup tells nothing.
        let cgroup = Cgroup::make("/").inspect_err(|error| skip(&format!("postgres shares our cgroup: {error}"))).ok();
        let server = postgres.start(cgroup.as_ref(), 5432);
        let pid = server.pid();

        let answer = json(&["5432/tcp"]);
        let tcp = port(&answer, 5432, "tcp");
        assert_eq!((codes(tcp), owners(tcp)), (vec!["listener"], holders(5432)));
        assert!(owners(tcp).contains(&pid));
        assert_eq!(numbers(&tcp["findings"][0]["pids"])[0], pid);
        assert_eq!((&tcp["service"]["name"], &tcp["service"]["iana"]), (&value!("postgresql"), &value!("postgresql")));
        let leader = answer["processes"].as_array().unwrap().iter().find(|process| process["pid"] == pid).unwrap();
        assert_eq!((&leader["name"], &leader["user"]), (&value!("postgres"), &value!("postgres")));

        let answer = json_as_nobody(&["5432/tcp"]);
        let tcp = port(&answer, 5432, "tcp");
        assert_eq!(
            (&tcp["status"], &answer["exit_code"], codes(tcp)),
            (&value!("held"), &value!(1), vec!["hidden-owner"])
        );
        let socket = &tcp["sockets"][0];
        assert_eq!((&socket["user"], &socket["uid"]), (&value!("postgres"), &value!(postgres.uid)));
        let kind = socket["owners"]["kind"].as_str().unwrap();
        // Several processes of that user could not be inspected. Without a cgroup of its own,
        // nothing tells which it is.
        let expected = if cgroup.is_some() { "hidden" } else { "likely" };
        assert!(kind == "hidden" || kind == expected, "{socket:#}");
        let finding = &tcp["findings"][0];
        let see = commands(finding, "see who it is");
        assert_eq!(see.len(), 1, "{finding:#}");
        assert!(see[0].starts_with("sudo ") && see[0].ends_with(" 5432/tcp"), "{see:?}");
        if cgroup.is_some() {
            assert_eq!(finding["remedies"].as_array().unwrap().len(), 1, "{finding:#}");
        }

        let report = Run::from(portcheck_as_nobody(&["5432/tcp"]).output().unwrap());
        assert_eq!((report.code, &*report.stderr), (1, ""));
        assert_eq!(report.stdout.matches("to see who it is").count(), 1, "{report:?}");
        assert_contains(report.first_line(), &["5432/tcp is in use", "postgres"]);
        assert!(!report.stdout.contains("is free"), "{report:?}");
        let list = Run::from(portcheck_as_nobody(&[]).output().unwrap());
        assert_contains(&list.stdout, &["5432", "postgres"]);
    });
}

#[test]
fn the_unit_of_postgres_tells_an_ordinary_user_who_it_likely_is() {
    in_namespace(|| {
        let Some(postgres) = Postgres::set_up() else { return };
        let unit = format!("postgresql@portcheck-{}.service", std::process::id());
        let cgroup = match Cgroup::make(&format!("system.slice/{unit}")) {
            Ok(cgroup) => cgroup,
            Err(error) => return skip(&error),
        };
        let server = postgres.start(Some(&cgroup), 5432);
        let pid = server.pid();

        let answer = json_as_nobody(&["5432/tcp"]);
        let tcp = port(&answer, 5432, "tcp");
        assert_eq!((&tcp["status"], codes(tcp)), (&value!("held"), vec!["hidden-owner"]));
        let of_socket = &tcp["sockets"][0]["owners"];
        assert_eq!((&of_socket["kind"], numbers(&of_socket["pids"])[0]), (&value!("likely"), pid), "{tcp:#}");
        assert!(!of_socket["reason"].as_str().unwrap().is_empty());
        let finding = &tcp["findings"][0];
        assert_eq!((numbers(&finding["pids"])[0], &finding["details"]["unit"]), (pid, &value!(unit)));
        assert_eq!(commands(finding, "see who it is").len(), 1);
        assert_eq!(commands(finding, "stop its service"), [format!("sudo systemctl stop -- {unit}")]);

        let report = Run::from(portcheck_as_nobody(&["5432/tcp"]).output().unwrap());
        assert_eq!(report.code, 1);
        assert_contains(&report.stdout, &[&unit, "probably", &format!("postgres (pid {pid})")]);

        // Root sees this process, and only this one.
        let answer = json(&["5432/tcp"]);
        let tcp = port(&answer, 5432, "tcp");
        assert_eq!((&tcp["sockets"][0]["owners"]["kind"], owners(tcp)), (&value!("known"), holders(5432)));
        assert_eq!(answer["processes"][0]["unit"]["name"], unit);
    });
}

#[test]
fn redis_is_one_row_with_both_its_addresses() {
    in_namespace(|| {
        let Some(redis) = program("redis-server") else { return skip("no redis-server") };
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(redis);
        command.args(["--port", "6379", "--bind", "127.0.0.1", "::1", "--save", "", "--daemonize", "no"]);
        command.current_dir(&directory);
        let server = Server::start(command, "Ready to accept connections", 1);

        let answer = json(&["6379/tcp"]);
        let tcp = port(&answer, 6379, "tcp");
        assert_eq!((owners(tcp), addresses(tcp)), (vec![server.pid()], vec!["127.0.0.1", "::1"]));
        assert_eq!(holders(6379), [server.pid()]);
        assert_eq!((codes(tcp), &tcp["service"]["name"]), (vec!["listener"], &value!("redis")));
        assert_eq!(answer["processes"].as_array().unwrap().len(), 1);
        let rows = rows(6379);
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_contains(&rows[0], &["127.0.0.1, ::1", "redis-server", &server.pid().to_string()]);
    });
}

#[test]
fn sshd_is_named() {
    in_namespace(|| {
        let (Some(sshd), Some(keygen)) = (program("sshd"), program("ssh-keygen")) else { return skip("no sshd") };
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("key");
        let made = Command::new(keygen).args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap();
        assert!(made.success());
        let file = directory.path().join("sshd_config");
        let config = format!("ListenAddress 127.0.0.1:2222\nHostKey {}\nPidFile none\nUsePAM no\n", key.display());
        std::fs::write(&file, config).unwrap();
        // Boot scripts make the directory that it locks itself into. They did not run on every
        // machine.
        let mut command = with_own_run(&sshd, &["sshd"]);
        command.args(["-D", "-e", "-f"]).arg(file);
        let server = Server::start(command, "Server listening on 127.0.0.1 port 2222", 1);

        let pid = server.pid();
        let report = run(&["2222/tcp"]);
        assert!(report.first_line().starts_with(&format!("2222/tcp is in use: sshd (pid {pid})")), "{report:?}");
        let answer = json(&["2222/tcp"]);
        assert_eq!((owners(port(&answer, 2222, "tcp")), holders(2222)), (vec![pid], vec![pid]));
        assert_eq!(answer["processes"][0]["name"], "sshd");
        assert_eq!(run(&["[::1]:2222/tcp"]).code, 0);
    });
}

#[test]
fn node_holds_ipv4_by_its_ipv6_wildcard() {
    in_namespace(|| {
        let Some(node) = program("node") else { return skip("no node") };
        let mut command = Command::new(node);
        command.args(["-e", "require('http').createServer().listen(3000, '::', () => console.log('listens'))"]);
        let server = Server::start(command, "listens", 1);

        let answer = json(&["127.0.0.1:3000/tcp"]);
        let tcp = port(&answer, 3000, "tcp");
        assert_eq!(
            (&answer["exit_code"], &tcp["status"], owners(tcp)),
            (&value!(1), &value!("held"), vec![server.pid()])
        );
        let socket = &tcp["sockets"][0];
        assert_eq!((&socket["local"]["address"], &socket["v6only"]), (&value!("::"), &value!(false)));
        assert_eq!(socket["exposure"], "all");
        assert_eq!(tcp["service"]["iana"], "hbci");
        assert_contains(tcp["service"]["common_use"].as_str().unwrap(), &["Node"]);
        assert_contains(&run(&["3000/tcp"]).stdout, &["node (pid ", "IPv4 and IPv6"]);
    });
}

#[test]
fn a_udp_server_leaves_tcp_free() {
    in_namespace(|| {
        let Some(socat) = program("socat") else { return skip("no socat") };
        let mut command = Command::new(socat);
        command.args(["-d", "-d", "-u", "UDP4-RECV:5353", "STDOUT"]);
        let server = Server::start(command, "starting data transfer loop", 1);

        let answer = json(&["5353"]);
        let (udp, tcp) = (port(&answer, 5353, "udp"), port(&answer, 5353, "tcp"));
        assert_eq!((&udp["status"], codes(udp), owners(udp)), (&value!("held"), vec!["listener"], vec![server.pid()]));
        assert_eq!((&tcp["status"], codes(tcp)), (&value!("free"), vec!["free"]));
        assert_contains(&run(&["5353/udp"]).stdout, &["socat (pid ", "receives on   all IPv4 addresses"]);
    });
}

#[test]
fn two_servers_share_a_port_on_two_addresses() {
    in_namespace(|| {
        let Some(python) = program("python3") else { return skip("no python3") };
        let directory = tempfile::tempdir().unwrap();
        let [one, another] = ["127.0.0.1", "::1"].map(|address| {
            let mut command = Command::new(&python);
            command.args(["-u", "-m", "http.server", "8000", "--bind", address]).current_dir(&directory);
            Server::start(command, "Serving HTTP on", 1)
        });

        let mut both = vec![one.pid(), another.pid()];
        both.sort_unstable();
        let answer = json(&["8000/tcp"]);
        let tcp = port(&answer, 8000, "tcp");
        assert_eq!((owners(tcp), holders(8000)), (both.clone(), both));
        assert_eq!(codes(tcp), ["listener", "listener", "split-localhost"]);
        let report = run(&["8000/tcp"]).stdout;
        let rows = rows(8000);
        assert_eq!(rows.len(), 2, "{rows:?}");
        for (server, address, full) in [(one, "127.0.0.1", "127.0.0.1:8000"), (another, "::1", "[::1]:8000")] {
            let pid = server.pid();
            assert_contains(&report, &[&format!("  http.server (python3, pid {pid})\n")]);
            let row = rows.iter().find(|row| row.contains(&format!(" {pid} "))).unwrap();
            assert!(row.split_whitespace().any(|word| word == address), "{row}");
            let finding = tcp["findings"].as_array().unwrap().iter().find(|finding| finding["pids"][0] == pid).unwrap();
            assert_contains(finding["summary"].as_str().unwrap(), &[full]);
        }
    });
}
