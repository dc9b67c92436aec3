//! The names of projects, by the files that describe them. Each of them needs one key of its file.

use serde_json::Value;

use crate::model::ProjectKind;

/// npm allows no longer ones.
const LONGEST: usize = 214;

/// The name that a file of this kind gives to its project.
pub fn of(kind: ProjectKind, bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let name = match kind {
        ProjectKind::Npm => json(text)?.get("name")?.as_str()?.to_owned(),
        ProjectKind::Cargo => toml(text, &["package"])?,
        ProjectKind::Python => toml(text, &["project", "tool.poetry"])?,
        ProjectKind::Go => go(text)?.to_owned(),
        ProjectKind::Maven => maven(text)?.to_owned(),
        ProjectKind::Compose => compose(text)?.to_owned(),
        ProjectKind::Git => return None,
    };
    plain(&name)
}

/// A name that is worth showing.
pub fn plain(name: &str) -> Option<String> {
    let name = name.trim();
    let is_plain = !name.is_empty() && name.chars().count() <= LONGEST && !name.chars().any(char::is_control);
    is_plain.then(|| name.to_owned())
}

/// Whether a package.json has a script of this name.
pub fn has_script(bytes: &[u8], name: &str) -> bool {
    let scripts = |text| json(text)?.get("scripts")?.get(name).map(drop);
    std::str::from_utf8(bytes).ok().and_then(scripts).is_some()
}

fn json(text: &str) -> Option<Value> {
    // Editors of Windows put a mark before the text.
    serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()
}

/// The `name` in one of these tables, if it is a string without escapes.
fn toml(text: &str, tables: &[&str]) -> Option<String> {
    let mut is_inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            let table = header.split(']').next().unwrap_or_default().trim();
            is_inside = tables.contains(&table);
        } else if let Some((key, value)) = line.split_once('=').filter(|_| is_inside)
            && key.trim() == "name"
        {
            return quoted(value.trim()).filter(|name| !name.contains('\\')).map(str::to_owned);
        }
    }
    None
}

/// What stands in the quotes at the start of a text.
fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    text[1..].split(quote).next().filter(|inside| inside.len() + 2 <= text.len())
}

/// The last part of the path of a module, without its major version: `shop` of
/// `module example.com/shop/v2`.
fn go(text: &str) -> Option<&str> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix("module "))?;
    let path = line.split("//").next()?.trim().trim_matches('"');
    let is_version = |part: &&str| {
        part.strip_prefix('v').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    path.rsplit('/').find(|part| !is_version(part))
}

/// The `artifactId` of the project itself: it stands before everything that has one too, but for the
/// parent.
fn maven(text: &str) -> Option<&str> {
    let own = match text.split_once("<parent>") {
        Some((before, rest)) if !before.contains("<artifactId>") => rest.split_once("</parent>")?.1,
        _ => text,
    };
    let (before, rest) = own.split_once("<artifactId>")?;
    let is_own = !["<dependenc", "<build>", "<profiles>", "<!--"].iter().any(|other| before.contains(other));
    rest.split_once('<').map(|(name, _)| name).filter(|name| is_own && !name.contains('$'))
}

/// The `name` at the top of a compose file, unless it has variables.
fn compose(text: &str) -> Option<&str> {
    let value = text.lines().find_map(|line| line.strip_prefix("name:"))?.trim();
    let name = quoted(value).unwrap_or_else(|| value.split(" #").next().unwrap_or_default().trim());
    (!name.contains('$')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_by_their_files() {
        use ProjectKind::{Cargo, Compose, Git, Go, Maven, Npm, Python};
        let pom = "<project><parent><artifactId>all</artifactId></parent><artifactId>shop</artifactId><dependencies>";
        for (kind, text, expected) in [
            (Npm, r#"{"name": "shop-frontend", "scripts": {}}"#, "shop-frontend"),
            (Npm, "\u{feff}{\"name\": \"@shop/web\"}", "@shop/web"),
            (Npm, r#"{"name": 7}"#, ""),
            (Npm, r#"{"name": "\u001b[31mshop"}"#, ""),
            (Npm, r#"{"name": " "}"#, ""),
            (Npm, "name", ""),
            (Cargo, "[package]\nname = \"web\" # here\nversion = \"1\"", "web"),
            (Cargo, "[workspace]\nname = \"no\"\n[ package ]\n name='web'", "web"),
            (Cargo, "[package]\nname.workspace = true", ""),
            (Cargo, "[package]\nname = \"web", ""),
            (Cargo, "[package]\nname = \"\\u001b\"", ""),
            (Cargo, "[[bin]]\nname = \"no\"", ""),
            (Python, "[build-system]\nx = 1\n[project]\nname = \"shop\"", "shop"),
            (Python, "[tool.poetry]\nname = \"shop\"", "shop"),
            (Go, "// x\nmodule example.com/shop/v2 // y\n\ngo 1.24", "shop"),
            (Go, "module shop", "shop"),
            (Go, "go 1.24", ""),
            (Maven, pom, "shop"),
            (Maven, "<project><dependencies><artifactId>no</artifactId>", ""),
            (Maven, "<artifactId>${x}</artifactId>", ""),
            (Compose, "services:\n  name: no\nname: shop # it\n", "shop"),
            (Compose, "name: 'shop'", "shop"),
            (Compose, "name: ${NAME:-shop}", ""),
            (Git, "x", ""),
        ] {
            assert_eq!(of(kind, text.as_bytes()).unwrap_or_default(), expected, "{kind:?} {text}");
        }
    }

    /// None of these may panic, or give a name.
    #[test]
    fn hostile_files_have_no_name() {
        let deep = "[".repeat(60_000);
        for kind in [
            ProjectKind::Npm,
            ProjectKind::Cargo,
            ProjectKind::Python,
            ProjectKind::Go,
            ProjectKind::Maven,
            ProjectKind::Compose,
        ] {
            for bytes in
                [&b""[..], b"\xff\xfe", b"\0", deep.as_bytes(), b"name =", b"[package]\nname = '", "é\"".as_bytes()]
            {
                assert_eq!(of(kind, bytes), None, "{kind:?}");
            }
        }
        assert!(has_script(br#"{"scripts": {"dev": "vite"}}"#, "dev"));
        assert!(!has_script(br#"{"scripts": {"dev": "vite"}}"#, "start") && !has_script(b"\xff", "dev"));
    }
}
