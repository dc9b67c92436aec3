//! The configuration of nginx: `server { listen 80; server_name shop.example; }`, with its includes.

use std::path::{Path, PathBuf};

use super::{Files, first_of, option};
use crate::model::VirtualHost;

/// Where the configuration is unless it is named: in Debian and Red Hat, BSD and macOS, and as nginx itself has it.
const PLACES: [&str; 4] = [
    "/etc/nginx/nginx.conf",
    "/usr/local/etc/nginx/nginx.conf",
    "/opt/homebrew/etc/nginx/nginx.conf",
    "/usr/local/nginx/conf/nginx.conf",
];

/// How deep blocks and includes may go.
const DEEPEST: usize = 32;

/// The sites of an nginx with this command line. The master's is its title: `nginx: master process nginx -c FILE`.
pub fn hosts(command: &[String], files: &mut Files) -> Option<Vec<VirtualHost>> {
    let words: Vec<&str> = command.iter().flat_map(|argument| argument.split_ascii_whitespace()).collect();
    if words.contains(&"worker") {
        return None;
    }
    let prefix = option(&words, "-p").map(PathBuf::from);
    let named = option(&words, "-c").map(|file| prefix.unwrap_or_default().join(file));
    let file = named.filter(|file| file.is_absolute()).or_else(|| first_of(&PLACES))?;
    let mut sites = Vec::new();
    let base = file.parent().unwrap_or(Path::new("/")).to_owned();
    let mut reader = Reader { files, base: &base, sites: &mut sites, upstreams: Vec::new() };
    reader.file(&file, DEEPEST);
    let upstreams = reader.upstreams;
    for site in &mut sites {
        let group = |name: &String| upstreams.iter().find(|(own, _)| own == name).map(|(_, servers)| servers.clone());
        site.passes_to = site.passes_to.iter().flat_map(|to| group(to).unwrap_or_else(|| vec![to.clone()])).collect();
    }
    Some(sites)
}

/// What a configuration is made of.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `;`
    End,
    /// `{`
    Open,
    /// `}`
    Close,
}

struct Reader<'a> {
    files: &'a mut Files,
    /// What includes are relative to.
    base: &'a Path,
    sites: &'a mut Vec<VirtualHost>,
    /// Groups of servers by name.
    upstreams: Vec<(String, Vec<String>)>,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, deeper: usize) {
        let Some(text) = self.files.read(path) else { return };
        let tokens = tokens(&text);
        self.block(&mut tokens.iter(), path, None, deeper);
    }

    /// Reads directives up to the end of the block. `site` is the server that they belong to.
    fn block<'t>(
        &mut self,
        tokens: &mut impl Iterator<Item = &'t (Token, usize)>,
        path: &Path,
        mut site: Option<&mut VirtualHost>,
        deeper: usize,
    ) {
        let mut words: Vec<&str> = Vec::new();
        let mut start = 0;
        while let Some((token, line)) = tokens.next() {
            match token {
                Token::Word(word) => {
                    start = if words.is_empty() { *line } else { start };
                    words.push(word);
                }
                Token::End => {
                    self.directive(&words, site.as_deref_mut(), deeper);
                    words.clear();
                }
                Token::Close => return,
                Token::Open if deeper == 0 => return,
                Token::Open if words == ["server"] => {
                    let mut own = VirtualHost::at("nginx", path, start);
                    self.block(tokens, path, Some(&mut own), deeper - 1);
                    if own.ports.is_empty() {
                        own.ports.push((80, 80));
                    }
                    self.sites.push(own);
                    words.clear();
                }
                Token::Open if words.first() == Some(&"upstream") => {
                    let mut own = VirtualHost::at("nginx", path, start);
                    self.block(tokens, path, Some(&mut own), deeper - 1);
                    self.upstreams.push((words.get(1).copied().unwrap_or_default().to_owned(), own.passes_to));
                    words.clear();
                }
                Token::Open => {
                    self.block(tokens, path, None, deeper - 1);
                    words.clear();
                }
            }
        }
    }

    fn directive(&mut self, words: &[&str], site: Option<&mut VirtualHost>, deeper: usize) {
        match (words, site) {
            (["include", pattern], site) if deeper > 0 => {
                // What a server includes is part of it.
                let is_within = site.is_some();
                for file in Files::matching(self.base, pattern) {
                    if !is_within {
                        self.file(&file, deeper - 1);
                    }
                }
            }
            // In a server of `stream`, and in an upstream.
            (["proxy_pass", place] | ["server", place, ..], Some(site)) => site.passes_to.push((*place).to_owned()),
            (["listen", place, ..], Some(site)) => site.ports.extend(ports(place)),
            (["server_name", names @ ..], Some(site)) => {
                let named = names.iter().filter(|name| !matches!(**name, "" | "_"));
                site.names.extend(named.map(ToString::to_string));
            }
            _ => {}
        }
    }
}

/// `80`, `*:80`, `[::]:443`, `localhost:8000-8010`. An address alone means port 80.
fn ports(place: &str) -> Option<(u16, u16)> {
    if place.starts_with("unix:") {
        return None;
    }
    let after = place.rsplit_once(']').map_or(place, |(_, rest)| rest);
    let text = after.rsplit_once(':').map_or(after, |(_, port)| port);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) => Some((first, last)),
        _ => Some((80, 80)),
    }
}

/// Words, quoted or not, and punctuation, each with its line. Blocks of Lua are left out.
fn tokens(text: &str) -> Vec<(Token, usize)> {
    let mut tokens: Vec<(Token, usize)> = Vec::new();
    let (mut line, mut chars) = (1, text.chars().peekable());
    while let Some(char) = chars.next() {
        match char {
            '\n' => line += 1,
            _ if char.is_whitespace() => {}
            '#' => while chars.next_if(|&next| next != '\n').is_some() {},
            ';' => tokens.push((Token::End, line)),
            '}' => tokens.push((Token::Close, line)),
            '{' if is_lua(tokens.last()) => {
                skip_block(&mut chars, &mut line);
                tokens.push((Token::End, line));
            }
            '{' => tokens.push((Token::Open, line)),
            '"' | '\'' => {
                let word: String = std::iter::from_fn(|| chars.next_if(|&next| next != char)).collect();
                chars.next();
                line += word.matches('\n').count();
                tokens.push((Token::Word(word), line));
            }
            _ => {
                let is_part = |next: &char| !next.is_whitespace() && !matches!(next, ';' | '{' | '}');
                let rest: String = std::iter::from_fn(|| chars.next_if(is_part)).collect();
                tokens.push((Token::Word(format!("{char}{rest}")), line));
            }
        }
    }
    tokens
}

fn is_lua(last: Option<&(Token, usize)>) -> bool {
    matches!(last, Some((Token::Word(word), _)) if word.ends_with("_by_lua_block"))
}

fn skip_block(chars: &mut impl Iterator<Item = char>, line: &mut usize) {
    let mut open = 1;
    for char in chars {
        match char {
            '{' => open += 1,
            '}' => open -= 1,
            '\n' => *line += 1,
            _ => {}
        }
        if open == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_with_their_includes() {
        let directory = tempfile::tempdir().unwrap();
        let main = directory.path().join("nginx.conf");
        std::fs::create_dir(directory.path().join("sites")).unwrap();
        let text = "user www; # server { listen 1; }\nhttp {\n  include sites/*.conf;\n  server {\n    listen 80 default_server;\n    \
            listen [::]:80; listen unix:/x;\n    server_name shop.example \"www.shop.example\" _;\n    location / { \
            content_by_lua_block { x = {1; 2} } return 404; }\n  }\n}\nstream { upstream db { server 10.0.0.1:5432 weight=5; }\n server { listen 127.0.0.1:5000-5010; proxy_pass db; } }\n";
        std::fs::write(&main, text).unwrap();
        std::fs::write(directory.path().join("sites/a.conf"), "\nserver { server_name a; }\n").unwrap();
        // A circle, which nginx would refuse.
        std::fs::write(directory.path().join("sites/b.conf"), "include ../nginx.conf;").unwrap();
        let command = [format!("nginx: master process nginx -c {}", main.display())];
        let sites = hosts(&command, &mut Files::default()).unwrap();
        let found: Vec<String> = sites
            .iter()
            .map(|site| format!("{} {:?} {} {:?}", site.names.join(" "), site.ports, site.line, site.passes_to))
            .collect();
        let expected = [
            "a [(80, 80)] 2 []",
            "shop.example www.shop.example [(80, 80), (80, 80)] 4 []",
            " [(5000, 5010)] 12 [\"10.0.0.1:5432\"]",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn nothing_malformed_makes_it_panic() {
        for text in
            ["{{{{", "}}}}", "server", "server {", "\"", "listen", "server { listen ; }", "a_by_lua_block {", "#"]
        {
            let tokens = tokens(text);
            let mut sites = Vec::new();
            let mut files = Files::default();
            let mut reader =
                Reader { files: &mut files, base: Path::new("/"), sites: &mut sites, upstreams: Vec::new() };
            reader.block(&mut tokens.iter(), Path::new("x"), None, DEEPEST);
        }
        let deep = "a {".repeat(100_000);
        let tokens = tokens(&deep);
        let (mut files, mut sites) = (Files::default(), Vec::new());
        let mut reader = Reader { files: &mut files, base: Path::new("/"), sites: &mut sites, upstreams: Vec::new() };
        reader.block(&mut tokens.iter(), Path::new("x"), None, DEEPEST);
    }
}
