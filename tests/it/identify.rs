//! What answers: real servers are recognised by one connection, and hostile ones harm nothing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::programs::{Postgres, nginx_config};
use crate::common::server::{Server, program, until, with_own_run};
use crate::common::{Background, in_namespace, json, run, skip, until_it_listens};
use serde_json::{Value, json as value};

/// What `portcheck identify` says of one port.
#[track_caller]
fn identified(target: &str, exit: i32) -> Value {
    let answer = json(&["identify", target]);
    assert_eq!(answer["exit_code"], exit, "{answer:#}");
    answer["ports"][0]["identified"].clone()
}

/// A key, and a self-signed certificate for two names that is valid for ten days.
fn certificate(directory: &std::path::Path) -> bool {
    let Some(openssl) = program("openssl") else { return false };
    let mut command = Command::new(openssl);
    command.args(
        "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 10 -subj /CN=shop.example".split(' '),
    );
    command.args(["-addext", "subjectAltName=DNS:shop.example,DNS:*.shop.example,IP:127.0.0.1"]).current_dir(directory);
    command.output().unwrap().status.success()
}

/// A server that treats each connection in this way. Counts the connections.
fn serve(treat: impl Fn(TcpStream) + Send + Sync + 'static) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let (counter, treat) = (Arc::clone(&count), Arc::new(treat));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counter.fetch_add(1, Ordering::SeqCst);
            let treat = Arc::clone(&treat);
            thread::spawn(move || treat(stream));
        }
    });
    (port, count)
}

#[test]
fn nginx_over_http_and_over_tls() {
    in_namespace(|| {
        let Some(nginx) = program("nginx") else { return skip("no nginx") };
        let directory = tempfile::tempdir().unwrap();
        if !certificate(directory.path()) {
            return skip("no openssl");
        }
        let site = "http { server { listen 127.0.0.1:8443 ssl; listen 127.0.0.1:9000 ssl; \
                    ssl_certificate cert.pem; ssl_certificate_key key.pem; return 503; }\n";
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, nginx_config(8080).replacen("http {", site, 1)).unwrap();
        let mut command = Command::new(nginx);
        command.arg("-p").arg(directory.path()).arg("-c").arg(&file);
        let _server = Server::start(command, "start worker process ", 3);

        let plain = identified("8080", 0);
        assert_eq!((&plain["protocol"], &plain["tls"]), (&value!("http"), &Value::Null));
        assert!(plain["server"].as_str().unwrap().starts_with("nginx/"), "{plain:#}");
        let secret = identified("8443", 0);
        assert_eq!((&secret["protocol"], &secret["status"]), (&value!("http"), &value!(503)));
        let tls = &secret["tls"];
        assert_eq!(tls["names"], value!(["shop.example", "*.shop.example", "127.0.0.1"]));
        assert_eq!((&tls["issuer"], &tls["self_signed"]), (&value!("CN=shop.example"), &value!(true)));
        assert!(tls["expires_at"].as_str().unwrap().ends_with('Z'), "{tls}");
        // Nobody can know that port 9000 wants TLS, but its answer says so, and what to ask.
        let unasked = identified("9000", 0);
        assert_eq!((&unasked["protocol"], &unasked["tls"]), (&value!("tls"), &Value::Null));
        assert!(unasked["note"].as_str().unwrap().contains("https://localhost:9000"), "{unasked}");
        assert_eq!(identified("https://localhost:9000", 0)["tls"]["names"], tls["names"]);
        // The other way round: TLS where there is none.
        assert_eq!(identified("https://localhost:8080", 0)["protocol"], "http");
        let report = run(&["identify", "8443"]);
        assert!(report.first_line().starts_with("8443/tcp answers HTTP over TLS: nginx/"), "{report:?}");
        for line in ["certificate   for shop.example", "issued by     itself (self-signed)"] {
            assert!(report.stdout.contains(line), "{line}: {report:?}");
        }
        // Ten whole days are left in the very second that made it, and nine afterwards.
        let left = [", for 10 days", ", for 9 days"];
        assert!(left.iter().any(|left| report.stdout.contains(left)), "{report:?}");
    });
}

/// It hangs up on plain HTTP.
#[test]
fn openssl_is_recognised_if_it_is_asked_for_tls() {
    in_namespace(|| {
        let directory = tempfile::tempdir().unwrap();
        if !certificate(directory.path()) {
            return skip("no openssl");
        }
        let mut command = Command::new("openssl");
        command.args("s_server -accept 127.0.0.1:9000 -www".split(' '));
        command.args(["-cert", "cert.pem", "-key", "key.pem"]).current_dir(&directory);
        let _server = Server::start(command, "ACCEPT", 1);
        let plain = identified("9000", 3);
        assert!(plain["note"].as_str().unwrap().contains("https://localhost:9000"), "{plain}");
        let asked = identified("https://127.0.0.1:9000/", 0);
        assert_eq!((&asked["protocol"], &asked["status"]), (&value!("http"), &value!(200)));
        assert_eq!(asked["tls"]["version"], "TLSv1.3");
    });
}

#[test]
fn sshd_sees_exactly_one_connection() {
    in_namespace(|| {
        let (Some(sshd), Some(keygen)) = (program("sshd"), program("ssh-keygen")) else { return skip("no sshd") };
        let directory = tempfile::tempdir().unwrap();
        let (key, log) = (directory.path().join("key"), directory.path().join("log"));
        let made = Command::new(keygen).args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap();
        assert!(made.success());
        let file = directory.path().join("sshd_config");
        let config = format!(
            "ListenAddress 127.0.0.1:3022\nHostKey {}\nPidFile none\nUsePAM no\nLogLevel VERBOSE\n",
            key.display()
        );
        std::fs::write(&file, config).unwrap();
        let mut command = with_own_run(&sshd, &["sshd"]);
        command.arg("-D").arg("-E").arg(&log).arg("-f").arg(file);
        let _server = Background::spawn(&mut command);
        until_it_listens(3022);
        let found = identified("3022", 0);
        assert_eq!(found["protocol"], "ssh");
        assert!(found["server"].as_str().unwrap().starts_with("OpenSSH"), "{found}");
        let connections = || std::fs::read_to_string(&log).unwrap().matches("Connection from").count();
        until("sshd has logged the connection", || connections() > 0);
        assert_eq!(connections(), 1);
    });
}

#[test]
fn postgres_redis_and_dnsmasq() {
    in_namespace(|| {
        if let Some(postgres) = Postgres::set_up() {
            let _server = postgres.start(None, 3432);
            assert_eq!(identified("3432", 0)["protocol"], "postgresql");
        }
        match program("redis-server") {
            Some(redis) => {
                let mut command = Command::new(redis);
                command.args("--port 3379 --bind 127.0.0.1 --save  --daemonize no --requirepass secret".split(' '));
                let _server = Server::start(command, "Ready to accept connections", 1);
                let found = identified("3379", 0);
                assert_eq!(found["protocol"], "redis");
                assert!(found["detail"]["refusal"].as_str().unwrap().starts_with("NOAUTH"), "{found}");
            }
            None => skip("no redis-server"),
        }
        match program("dnsmasq") {
            Some(dnsmasq) => {
                let mut command = Command::new(dnsmasq);
                command.args(
                    "--no-daemon --port=3053 --listen-address=127.0.0.1 --bind-interfaces --no-resolv --no-hosts \
                     --conf-file=/dev/null --user=root --pid-file="
                        .split_whitespace(),
                );
                let _server = Server::start(command, "started", 1);
                let found = identified("3053/udp", 0);
                assert_eq!(found["protocol"], "dns");
                assert!(found["server"].as_str().unwrap().starts_with("dnsmasq"), "{found}");
            }
            None => skip("no dnsmasq"),
        }
    });
}

#[test]
fn mariadb_greets_with_its_version() {
    in_namespace(|| {
        let Some(mariadb) = program("mariadbd") else { return skip("no mariadbd") };
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("data")).unwrap();
        let data = format!("--datadir={}", directory.path().join("data").display());
        let socket = format!("--socket={}", directory.path().join("socket").display());
        let mut command = Command::new(mariadb);
        // It greets without any table.
        command.args(["--no-defaults", &data, &socket, "--skip-grant-tables", "--skip-networking=0"]);
        command.args(["--user=root", "--port=3316", "--bind-address=127.0.0.1"]);
        let _server = Server::start(command, "ready for connections", 1);
        let found = identified("3316", 0);
        assert_eq!(found["protocol"], "mysql");
        assert!(found["server"].as_str().unwrap().starts_with("MariaDB 1"), "{found}");
    });
}

#[test]
fn silence_is_unknown_and_absence_is_no() {
    let (port, count) = serve(|mut stream| {
        // It reads until portcheck gives up.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let start = Instant::now();
    let found = identified(&format!("127.0.0.1:{port}/tcp"), 3);
    assert_eq!((&found["result"], &found["protocol"]), (&value!("unknown"), &Value::Null));
    assert!(start.elapsed() >= Duration::from_secs(3));
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let report = run(&["identify", &format!("127.0.0.1:{port}/tcp")]);
    assert_eq!(report.first_line(), format!("what answers on {port}/tcp is not known: the server is silent"));
    in_namespace(|| {
        let found = identified("8080", 1);
        assert_eq!((&found["result"], &found["address"]), (&value!("no-connection"), &Value::Null));
        assert_eq!(run(&["identify", "8080"]).first_line(), "8080/tcp does not answer: nobody listens there");
    });
}

#[test]
fn a_server_that_sends_without_end_is_left() {
    let (sender, receiver) = mpsc::channel();
    let (port, _) = serve(move |mut stream| {
        let block = vec![b'x'; 1 << 20];
        let sent = (0..1024).take_while(|_| stream.write_all(&block).is_ok()).count();
        sender.send(sent).unwrap();
    });
    let found = identified(&format!("127.0.0.1:{port}/tcp"), 3);
    assert_eq!(found["result"], "unknown");
    // What fits into the buffers of the kernel, not all of it.
    assert!(receiver.recv().unwrap() < 64);
}

#[test]
fn a_server_that_sends_a_byte_a_second_is_left_after_three_seconds() {
    let (port, _) = serve(|mut stream| {
        // The pause is what is tested.
        while stream.write_all(b"H").is_ok() {
            thread::sleep(Duration::from_secs(1));
        }
    });
    let start = Instant::now();
    assert_eq!(identified(&format!("127.0.0.1:{port}/tcp"), 3)["result"], "unknown");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn escape_sequences_are_shown_and_not_obeyed() {
    let (port, _) = serve(|mut stream| {
        let mut question = [0; 4096];
        let _ = stream.read(&mut question);
        let page = "HTTP/1.1 200 OK\r\nServer: \x1b]0;owned\x07\x1b[31mred\r\n\r\n<title>\x1b[2J\u{202e}x</title>";
        let _ = stream.write_all(page.as_bytes());
    });
    let target = format!("127.0.0.1:{port}/tcp");
    let report = run(&["identify", &target]);
    assert_eq!(report.code, 0, "{report:?}");
    assert!(!report.stdout.contains(['\x1b', '\x07', '\u{202e}']), "{report:?}");
    assert!(report.stdout.contains(r"\u{1b}[31mred"), "{report:?}");
    let json = run(&["identify", &target, "--json"]).stdout;
    assert!(!json.contains(['\x1b', '\x07', '\u{202e}']), "{json}");
}

#[test]
fn path_and_host_of_a_url_are_asked_for() {
    let (sender, receiver) = mpsc::channel();
    let (port, _) = serve(move |mut stream| {
        let mut question = [0; 4096];
        let length = stream.read(&mut question).unwrap();
        sender.send(String::from_utf8_lossy(&question[..length]).into_owned()).unwrap();
        stream.write_all(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let found = identified(&format!("http://localhost:{port}/health?x=1"), 0);
    assert_eq!(found["status"], 204);
    let question = receiver.recv().unwrap();
    assert!(question.starts_with("GET /health?x=1 HTTP/1.1\r\n"), "{question}");
    assert!(question.contains(&format!("\r\nHost: localhost:{port}\r\n")), "{question}");
}

/// No other command connects.
#[test]
fn nothing_else_connects() {
    let (port, count) = serve(drop);
    let target = format!("127.0.0.1:{port}/tcp");
    for arguments in [
        &[&*target][..],
        &[&target, "--json"],
        &[&target, "-v"],
        &["list", "--process", "it"],
        &["reach", &target],
        &["connections", &target],
        &["wait", &target, "--for", "listening"],
    ] {
        run(arguments);
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
    run(&["identify", &target]);
    assert_eq!(count.load(Ordering::SeqCst), 1);
}
