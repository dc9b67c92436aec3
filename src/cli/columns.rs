//! Which columns a table has, and what it is sorted by.

use std::error::Error;
use std::str::FromStr;

use clap::Args;
use clap::builder::{StringValueParser, TypedValueParser};
use strum::VariantNames;

use super::names::named;
use crate::request::Order;

/// `C` is the columns of a table.
pub trait Column: FromStr<Err: Error + Send + Sync> + VariantNames + PartialEq + Clone + Send + Sync + 'static {}

impl<C: FromStr<Err: Error + Send + Sync> + VariantNames + PartialEq + Clone + Send + Sync + 'static> Column for C {}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Columns<C: Column> {
    /// Sort by one of the columns below; -COLUMN for the reverse
    #[arg(
        long,
        value_name = "COLUMN",
        default_value = "port",
        hide_default_value = true,
        allow_hyphen_values = true,
        value_parser = order::<C>()
    )]
    pub sort: Order<C>,
    /// Show these columns, joined by commas
    #[arg(long, value_name = "COLUMN", value_delimiter = ',', value_parser = named::<C>(C::VARIANTS))]
    pub columns: Vec<C>,
}

impl<C: Column> Columns<C> {
    /// The columns that were chosen, each once.
    pub fn chosen(&self) -> Vec<C> {
        let is_first = |&(index, column): &(usize, &C)| !self.columns[..index].contains(column);
        self.columns.iter().enumerate().filter(is_first).map(|(_, column)| column.clone()).collect()
    }
}

/// Reads a column to sort by; a dash before it reverses the order.
fn order<C: Column>() -> impl TypedValueParser<Value = Order<C>> {
    let read = |typed: String| {
        typed.parse::<Order<C>>().map_err(|_| format!("is no column: write one of {}", C::VARIANTS.join(", ")))
    };
    StringValueParser::new().try_map(read)
}
