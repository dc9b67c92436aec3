//! The pictures in docs/pictures: what the renderers write on facts made by hand, as SVG. A test
//! compares them, so they cannot be stale. `PORTCHECK_UPDATE=1 cargo test --lib` draws them again.

mod facts;
mod svg;

use std::path::PathBuf;

use super::{Style, write};
use crate::answer::Answer;
use crate::testing::expect_file;

fn expect_picture(name: &str, typed: &str, answer: &Answer) {
    let text = format!("\u{1b}[2m$\u{1b}[0m {typed}\n{}", printed(answer, 96));
    expect_svg(name, &format!("What {typed} prints"), &text);
}

/// Compares the picture of a text with colours.
pub fn expect_svg(name: &str, about: &str, text: &str) {
    expect_file(&format!("docs/pictures/{name}.svg"), &svg::of(about, text));
}

/// What is printed about npm run dev.
pub fn report(width: u16) -> String {
    printed(&facts::report(), width)
}

fn printed(answer: &Answer, width: u16) -> String {
    let style = Style {
        width: Some(width),
        as_root: "sudo portcheck".to_owned(),
        now: facts::NOW,
        home: Some(PathBuf::from("/home/ada")),
        ..Style::default()
    };
    let mut out = Vec::new();
    write(answer, &style, &mut out).unwrap();
    String::from_utf8(out).unwrap()
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
