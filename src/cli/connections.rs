//! `portcheck connections`: who is connected to whom?

use std::ffi::OsString;

use clap::Args;
use strum::VariantNames;

use super::common::{self, Narrow, Output, Owned, Plain, Where};
use super::names::{ListFormats, NativeOnly, named};
use super::{Stop, Wish, help, targets};
use crate::model::State;
use crate::render::Style;
use crate::request::{AddressPattern, By, Order, Request, Wanted};
use crate::terminal::Printing;

#[derive(Debug, Args)]
#[command(next_help_heading = "Selecting", after_help = help::styled(help::CONNECTIONS))]
pub struct ConnectionsArgs {
    #[arg(value_name = "TARGET", help = common::TARGET, help_heading = None)]
    targets: Vec<String>,
    #[command(flatten)]
    narrow: Narrow,
    /// Show remnants in TIME_WAIT, too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    owned: Owned,
    /// Only those in these states
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = named::<State>(State::VARIANTS))]
    state: Vec<State>,
    /// Only those whose other end is there: ADDRESS, ADDRESS/PREFIX, ADDRESS:PORT or :PORT
    #[arg(long, value_name = "PLACE", value_delimiter = ',', value_parser = str::parse::<AddressPattern>)]
    peer: Vec<AddressPattern>,
    /// Only those whose end on this machine is there
    #[arg(long, value_name = "PLACE", value_delimiter = ',', value_parser = str::parse::<AddressPattern>)]
    local: Vec<AddressPattern>,
    /// Count them by this
    #[arg(long, value_name = "WHAT", value_parser = named::<By>(By::VARIANTS), help_heading = "Output")]
    by: Option<By>,
    /// Sort by this column; -COLUMN puts the most first [possible values: port, process, peer,
    /// state, sent, received, rtt, idle]
    #[arg(
        long,
        value_name = "COLUMN",
        default_value = "port",
        hide_default_value = true,
        allow_hyphen_values = true,
        help_heading = "Output"
    )]
    sort: String,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    native: NativeOnly,
    #[command(flatten)]
    plain: Plain,
    #[command(flatten)]
    output: Output<ListFormats>,
}

impl ConnectionsArgs {
    /// What it asks; `typed` is the command line.
    pub fn resolve(self, typed: &[OsString]) -> Result<Wish, Stop> {
        let namespaces = self.place.namespaces()?;
        let filter = self.owned.filter()?;
        let (order, is_reversed) = order(&self.sort)?;
        let wanted =
            Wanted { filter, states: self.state, local: self.local, peer: self.peer, by: self.by, order, is_reversed };
        let targets = targets::resolve(&self.targets, &self.narrow)?;
        let request = Request {
            connections: self.all,
            detail: crate::collect::Detail::Brief,
            namespaces,
            ..common::request(targets, &self.narrow)
        };
        let style = self.output.style(typed).map(|style| Style { connections: true, ..self.plain.style(style) });
        let printing = Printing { style, color: self.output.color() };
        Ok(Wish::Connections(request, Box::new(wanted), printing))
    }
}

/// The order by its name, and whether it is reversed.
fn order(typed: &str) -> Result<(Order, bool), Stop> {
    let name = typed.strip_prefix('-');
    let order = name.unwrap_or(typed).parse().map_err(|_| {
        Stop::Usage(format!("--sort: no column is called '{typed}': write one of {}", Order::VARIANTS.join(", ")))
    })?;
    Ok((order, name.is_some()))
}
