//! The text of the rules: a line for each, or all there is to say about one.

use std::io::{self, Write};

use super::colour;
use crate::diagnose::{Explanation, Rule};

/// Writes a line for each rule.
pub fn list(rules: &[&Rule], out: &mut dyn Write) -> io::Result<()> {
    let widest = rules.iter().map(|rule| rule.code.len()).max().unwrap_or(0);
    for rule in rules {
        let first = rule.explanation.what.split_inclusive(". ").next().unwrap_or_default().trim_end();
        writeln!(out, "{0}{1:<widest$}{0:#}  {2:<8}  {first}", colour::STRONG, rule.code, rule.severity.into_str())?;
    }
    Ok(())
}

/// Writes all there is to say about a rule.
pub fn one(rule: &Rule, out: &mut dyn Write) -> io::Result<()> {
    let Explanation { what, why, detection, remedy } = rule.explanation;
    writeln!(out, "{0}{1}{0:#} ({2})\n\n{what}\n", colour::STRONG, rule.code, rule.severity.into_str())?;
    for (heading, text) in [("Why it happens", why), ("How it is detected", detection), ("What to do", remedy)] {
        writeln!(out, "{0}{heading}:{0:#} {text}", colour::STRONG)?;
    }
    Ok(())
}
