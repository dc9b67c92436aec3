//! One question over HTTP to a unix socket, with bounds on everything that comes back: the engine answers for root, but may
//! be busy, or hang.
//!
//! It is asked in HTTP/1.0, so that the body ends with the connection: no chunks, no pipelining, and nothing to parse but the first line.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

/// The most that an answer may have: some 2 KiB for each container.
const MOST: usize = 8 * 1024 * 1024;

/// Connects to the socket at `path`, without waiting for one whose queue is full.
pub fn connect(path: &Path, deadline: Instant) -> Result<UnixStream, String> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            format!("only root and the group of {} may ask it", path.display())
        }
        _ => format!("it cannot be asked: {error}"),
    };
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    // connect(2) of a unix socket waits for as long as a write may (SO_SNDTIMEO, unix(7)).
    socket.set_write_timeout(Some(left(deadline)?)).map_err(failed)?;
    socket.connect(&SockAddr::unix(path).map_err(failed)?).map_err(failed)?;
    Ok(UnixStream::from(std::os::fd::OwnedFd::from(socket)))
}

/// The body of a successful answer to `GET path`.
pub fn get(mut stream: UnixStream, path: &str, deadline: Instant) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => late(),
        _ => format!("it cannot be asked: {error}"),
    };
    let question = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\n\r\n");
    stream.set_write_timeout(Some(left(deadline)?)).map_err(failed)?;
    stream.write_all(question.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        stream.set_read_timeout(Some(left(deadline)?)).map_err(failed)?;
        match stream.read(&mut buffer) {
            Ok(0) => return body(answer),
            Ok(length) => answer.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
        if answer.len() > MOST {
            return Err("its answer is too long".to_owned());
        }
    }
}

/// What is left of the time, which no call takes as zero.
fn left(deadline: Instant) -> Result<Duration, String> {
    Some(deadline.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero()).ok_or_else(late)
}

fn late() -> String {
    "it did not answer in time".to_owned()
}

/// `HTTP/1.0 200 OK`, headers, an empty line, the body (RFC 1945, section 6).
fn body(mut answer: Vec<u8>) -> Result<Vec<u8>, String> {
    const END: &[u8] = b"\r\n\r\n";
    let end = answer.windows(END.len()).position(|window| window == END);
    let end = end.ok_or_else(|| "its answer is not HTTP".to_owned())?;
    let line = answer[..end].split(|&byte| byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line).into_owned();
    match line.split_once(' ') {
        Some((version, status)) if version.starts_with("HTTP/1.") && status.starts_with("200 ") => {
            Ok(answer.split_off(end + END.len()))
        }
        Some((version, status)) if version.starts_with("HTTP/1.") => Err(format!("it answers {status}")),
        _ => Err("its answer is not HTTP".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// What comes of a server that takes one connection, reads the question and does `serve`.
    fn answer_of(serve: impl FnOnce(UnixStream) + Send + 'static, patience: Duration) -> Result<Vec<u8>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = [0; 1024];
            let length = stream.read(&mut question).unwrap();
            assert!(question[..length].starts_with(b"GET /containers/json HTTP/1.0\r\n"));
            serve(stream);
        });
        let deadline = Instant::now() + patience;
        let answer = connect(&path, deadline).and_then(|stream| get(stream, "/containers/json", deadline));
        server.join().unwrap();
        answer
    }

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(100);

    fn of(text: &'static str) -> Result<Vec<u8>, String> {
        answer_of(move |mut stream| stream.write_all(text.as_bytes()).unwrap(), LONG)
    }

    #[test]
    fn the_body_of_a_successful_answer_is_taken() {
        assert_eq!(of("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n[]\r\n\r\n").unwrap(), b"[]\r\n\r\n");
        assert_eq!(of("HTTP/1.1 200 OK\r\n\r\n").unwrap(), b"");
        assert_eq!(of("HTTP/1.0 404 Not Found\r\n\r\n{}").unwrap_err(), "it answers 404 Not Found");
        for other in ["", "HTTP/1.0 200 OK", "SSH-2.0-OpenSSH_9.2\r\n\r\n", "\r\n\r\n", "HTTP/1.0\r\n\r\n"] {
            assert_eq!(of(other).unwrap_err(), "its answer is not HTTP", "{other:?}");
        }
    }

    #[test]
    fn nobody_waits_for_an_engine_that_is_silent_or_slow() {
        let silent = |mut stream: UnixStream| drop(stream.read(&mut [0]));
        assert_eq!(answer_of(silent, SHORT).unwrap_err(), late());
        // Each byte is in time, and all of them are not.
        let slow = |mut stream: UnixStream| while stream.write_all(b"H").is_ok() {};
        assert!(answer_of(slow, SHORT).is_err());
        let endless = |mut stream: UnixStream| while stream.write_all(&vec![b'x'; 64 * 1024]).is_ok() {};
        assert_eq!(answer_of(endless, LONG).unwrap_err(), "its answer is too long");
    }

    #[test]
    fn a_queue_that_is_full_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let _listener = UnixListener::bind(&path).unwrap();
        let mut waiting = Vec::new();
        let error = loop {
            match connect(&path, Instant::now() + SHORT) {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error,
            }
        };
        assert!(error.contains("it cannot be asked"), "{error}");
        assert!(connect(&directory.path().join("none"), Instant::now() + SHORT).is_err());
    }
}
