//! HTTP/1: status, server, title. The answer of a server of TLS to plain HTTP is one of TLS.

use super::{Answer, shortened};
use crate::model::Spoken;

/// How servers of TLS complain about plain HTTP: nginx, Apache, Go, Tomcat.
const WANT_TLS: [&str; 4] = [
    "plain http request was sent to https port",
    "speaking plain http to an ssl-enabled server port",
    "client sent an http request to an https server",
    "combination of host and port requires tls",
];

pub fn read(bytes: &[u8]) -> Option<Answer> {
    let (head, body) = split(bytes);
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let version = words.next()?.strip_prefix("HTTP/")?;
    let status: u16 = words.next()?.trim_end().parse().ok()?;
    if !version.starts_with(|first: char| first.is_ascii_digit()) || !(100..1000).contains(&status) {
        return None;
    }
    let body = String::from_utf8_lossy(body);
    let lower = body.to_ascii_lowercase();
    if status == 400 && WANT_TLS.iter().any(|complaint| lower.contains(complaint)) {
        return Some(Answer::new(Spoken::Tls));
    }
    let answer = Answer { status: Some(status), ..Answer::new(Spoken::Http) };
    let location = header(&head, "location").filter(|_| (300..400).contains(&status));
    Some(answer.by(header(&head, "server")).with("title", title(&body, &lower)).with("location", location))
}

/// Whether the rest of an answer would say nothing more.
pub fn is_whole(bytes: &[u8]) -> bool {
    let (head, body) = split(bytes);
    if head.len() == bytes.len() {
        return false;
    }
    let head = String::from_utf8_lossy(head);
    let is_text = header(&head, "content-type").is_none_or(|kind| kind.to_ascii_lowercase().contains("text/"));
    let length = header(&head, "content-length").and_then(|length| length.parse::<usize>().ok());
    let has_title = String::from_utf8_lossy(body).to_ascii_lowercase().contains("</title");
    let has_ended = body.ends_with(b"0\r\n\r\n") || length.is_some_and(|length| body.len() >= length);
    !is_text || has_title || has_ended
}

/// The head, and the body behind the empty line.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = |mark: &[u8]| bytes.windows(mark.len()).position(|window| window == mark).map(|at| at + mark.len());
    let at = [end(b"\r\n\r\n"), end(b"\n\n")].into_iter().flatten().min().unwrap_or(bytes.len());
    bytes.split_at(at)
}

fn header(head: &str, name: &str) -> Option<String> {
    let mut pairs = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let (_, value) = pairs.find(|(known, _)| known.trim().eq_ignore_ascii_case(name))?;
    Some(shortened(value.as_bytes()))
}

/// The title of a page. `lower` is the page in small letters, byte for byte.
fn title(body: &str, lower: &str) -> Option<String> {
    let start = lower.find("<title")?;
    let start = start + lower[start..].find('>')? + 1;
    let end = start + lower[start..].find("</title")?;
    let text = shortened(body.get(start..end)?.as_bytes());
    let signs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    Some(signs.iter().fold(text, |text, (written, meant)| text.replace(written, meant)))
}
