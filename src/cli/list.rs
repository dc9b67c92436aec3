//! `portcheck`, or `portcheck list`: what is in use on this machine?

use std::ffi::OsString;

use clap::Args;
use strum::VariantNames;

use super::common::{self, Narrow, Output, Plain, Where};
use super::names::{AllFormats, named, parse_pid};
use super::rules::Rule;
use super::{Stop, Wish, help};
use crate::classify::Class;
use crate::collect;
use crate::model::Backend;
use crate::render::Style;
use crate::request::{Filter, Request, Sort};
use crate::terminal::Printing;

#[derive(Debug, Args)]
#[command(next_help_heading = "Selecting", after_help = help::styled(help::LIST))]
pub struct ListArgs {
    #[command(flatten)]
    narrow: Narrow,
    /// Show connections, too
    #[arg(long)]
    all: bool,
    /// Only what these processes hold
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = parse_pid)]
    pid: Vec<u32>,
    /// Only what processes with NAME in their name or command line hold
    #[arg(long, value_name = "NAME")]
    process: Option<String>,
    /// Only what this user holds, by name or id
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only ports of this class
    #[arg(long, value_name = "CLASS", value_parser = named::<Class>(Class::VARIANTS))]
    class: Option<Class>,
    /// Only what other machines can reach by its address; 'portcheck reach' asks the firewall, too
    #[arg(long)]
    exposed: bool,
    /// Sort by this column
    #[arg(long, value_name = "COLUMN", default_value = "port", hide_default_value = true, value_parser = named::<Sort>(Sort::VARIANTS))]
    sort: Sort,
    #[command(flatten)]
    place: Where,
    /// Where to read the sockets from: the kernel, or netstat2 and sysinfo
    #[arg(long, value_name = "BACKEND", default_value = "native", value_parser = named::<Backend>(Backend::VARIANTS), help_heading = "How to look")]
    backend: Backend,
    /// A list binds nothing anyway
    #[arg(long, hide = true)]
    no_probe: bool,
    #[command(flatten)]
    plain: Plain,
    #[command(flatten)]
    output: Output<AllFormats>,
}

/// What does not go together.
pub const RULES: &[Rule<ListArgs>] = &[Rule {
    example: "list --all-namespaces --backend portable",
    is_broken: |list| list.place.needs_native() && matches!(list.backend, Backend::Portable),
    message: common::NEEDS_NATIVE,
}];

impl ListArgs {
    /// What it asks; `typed` is the command line.
    pub fn resolve(self, typed: &[OsString]) -> Result<Wish, Stop> {
        let namespaces = self.place.namespaces()?;
        let filter =
            Filter { pids: self.pid, process: self.process, user: self.user, class: self.class, exposed: self.exposed };
        require_owners(&filter)?;
        let sort = self.sort;
        let request = Request {
            connections: self.all,
            detail: self.plain.detail().unwrap_or_else(|| self.output.detail(&[])),
            backend: self.backend,
            probe: !self.no_probe,
            namespaces,
            ..common::request(Vec::new(), &self.narrow)
        };
        let style = self.output.style(typed).map(|style| Style { connections: self.all, ..self.plain.style(style) });
        let printing = Printing { style, color: self.output.color() };
        Ok(Wish::List(request, filter, sort, printing))
    }
}

/// The processes and the user that a listing is narrowed to have to exist: an empty list would say
/// something else.
pub fn require_owners(filter: &Filter) -> Result<(), Stop> {
    if let Some(pid) = filter.pids.iter().find(|&&pid| !collect::is_process(pid)) {
        return Err(Stop::Usage(format!("--pid: no process has the id {pid}")));
    }
    match &filter.user {
        // Not every id has a name.
        Some(user) if user.parse::<u32>().is_err() && !collect::is_user(user) => {
            Err(Stop::Usage(format!("--user: this machine has no user '{user}'; an id such as 1000 works too")))
        }
        _ => Ok(()),
    }
}
