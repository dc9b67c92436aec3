//! Options that several commands share, and what they mean.

use std::ffi::OsString;
use std::marker::PhantomData;

use clap::{Args, ColorChoice};
use strum::VariantNames;

use super::names::{Formats, named};
use super::{Stop, caller};
use crate::collect::{self, Detail, Namespaces};
use crate::model::{Backend, Family, Protocol};
use crate::query;
use crate::render::{Format, Style};
use crate::request::{Order, Request};
use crate::target::Target;
use crate::terminal::Printing;

/// The forms that a target has.
macro_rules! target_forms {
    () => {
        "8080, 3000-3010, 80,443, 53/udp, 127.0.0.1:80, [::1]:80, localhost:80, a URL, a service name"
    };
}
pub(super) use target_forms;

/// The help of every argument that is a target.
pub const TARGET: &str = concat!("Ports: ", target_forms!());

/// Which protocols and families to look at.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Selecting")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that a person types")]
pub struct Narrow {
    /// TCP only
    #[arg(long)]
    pub tcp: bool,
    /// UDP only
    #[arg(long)]
    pub udp: bool,
    #[arg(short = '4', help = "IPv4 only (including dual-stack [::])")]
    pub ipv4: bool,
    /// IPv6 only
    #[arg(short = '6')]
    pub ipv6: bool,
}

impl Narrow {
    /// The only protocol to look at; `None` for both.
    pub const fn protocol(&self) -> Option<Protocol> {
        match (self.tcp, self.udp) {
            (true, false) => Some(Protocol::Tcp),
            (false, true) => Some(Protocol::Udp),
            _ => None,
        }
    }

    /// The protocols to look at.
    pub fn protocols(&self) -> Vec<Protocol> {
        self.protocol().map_or_else(|| Protocol::ALL.to_vec(), |only| vec![only])
    }

    /// The only family to look at; `None` for both.
    pub const fn family(&self) -> Option<Family> {
        match (self.ipv4, self.ipv6) {
            (true, false) => Some(Family::Ipv4),
            (false, true) => Some(Family::Ipv6),
            _ => None,
        }
    }
}

/// In which network namespaces to look.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where")]
pub struct Where {
    /// Look in all network namespaces of this machine: in containers, too
    #[arg(short = 'A', long, conflicts_with = "inside")]
    all_namespaces: bool,
    /// Look from inside WHERE: a container, a pid, a name of 'ip netns' or a namespace file
    #[arg(long = "in", value_name = "WHERE")]
    inside: Option<String>,
}

impl Where {
    /// What it means on this machine. What is read afterwards is read inside.
    pub fn namespaces(&self) -> Result<Namespaces, Stop> {
        match &self.inside {
            Some(typed) => Ok(collect::enter(typed).map_err(Stop::Usage)?.map_or(Namespaces::Own, Namespaces::Inside)),
            None if self.all_namespaces => Ok(Namespaces::All),
            None => Ok(Namespaces::Own),
        }
    }

    /// Whether only the native backend can look there.
    pub const fn needs_native(&self) -> bool {
        self.all_namespaces || self.inside.is_some()
    }
}

/// What is said of the other backend then.
pub const NEEDS_NATIVE: &str = "the portable backend sees one network namespace only: leave --backend out";

/// What is said of other formats with columns chosen.
pub const COLUMNS_ARE_OF_TABLES: &str = "--columns is for the table: other formats always have all columns";

/// What is said of other formats with a summary.
pub const SUMMARY_FORMATS: &str = "--summary prints a table or JSON: leave --format out, or write --format json";

/// How to print. `F` is the formats that a command has.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that a person types")]
pub struct Output<F: Formats> {
    /// Print JSON; the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = named::<Format>(F::NAMES))]
    format: Format,
    #[arg(skip)]
    formats: PhantomData<F>,
    /// When to use colour; auto honours NO_COLOR
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
    /// Print nothing: the exit code is the answer
    #[arg(short, long, conflicts_with_all = ["json", "format", "verbose"])]
    quiet: bool,
    /// Show all facts
    #[arg(short, long)]
    pub verbose: bool,
    /// Exit with 0 whatever the answer is; errors stay errors
    #[arg(long, conflicts_with = "quiet")]
    exit_zero: bool,
}

impl<F: Formats> Output<F> {
    /// The format to print.
    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }

    /// When to use colour.
    pub const fn color(&self) -> anstream::ColorChoice {
        color(self.color)
    }

    /// How to print the answer; `None` for not at all. `as_root` is what asks the same question.
    pub fn style(&self, as_root: &[OsString]) -> Option<Style> {
        (!self.quiet).then(|| Style {
            format: self.format(),
            width: caller::terminal_width(),
            verbose: self.verbose,
            exit_zero: self.exit_zero,
            connections: false,
            order: Order::default(),
            columns: Vec::new(),
            connection_columns: Vec::new(),
            as_root: caller::as_root(as_root),
            now: Style::present(),
            home: std::env::home_dir(),
        })
    }

    /// Both, for a command that root would be told nothing more by.
    pub fn printing(&self) -> Printing {
        Printing { style: self.style(&[]), color: self.color() }
    }

    /// How much has to be known of the owners. The report on a single port needs all.
    pub fn detail(&self, targets: &[Target]) -> Detail {
        let port = targets.first().map(|target| target.first);
        let is_one = |target: &Target| Some(target.first) == port && Some(target.last) == port;
        let is_report = port.is_some() && targets.iter().all(is_one);
        match (self.quiet, self.format()) {
            (true, _) => Detail::Nothing,
            (_, Format::Json | Format::Ndjson) => Detail::Full,
            (_, Format::Table) if self.verbose || is_report => Detail::Full,
            _ => Detail::Brief,
        }
    }
}

/// Printing so little that another command can use it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Plain {
    /// Print only process ids, one a line; likely holders are left out
    #[arg(long, conflicts_with_all = ["json", "format", "quiet", "verbose", "count"])]
    pids: bool,
    /// Print only the number of rows
    #[arg(long, conflicts_with_all = ["json", "format", "quiet", "verbose"])]
    count: bool,
}

impl Plain {
    /// The format, if one of them was asked for.
    pub const fn format(&self) -> Option<Format> {
        match (self.pids, self.count) {
            (true, _) => Some(Format::Pids),
            (_, true) => Some(Format::Count),
            _ => None,
        }
    }

    /// How much has to be known of the owners then.
    pub fn detail(&self) -> Option<Detail> {
        self.format().map(|_| Detail::Brief)
    }

    /// The style with that format.
    pub fn style(&self, style: Style) -> Style {
        Style { format: self.format().unwrap_or(style.format), ..style }
    }
}

/// The same choice for the writer of the output.
pub const fn color(choice: ColorChoice) -> anstream::ColorChoice {
    match choice {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    }
}

/// How to look at a port.
#[derive(Debug, Args)]
#[command(next_help_heading = "How to look")]
pub struct Look {
    /// Assume that your server sets SO_REUSEADDR, as most do: then TIME_WAIT does not block it
    #[arg(long, conflicts_with = "no_probe")]
    pub reuse_addr: bool,
    /// Do not try to bind the port; judge by the socket tables alone
    #[arg(long)]
    pub no_probe: bool,
    /// Stop at the first holder: faster on busy machines, but others may share the socket
    #[arg(long)]
    pub quick: bool,
    /// Where to read the sockets from: the kernel, or netstat2 and sysinfo
    #[arg(long, value_name = "BACKEND", default_value = "native", value_parser = named::<Backend>(Backend::VARIANTS))]
    pub backend: Backend,
}

/// A question with nothing special about it.
pub fn request(targets: Vec<Target>, narrow: &Narrow) -> Request {
    let (protocols, family) = (narrow.protocols(), narrow.family());
    Request { protocols, family, program: caller::program(), ..query::request(targets) }
}
