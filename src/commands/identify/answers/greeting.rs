//! Lines with which servers greet: SSH, SMTP, FTP, POP3, IMAP.

use super::{Answer, line, shortened};
use crate::model::Spoken;

/// The ports of FTP, and those of SMTP.
const FTP: [u16; 2] = [21, 990];
const SMTP: [u16; 4] = [25, 465, 587, 2525];

pub fn read(bytes: &[u8], port: u16) -> Option<Answer> {
    let line = line(bytes)?;
    if let Some(software) = line.strip_prefix("SSH-").and_then(|rest| rest.split_once('-')) {
        return Some(Answer::new(Spoken::Ssh).by(Some(shortened(software.1.as_bytes()))));
    }
    let after = |start: &str| line.strip_prefix(start).map(|rest| shortened(rest.as_bytes()));
    let told = |spoken, text: String| Some(Answer::new(spoken).with("greeting", Some(text)));
    if let Some(text) = after("* OK").or_else(|| after("* PREAUTH")) {
        return told(Spoken::Imap, text);
    }
    if let Some(text) = after("+OK") {
        return told(Spoken::Pop3, text);
    }
    let text = after("220 ").or_else(|| after("220-")).or_else(|| after("554 "))?;
    let whole = String::from_utf8_lossy(bytes).to_ascii_uppercase();
    match () {
        () if whole.contains("SMTP") || SMTP.contains(&port) => told(Spoken::Smtp, text),
        () if whole.contains("FTP") || FTP.contains(&port) => told(Spoken::Ftp, text),
        // Several protocols greet with this number.
        () => None,
    }
}
