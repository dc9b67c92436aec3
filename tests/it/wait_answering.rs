//! `portcheck wait --for answering`: until a server answers, not only listens.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{has, in_namespace, json, portcheck, run, skip};
use serde_json::json as value;

/// What a server was asked, by one connection after the other.
type Questions = Arc<Mutex<Vec<String>>>;

/// An HTTP server that answers its connections with these statuses, the last one for ever.
fn serve(statuses: &'static [&'static str]) -> (u16, Questions) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (port, serve_on(listener, statuses))
}

fn serve_on(listener: TcpListener, statuses: &'static [&'static str]) -> Questions {
    let questions = Questions::default();
    let asked = Arc::clone(&questions);
    thread::spawn(move || {
        for (index, stream) in listener.incoming().flatten().enumerate() {
            answer(stream, statuses[index.min(statuses.len() - 1)], &asked);
        }
    });
    questions
}

fn answer(mut stream: TcpStream, status: &str, asked: &Questions) {
    let mut question = [0; 4096];
    let length = stream.read(&mut question).unwrap_or_default();
    asked.lock().unwrap().push(String::from_utf8_lossy(&question[..length]).into_owned());
    let _ = stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes());
}

#[test]
fn errors_of_the_server_are_waited_out_with_a_connection_each() {
    let (port, questions) = serve(&["503 Busy", "500 Broken", "404 Missing"]);
    let url = format!("http://localhost:{port}/health?x");
    let answer = json(&["wait", &url, "--for", "answering"]);
    let goal = &answer["wait"]["goals"][0];
    assert_eq!((&answer["exit_code"], &answer["wait"]["for"]), (&value!(0), &value!("answering")));
    assert_eq!((&goal["met"], &goal["note"]), (&value!(true), &value!(format!("127.0.0.1:{port}"))));
    let questions = questions.lock().unwrap();
    assert_eq!(questions.len(), 3, "{questions:?}");
    let head = format!("GET /health?x HTTP/1.1\r\nHost: localhost:{port}\r\n");
    assert!(questions.iter().all(|question| question.starts_with(&head)), "{questions:?}");
}

#[test]
fn more_can_be_asked_for_than_any_answer() {
    let (port, _) = serve(&["404 Missing"]);
    let url = format!("http://127.0.0.1:{port}/");
    let late = run(&["wait", &url, "--for", "answering", "--status", "2xx", "--timeout", "500ms"]);
    assert_eq!(late.code, 124, "{late:?}");
    assert!(late.stdout.contains("it answers with status 404"), "{late:?}");
    assert!(late.first_line().contains("does not answer as awaited"), "{late:?}");
    assert_eq!(run(&["wait", &url, "--for", "answering", "--status", "2xx,404"]).code, 0);
    // The old form of the command.
    assert_eq!(run(&[&url, "--wait", "answering"]).code, 0);
    assert_eq!(run(&["wait", &url, "--for", "listening", "--status", "2xx"]).code, 2);
}

/// While it is asked, the time can run out.
#[test]
fn a_silent_server_does_not_answer_and_is_not_asked_twice_at_a_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming().flatten() {
            counter.fetch_add(1, Ordering::SeqCst);
            open.push(stream);
        }
    });
    let start = Instant::now();
    let late = run(&["wait", &format!("127.0.0.1:{port}"), "--for", "answering", "--timeout", "1s"]);
    assert_eq!(late.code, 124, "{late:?}");
    assert!(start.elapsed() < Duration::from_millis(2900), "{:?}", start.elapsed());
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn one_that_greets_answers_by_that() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"SSH-2.0-Test\r\n");
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let met = run(&["wait", &format!("127.0.0.1:{port}"), "--for", "answering"]);
    assert_eq!(met.code, 0, "{met:?}");
    assert!(met.first_line().starts_with(&format!("127.0.0.1:{port}/tcp answers, after ")), "{met:?}");
}

#[test]
fn a_server_that_starts_later_is_asked_once_it_listens() {
    in_namespace(|| {
        let mut command = portcheck(&["wait", "http://localhost:8080/", "--for", "answering", "-v"]);
        let mut waiting = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut told = String::new();
        BufReader::new(waiting.stderr.take().unwrap()).read_line(&mut told).unwrap();
        assert!(told.starts_with("waiting until localhost:8080/tcp answers"), "{told}");
        let questions = serve_on(TcpListener::bind("127.0.0.1:8080").unwrap(), &["200 OK"]);
        assert_eq!(waiting.wait().unwrap().code(), Some(0));
        assert_eq!(questions.lock().unwrap().len(), 1);
    });
}

#[test]
fn tls_answers_once_a_handshake_is_done() {
    in_namespace(|| {
        let directory = tempfile::tempdir().unwrap();
        if !has("openssl") {
            return skip("no openssl");
        }
        let openssl = |arguments: &str| {
            let mut command = Command::new("openssl");
            command.args(arguments.split(' ')).current_dir(&directory).stdout(Stdio::null()).stderr(Stdio::null());
            command.stdin(Stdio::null()).spawn().unwrap()
        };
        let made =
            openssl("req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 1 -subj /CN=x").wait();
        assert!(made.unwrap().success());
        let server = openssl("s_server -accept 127.0.0.1:9000 -quiet -www -cert cert.pem -key key.pem");
        let _server = crate::common::Background(server);
        let met = run(&["wait", "https://localhost:9000/", "--for", "answering"]);
        assert_eq!(met.code, 0, "{met:?}");
        // Plain HTTP gets no answer there.
        let late = run(&["wait", "http://localhost:9000/", "--for", "answering", "--timeout", "1s"]);
        assert_eq!(late.code, 124, "{late:?}");
    });
}
