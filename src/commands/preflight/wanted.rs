//! What manifests ask for: ports, each with its place in a file.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::model::Protocol;

/// A place in a file, counted from one; zero if it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Spot {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// What kind of file asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Kind {
    /// A file of docker compose.
    Compose,
    /// A unit of systemd: a socket or a service.
    Systemd,
    /// A manifest of Kubernetes.
    Kubernetes,
    /// Processes of foreman, honcho, Heroku.
    Procfile,
    /// Variables for a program.
    Dotenv,
    /// A container for development.
    Devcontainer,
    /// The scripts of a project of Node.
    PackageJson,
}

impl Kind {
    /// Whether what it asks for is started together with what other files ask for. The others
    /// describe the same program again: a script, the variables for it, the container around it.
    pub const fn is_started_with_others(self) -> bool {
        matches!(self, Self::Compose | Self::Systemd | Self::Kubernetes | Self::Procfile)
    }

    /// Whether a service of the system binds its ports, and not a program of the caller.
    pub const fn is_bound_by_a_service(self) -> bool {
        matches!(self, Self::Compose | Self::Systemd | Self::Kubernetes | Self::Devcontainer)
    }
}

/// The project that a file belongs to, by which its containers are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Project {
    /// The name that docker compose gives it; `None` for files that are none of docker compose's.
    pub name: Option<String>,
    /// Its directory, without links.
    pub directory: PathBuf,
    /// Its files, without links.
    pub files: Vec<PathBuf>,
}

/// A port, or several of which one will do, that a line of a file asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What kind of file it is.
    pub kind: Kind,
    /// The file, as it was named.
    pub file: Rc<Path>,
    /// Where it stands there.
    pub spot: Spot,
    /// Who asks for it: a service, a unit, a script.
    pub service: String,
    /// The address that it is to be bound on; every one if `None`.
    pub address: Option<IpAddr>,
    /// Which port.
    pub port: Asked,
    /// The protocol.
    pub protocol: Protocol,
    /// The variable that stands for the port in the file.
    pub variable: Option<String>,
    /// Whether no file names it: it is what the program does by itself.
    pub is_default: bool,
    /// What may surprise about the line itself.
    pub warning: Option<String>,
    /// Whose it is.
    pub project: Rc<Project>,
}

/// Which port is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Asked {
    /// This one.
    One(u16),
    /// Any from the first to the last: the first that is free is taken.
    AnyOf(u16, u16),
    /// One that cannot be told: why not.
    Unresolved(String),
}

/// A file that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named.
    pub file: PathBuf,
    /// Where.
    pub spot: Spot,
    /// What is wrong.
    pub message: String,
}

impl Fault {
    /// A fault at a place of a file.
    pub fn at(file: &Path, spot: Spot, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), spot, message: message.into() }
    }
}

impl fmt::Display for Fault {
    /// `compose.yaml:3:7: mapping values are not allowed here`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.spot.line > 0 {
            write!(f, ":{}", self.spot.line)?;
            if self.spot.column > 0 {
                write!(f, ":{}", self.spot.column)?;
            }
        }
        write!(f, ": {}", self.message)
    }
}

/// Reads a port number. Zero asks for any port, so it is none.
pub fn port(text: &str) -> Option<u16> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&port| is_number && port > 0)
}

/// Reads a port or a range of ports, as the first and last of them.
pub fn ports(text: &str) -> Option<(u16, u16)> {
    match text.split_once('-') {
        Some((first, last)) => Some((port(first)?, port(last)?)).filter(|(first, last)| first <= last),
        None => port(text).map(|port| (port, port)),
    }
}

/// Reads an address, in brackets or not. An address that stands for all of one family stays one.
pub fn address(text: &str) -> Option<IpAddr> {
    text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_from_1_to_65535() {
        assert_eq!(
            (ports("80"), ports("80-90"), ports("65535")),
            (Some((80, 80)), Some((80, 90)), Some((65535, 65535)))
        );
        for wrong in ["", "0", "65536", "90-80", "-", "80-", "+80", "8o", "80-90-100", "٣"] {
            assert_eq!(ports(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_fault_is_told_with_its_place() {
        let at = |line, column| Fault::at(Path::new("a.yaml"), Spot { line, column }, "wrong").to_string();
        assert_eq!(
            (at(3, 7), at(3, 0), at(0, 0)),
            ("a.yaml:3:7: wrong".into(), "a.yaml:3: wrong".into(), "a.yaml: wrong".into())
        );
    }
}
