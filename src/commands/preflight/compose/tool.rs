//! What docker compose itself makes of the files, where it is installed. Its answer has no lines and
//! no variables, so these stay those of the own reader.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;

use super::super::wanted::{Asked, Kind, Project, Spot, Wanted, address, ports};
use super::{Files, Service};
use crate::model::Protocol;
use crate::platform::tool;

/// How long docker compose may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Where Docker looks for its plugins, besides the home directory.
const PLUGINS: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// What `docker compose config --format json` prints, as far as it bears on ports.
#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default)]
    services: std::collections::BTreeMap<String, Resolved>,
}

#[derive(Debug, Deserialize)]
struct Resolved {
    #[serde(default)]
    network_mode: Option<String>,
    #[serde(default)]
    ports: Vec<Port>,
}

#[derive(Debug, Deserialize)]
struct Port {
    #[serde(default)]
    host_ip: Option<String>,
    #[serde(default)]
    published: Option<serde_json::Value>,
    #[serde(default)]
    protocol: Option<String>,
}

/// Corrects what the own reader found by what docker compose says. Without docker compose, or where
/// it fails, the own reader's word stands.
pub fn correct(own: Vec<Wanted>, files: &Files<'_>, services: &[Service], project: &Rc<Project>) -> Vec<Wanted> {
    match ask(files, project) {
        Some(config) => join(own, &config, services, project),
        None => own,
    }
}

/// Asks docker compose. It looks for nothing on other machines.
fn ask(files: &Files<'_>, project: &Project) -> Option<Config> {
    if !is_installed() {
        return None;
    }
    let text = |path: &Path| path.to_str().map(str::to_owned);
    let mut command: Vec<String> =
        ["env", "COMPOSE_EXPERIMENTAL_GIT_REMOTE=false", "COMPOSE_EXPERIMENTAL_OCI_REMOTE=false"]
            .map(str::to_owned)
            .into();
    command.extend(["docker", "compose", "--project-directory"].map(str::to_owned));
    command.push(text(&project.directory)?);
    for file in &project.files {
        command.extend(["--file".to_owned(), text(file)?]);
    }
    for profile in files.profiles {
        command.extend(["--profile".to_owned(), profile.clone()]);
    }
    command.extend(["config", "--format", "json"].map(str::to_owned));
    serde_json::from_str(&tool::read(&command, LIMIT)?).ok()
}

/// Whether docker has the plugin, so that it is not started in vain.
fn is_installed() -> bool {
    let home = std::env::home_dir().map(|home| home.join(".docker/cli-plugins"));
    let mut places = PLUGINS.iter().map(PathBuf::from).chain(home);
    tool::find_on_path("docker").is_some() && places.any(|place| place.join("docker-compose").is_file())
}

/// What docker compose says, with the lines and variables of the own reader.
fn join(mut own: Vec<Wanted>, config: &Config, services: &[Service], project: &Rc<Project>) -> Vec<Wanted> {
    let mut joined = Vec::new();
    for (name, resolved) in &config.services {
        if resolved.network_mode.as_deref() == Some("host") {
            continue;
        }
        for port in &resolved.ports {
            let Some((address, asked, protocol)) = port.asked() else { continue };
            let is_it = |known: &Wanted| {
                known.service == *name && (known.address, &known.port, known.protocol) == (address, &asked, protocol)
            };
            match own.iter().position(is_it) {
                Some(at) => joined.push(own.swap_remove(at)),
                None => joined.push(unknown(name, (address, asked, protocol), services, project)),
            }
        }
    }
    // Docker compose takes a variable without a value for an empty one.
    joined.extend(own.into_iter().filter(|wanted| matches!(wanted.port, Asked::Unresolved(_))));
    joined.sort_by_key(|wanted| services.iter().position(|service| service.name == wanted.service));
    joined
}

/// A port that only docker compose knows of.
fn unknown(
    name: &str,
    (address, port, protocol): (Option<std::net::IpAddr>, Asked, Protocol),
    services: &[Service],
    project: &Rc<Project>,
) -> Wanted {
    let service = services.iter().find(|service| service.name == name);
    let first = || project.files.first().map_or(Path::new(""), PathBuf::as_path).into();
    Wanted {
        kind: Kind::Compose,
        file: service.map_or_else(first, |service| Rc::clone(&service.file)),
        spot: service.map_or(Spot::default(), |service| service.spot),
        service: name.to_owned(),
        address,
        port,
        protocol,
        variable: None,
        is_default: false,
        warning: None,
        project: Rc::clone(project),
    }
}

impl Port {
    /// What it asks for; `None` if the engine chooses the port.
    fn asked(&self) -> Option<(Option<std::net::IpAddr>, Asked, Protocol)> {
        let published = match self.published.as_ref()? {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let protocol = match self.protocol.as_deref() {
            None | Some("tcp") => Protocol::Tcp,
            Some("udp") => Protocol::Udp,
            Some(_) => return None,
        };
        let asked = match ports(&published)? {
            (first, last) if first == last => Asked::One(first),
            (first, last) => Asked::AnyOf(first, last),
        };
        let address = self.host_ip.as_deref().filter(|text| !text.is_empty()).and_then(address);
        Some((address, asked, protocol))
    }
}
