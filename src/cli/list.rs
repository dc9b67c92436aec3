//! `portcheck`, or `portcheck list`: what is in use on this machine?

use std::ffi::OsString;

use clap::Args;
use strum::VariantNames;

use super::common::{self, Narrow, Output, Owned, Plain, Where};
use super::names::{AllFormats, named};
use super::rules::Rule;
use super::{Stop, Wish, help};
use crate::classify::Class;
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
    #[command(flatten)]
    owned: Owned,
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
        let filter = Filter { class: self.class, exposed: self.exposed, ..self.owned.filter()? };
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
