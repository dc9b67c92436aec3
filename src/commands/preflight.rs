//! `portcheck preflight`: are the ports available that manifests ask for?
//!
//! A reader for each kind of file says what it asks for ([`Wanted`]). All of it is judged by one
//! ordinary look at the machine.

mod collisions;
mod compose;
mod devcontainer;
mod dotenv;
mod json_text;
mod judge;
mod kubernetes;
mod lines;
mod manifests;
mod own;
mod package_json;
mod procfile;
mod substitutes;
mod suggest;
mod systemd;
mod variables;
mod wanted;
#[cfg_attr(not(feature = "preflight"), allow(dead_code, unused_imports, reason = "nothing is read then"))]
mod yaml;

use std::path::{Path, PathBuf};

use super::diagnosis::Diagnosis;
use super::exit::Exit;
use crate::error::Error;
use crate::request::Request;
pub use substitutes::Substitutes;
#[cfg(test)]
pub use wanted::Kind;
pub use wanted::{Asked, Fault, Spot, Wanted};

/// The most ports that all files may ask for.
const MOST: usize = 20_000;

/// What is to be looked through.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The files; what is in this directory if there are none.
    pub files: Vec<PathBuf>,
    /// The profiles of docker compose that are active.
    pub profiles: Vec<String>,
}

/// What `portcheck preflight` found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The ports that were looked at.
    pub diagnosis: Diagnosis,
    /// What each line asks for, in the order of the files.
    pub rows: Vec<Row>,
    /// How many files there are.
    pub files: usize,
}

/// A port that a line asks for, and whether it is available.
#[derive(Debug, Clone)]
pub struct Row {
    /// What is asked for.
    pub wanted: Wanted,
    /// The port; `None` if it cannot be told. Of a range of which any will do, the one to be taken.
    pub port: Option<u16>,
    /// Whether it is available.
    pub standing: Standing,
    /// The index of its report in the diagnosis.
    pub report: Option<usize>,
    /// Whether this project itself holds it.
    pub is_own: bool,
    /// The index of another row that asks for the same.
    pub collides_with: Option<usize>,
    /// Whether it is not needed: the service of the system that binds it needs no privilege of ours.
    pub is_bound_by_root: bool,
    /// A free port that could be asked for instead.
    pub suggestion: Option<u16>,
    /// The variable that this port was given to.
    pub substitute: Option<String>,
}

/// Whether a port that is asked for is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Standing {
    /// Somebody holds it.
    Held,
    /// Nobody holds it, but it may not be bound.
    Blocked,
    /// It is asked for twice.
    Collision,
    /// What could not be seen may hold it.
    Unknown,
    /// The file does not say which port it is: a variable has no value.
    Unresolved,
    /// It can be bound.
    Free,
}

/// Why there is no report.
#[derive(Debug)]
pub enum Failure {
    /// A file cannot be understood.
    Malformed(Fault),
    /// There is no file.
    Usage(String),
    /// portcheck itself failed.
    Failed(Error),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Malformed(fault)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Looks at all ports that the files ask for.
pub fn preflight(request: &Request, options: &Options) -> Result<Report, Failure> {
    let manifests = manifests::find(options)?;
    let mut wanted = Vec::new();
    for manifest in &manifests {
        wanted.extend(manifest.read(options)?);
        if let Some(last) = wanted.last() {
            require_room(&wanted, &last.file, last.spot)?;
        }
    }
    judge::judge(request, wanted, manifests.len())
}

impl Row {
    /// Whether it is available: free, or ours already, or the file gets another one by its variable.
    pub fn is_fine(&self) -> bool {
        let has_another = self.substitute.is_some() && self.substitute == self.wanted.variable;
        self.standing == Standing::Free || self.is_own && self.standing == Standing::Held || has_another
    }
}

impl Report {
    /// Picks a free port for each that is not available, and notes them in the rows.
    pub fn substitute(&mut self) -> Result<Substitutes, Error> {
        substitutes::pick(&mut self.rows, &self.diagnosis.host)
    }

    /// The exit code: Whether all ports are available. What no file names does not count.
    pub fn exit(&self) -> Exit {
        let counted = || self.rows.iter().filter(|row| !row.is_fine() && !row.wanted.is_default);
        let is_doubtful = |row: &Row| matches!(row.standing, Standing::Unknown | Standing::Unresolved);
        match () {
            () if counted().any(|row| !is_doubtful(row)) => Exit::No,
            () if counted().next().is_some() => Exit::Unknown,
            () => Exit::Yes,
        }
    }
}

/// Takes a text as a file of each kind.
#[cfg(fuzzing)]
pub fn read_as_each(text: &str) {
    let file = Path::new("x");
    let found = [
        compose::read_text(file, text),
        kubernetes::read(file, text),
        systemd::read(file, text),
        dotenv::read(file, text),
        devcontainer::read(file, text),
        package_json::read(file, text),
        Ok(procfile::read(file, text)),
    ];
    for wanted in found.into_iter().flatten() {
        assert!(wanted.len() <= MOST + 65_536, "{} ports", wanted.len());
    }
}

/// Requires that the files do not ask for more ports than any person would start.
fn require_room(wanted: &[Wanted], file: &Path, spot: Spot) -> Result<(), Fault> {
    if wanted.len() <= MOST {
        Ok(())
    } else {
        Err(Fault::at(file, spot, format!("more than {MOST} ports are asked for")))
    }
}
