//! `portcheck explain [CODE]`: what a verdict means.

use clap::{Args, ColorChoice};

use super::{Wish, common, help};
use crate::diagnose::{self, Rule};

#[derive(Debug, Args)]
#[command(after_help = help::styled(help::EXPLAIN))]
pub struct ExplainArgs {
    /// The code of a verdict, such as time-wait; without one, all are listed
    #[arg(value_name = "CODE", value_parser = parse_code)]
    rule: Option<&'static Rule>,
    /// When to use colour; auto honours NO_COLOR
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
}

impl ExplainArgs {
    /// What it asks for.
    pub fn resolve(&self) -> Wish {
        let rules = self.rule.map_or_else(|| diagnose::RULES.to_vec(), |rule| vec![rule]);
        Wish::Explanation(rules, common::color(self.color))
    }
}

fn parse_code(code: &str) -> Result<&'static Rule, String> {
    diagnose::rule(code).ok_or_else(|| format!("unknown verdict code '{code}': portcheck explain lists them"))
}
