//! The pictures in docs/pictures: what the renderers write on facts made by hand, as SVG. A test
//! compares them, so they cannot be stale. `PORTCHECK_UPDATE=1 cargo test --lib` draws them again.

mod facts;
mod svg;

use std::path::PathBuf;

use super::{Style, write};
use crate::answer::Answer;
use crate::testing::expect_file;

fn expect_picture(name: &str, typed: &str, answer: &Answer) {
    let style = Style {
        width: Some(96),
        as_root: "sudo portcheck".to_owned(),
        now: facts::NOW,
        home: Some(PathBuf::from("/home/ada")),
        ..Style::default()
    };
    let mut out = format!("\u{1b}[2m$\u{1b}[0m {typed}\n").into_bytes();
    write(answer, &style, &mut out).unwrap();
    let picture = svg::of(&format!("What {typed} prints"), std::str::from_utf8(&out).unwrap());
    expect_file(&format!("docs/pictures/{name}.svg"), &picture);
}

#[test]
fn a_report() {
    expect_picture("report", "portcheck 3000/tcp", &facts::report());
}

#[test]
fn a_list() {
    expect_picture("list", "portcheck", &facts::list());
}

#[test]
fn a_container() {
    expect_picture("container", "portcheck 8081/tcp", &facts::container());
}

#[test]
fn a_tunnel() {
    expect_picture("tunnel", "portcheck 15432/tcp", &facts::tunnel());
}

#[test]
fn reach() {
    expect_picture("reach", "sudo portcheck reach 8080/tcp", &facts::reach());
}
