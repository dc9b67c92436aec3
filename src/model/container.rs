//! Containers as their engines describe them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::process::is_id;
use super::{Protocol, Runtime};

/// A container engine that was asked, or whose own process tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// What it is.
    pub runtime: Runtime,
    /// The socket that it was asked through; `None` for an engine without one.
    pub socket: Option<PathBuf>,
    /// Whether its tool reaches it when nothing else is said.
    pub is_default: bool,
}

impl Engine {
    /// Where Docker listens unless it is told otherwise.
    pub const DOCKER_SOCKET: &'static str = "/run/docker.sock";

    /// The Docker of root, named so that nothing else is asked in its place.
    pub fn usual_docker() -> Self {
        Self { runtime: Runtime::Docker, socket: Some(Self::DOCKER_SOCKET.into()), is_default: false }
    }
}

/// A container by its engine's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineContainer {
    /// Whose word it is.
    pub engine: Engine,
    /// The full id: 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// The image that it was made from.
    pub image: Option<String>,
    /// Its labels, those of compose projects among them.
    pub labels: BTreeMap<String, String>,
    /// The ports that it publishes.
    pub ports: Vec<PublishedPort>,
    /// Its address, if it is in one network only.
    pub address: Option<IpAddr>,
}

impl EngineContainer {
    /// One of which only the id is known.
    pub fn by_id(engine: Option<Engine>, runtime: Runtime, id: String) -> Self {
        let engine = engine.unwrap_or(Engine { runtime, socket: None, is_default: false });
        Self { engine, id, name: None, image: None, labels: BTreeMap::new(), ports: Vec::new(), address: None }
    }

    /// What to call it: by its name, or else by the beginning of its id.
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.id.get(..12).unwrap_or(&self.id))
    }

    /// Whether this is its name, its id or the beginning of that.
    pub fn is_called(&self, typed: &str) -> bool {
        self.name.as_deref() == Some(typed) || is_id(&self.id, typed)
    }

    /// The compose project, service and files that it was made by, from its labels.
    pub fn compose(&self) -> Option<Compose<'_>> {
        let label = |name: &str| self.labels.get(&format!("com.docker.compose.{name}")).map(String::as_str);
        let files = label("project.config_files").unwrap_or_default();
        Some(Compose {
            project: label("project")?,
            service: label("service"),
            // Several are joined by commas.
            files: files.split(',').filter(|file| !file.is_empty()).collect(),
        })
    }
}

/// What a container is in a compose project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compose<'a> {
    /// The name of the project.
    pub project: &'a str,
    /// The service that the container belongs to.
    pub service: Option<&'a str>,
    /// The files that define the project.
    pub files: Vec<&'a str>,
}

/// A port of this machine that leads into a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedPort {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Where it is published.
    pub listen: SocketAddr,
    /// The port in the container.
    pub to: u16,
}
