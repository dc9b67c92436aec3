//! `portcheck man [COMMAND]`: manual pages, from the definitions that read the command line.

use std::io::Write;

use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Stop, Wish, definition, help};

/// When the pages last changed, as man(7) wants it: the day of the release.
const DATE: &str = "2026-11-28";

const FILES: [(&str, &str); 5] = [
    ("/proc", "Processes, the sockets that they have open, and network namespaces."),
    ("/etc/services", "Names of ports. They come before those that portcheck knows by itself."),
    ("/run/netns", "Namespaces of ip-netns(8), for --in and --all-namespaces."),
    ("/run/docker.sock", "Docker is asked here for its containers, only while its process runs."),
    ("package.json, Makefile, .git/HEAD and the like", "In the directories of processes: what the project is called."),
];

const OTHERS: [(&str, &str); 4] = [("ss", "8"), ("lsof", "8"), ("fuser", "1"), ("ip-netns", "8")];

#[derive(Debug, Args)]
#[command(after_help = help::styled(help::MAN))]
pub struct ManArgs {
    /// Whose page; without it, the page of portcheck itself
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

impl ManArgs {
    /// What it asks for.
    pub fn resolve(&self) -> Result<Wish, Stop> {
        let pages = definition();
        match &self.command {
            None => Ok(Wish::Page(page(&pages, &pages))),
            Some(name) => match words(&pages).find(|word| word.get_name() == name) {
                Some(word) => Ok(Wish::Page(page(word, &pages))),
                None => Err(Stop::Usage(format!("no command '{name}': portcheck --help lists them"))),
            },
        }
    }
}

/// The commands that have a page.
fn words(pages: &Command) -> impl Iterator<Item = &Command> {
    pages.get_subcommands().filter(|word| !word.is_hide_set() && word.get_name() != "help")
}

/// The page of a command, or of the program.
fn page(command: &Command, pages: &Command) -> String {
    let is_program = command.get_name() == pages.get_name();
    let man = man(command, is_program);
    let mut page = Vec::new();
    // Writing to memory does not fail.
    let _ = man.render_title(&mut page);
    let _ = man.render_name_section(&mut page);
    let _ = man.render_synopsis_section(&mut page);
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let _ = man.render_description_section(&mut page);
    let mut rest = Roff::new();
    if is_program {
        paragraphs(&mut rest, &help::notes(help::AFTER));
        list_of_words(&mut rest, pages);
        plain(&mut rest, "OPTIONS", &help::block("Common options", help::AFTER));
    } else {
        paragraphs(&mut rest, &help::notes(&text));
        page.extend_from_slice(rest.to_roff().as_bytes());
        rest = Roff::new();
        let _ = man.render_options_section(&mut page);
    }
    plain(&mut rest, "EXAMPLES", &help::block("Examples", &text));
    plain(&mut rest, "EXIT STATUS", &help::block("Exit codes", help::AFTER));
    pairs(&mut rest, "FILES", &FILES);
    see_also(&mut rest, command, pages);
    let _ = page.write_all(rest.to_roff().as_bytes());
    // clap_mangen breaks lines where a paragraph breaks anyway, which mandoc(1) complains about.
    String::from_utf8_lossy(&page)
        .replace(".br\n\n.br\n", ".sp\n")
        .replace(".br\n.sp", ".sp")
        .replace(".sp\n.br\n", ".sp\n")
}

fn man(command: &Command, is_program: bool) -> Man {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let usage = if is_program {
        "portcheck [TARGET]... [OPTIONS]\nportcheck COMMAND [ARGUMENTS] [OPTIONS]".to_owned()
    } else {
        let usage = command.clone().render_usage().to_string();
        usage.trim_start_matches("Usage:").trim().to_owned()
    };
    let title = name.to_uppercase();
    let source = concat!("portcheck ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone().override_usage(usage));
    man.title(title).section("1").date(DATE).source(source).manual("portcheck")
}

fn paragraphs(page: &mut Roff, paragraphs: &[&str]) {
    for paragraph in paragraphs {
        page.control("PP", []);
        for line in paragraph.lines() {
            page.text([roman(line.trim())]);
        }
    }
}

/// Lines that stay as they are.
fn plain(page: &mut Roff, heading: &str, lines: &[&str]) {
    if lines.is_empty() {
        return;
    }
    page.control("SH", [heading]);
    page.control("nf", []);
    for line in lines {
        page.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
    }
    page.control("fi", []);
}

fn pairs(page: &mut Roff, heading: &str, pairs: &[(&str, &str)]) {
    page.control("SH", [heading]);
    for (name, about) in pairs {
        page.control("TP", []);
        page.text([bold(*name)]);
        page.text([roman(*about)]);
    }
}

fn list_of_words(page: &mut Roff, pages: &Command) {
    let about = |word: &Command| word.get_about().map(ToString::to_string).unwrap_or_default();
    let words: Vec<(&str, String)> = words(pages).map(|word| (word.get_name(), about(word))).collect();
    let words: Vec<(&str, &str)> = words.iter().map(|(name, about)| (*name, &**about)).collect();
    pairs(page, "COMMANDS", &words);
}

fn see_also(page: &mut Roff, command: &Command, pages: &Command) {
    page.control("SH", ["SEE ALSO"]);
    let own = [pages].into_iter().chain(words(pages)).filter(|other| other.get_name() != command.get_name());
    let own = own.map(|other| other.get_display_name().unwrap_or_else(|| other.get_name()));
    let all: Vec<(&str, &str)> = own.map(|name| (name, "1")).chain(OTHERS).collect();
    for (at, (name, section)) in all.iter().enumerate() {
        let end = if at + 1 == all.len() { "" } else { "," };
        page.text([bold(*name), roman(format!("({section}){end}"))]);
    }
}
