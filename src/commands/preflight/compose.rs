//! Files of docker compose: what `docker compose up` would publish.
//!
//! Read are overrides, `extends`, `include`, profiles and `.env` files, as far as they bear on
//! ports. Everything else in a file is skipped.

mod ports;
mod tool;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::variables::Variables;
use super::wanted::{Asked, Fault, Kind, Project, Spot, Wanted};
use super::yaml::{self, Key, Node};
use crate::model::Protocol;
use crate::platform::named;

/// How many files one project may have, and how long a chain of `extends` may be.
const MOST_FILES: usize = 100;

/// How many entries of `ports` are read, those that are read again for an alias or `extends`
/// included.
const MOST_ENTRIES: usize = 200_000;

/// Files that are started together.
#[derive(Debug)]
pub struct Files<'a> {
    /// The files. Later ones override earlier ones.
    pub paths: &'a [PathBuf],
    /// The profiles that are active, besides those of COMPOSE_PROFILES.
    pub profiles: &'a [String],
}

/// What the files ask for.
pub fn read(files: &Files<'_>) -> Result<Vec<Wanted>, Fault> {
    let (wanted, services, project) = read_own(files, None)?;
    Ok(tool::correct(wanted, files, &services, &project))
}

/// What a text asks for, as if it stood in the file `path`.
#[cfg(fuzzing)]
pub fn read_text(path: &Path, text: &str) -> Result<Vec<Wanted>, Fault> {
    let paths = [path.to_owned()];
    Ok(read_own(&Files { paths: &paths, profiles: &["*".to_owned()] }, Some(text.to_owned()))?.0)
}

/// What is asked for, the services, and their project.
type Own = (Vec<Wanted>, Vec<Service>, Rc<Project>);

/// What the own reader makes of the files. `given` stands in for the text of the first one.
fn read_own(files: &Files<'_>, given: Option<String>) -> Result<Own, Fault> {
    let directory = directory_of(files.paths.first().map_or(Path::new(""), PathBuf::as_path));
    let mut variables = Variables::of_environment();
    variables.add_file(&directory.join(".env"));
    let mut reader = Reader { read: 0, name: None, given, left: MOST_ENTRIES };
    let services = reader.services(files.paths, &directory, &variables)?;
    let project = Rc::new(project(files.paths, &directory, reader.name, &variables));
    let active = active_profiles(files.profiles, &variables);
    let mut wanted = Vec::new();
    for service in services.iter().filter(|service| service.is_started(&active)) {
        let mut known = HashSet::new();
        for entry in service.entries() {
            entry.add_to(&mut wanted, &mut known, service, &project)?;
        }
    }
    Ok((wanted, services, project))
}

/// The directory that a file is in.
fn directory_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The profiles that are active: those of the caller, and those of the environment.
fn active_profiles(given: &[String], variables: &Variables) -> Vec<String> {
    let named = variables.get("COMPOSE_PROFILES").unwrap_or_default();
    let named = named.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    given.iter().cloned().chain(named).collect()
}

/// The project, by the rules of docker compose for its name.
fn project(paths: &[PathBuf], directory: &Path, name: Option<String>, variables: &Variables) -> Project {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = real(directory);
    let name = variables.get("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty()).or(name).unwrap_or_else(|| {
        let name = directory.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let is_kept = |kept: char| kept.is_ascii_lowercase() || kept.is_ascii_digit() || kept == '_' || kept == '-';
        name.chars().filter(|&one| is_kept(one)).collect::<String>().trim_start_matches(['_', '-']).to_owned()
    });
    Project { name: Some(name), directory, files: paths.iter().map(|path| real(path)).collect() }
}

/// A service of a project.
#[derive(Debug, Clone)]
struct Service {
    name: String,
    /// Where it is defined last.
    file: Rc<Path>,
    spot: Spot,
    ports: Vec<Entry>,
    network_mode: Option<String>,
    profiles: Vec<String>,
}

/// An entry of `ports`.
#[derive(Debug, Clone)]
struct Entry {
    file: Rc<Path>,
    node: Rc<Node>,
    variables: Rc<Variables>,
}

impl Service {
    /// Whether it is started: it has no profile, or one of it is active.
    fn is_started(&self, active: &[String]) -> bool {
        self.profiles.is_empty() || active.iter().any(|name| name == "*" || self.profiles.contains(name))
    }

    /// What it publishes: nothing if it has no network of its own.
    fn entries(&self) -> &[Entry] {
        let shares = |mode: &str| mode == "host" || mode == "none" || mode.contains(':');
        if self.network_mode.as_deref().is_some_and(shares) { &[] } else { &self.ports }
    }

    /// Puts another definition of the same service over this one. `ports` is the node there.
    fn override_by(&mut self, over: Self, ports: Option<&Node>) {
        match ports.and_then(|node| node.tag.as_deref()) {
            Some("reset") => self.ports.clear(),
            Some("override") => self.ports = over.ports,
            _ => self.ports.extend(over.ports),
        }
        self.network_mode = over.network_mode.or_else(|| self.network_mode.take());
        self.profiles.extend(over.profiles);
        (self.name, self.file, self.spot) = (over.name, over.file, over.spot);
    }
}

impl Entry {
    /// Adds what it asks for, each port once.
    fn add_to(
        &self,
        wanted: &mut Vec<Wanted>,
        known: &mut HashSet<(Option<IpAddr>, Asked, Protocol)>,
        service: &Service,
        project: &Rc<Project>,
    ) -> Result<(), Fault> {
        let published = ports::published(&self.node, &self.variables)
            .map_err(|(spot, message)| Fault::at(&self.file, spot, message))?;
        let is_ambiguous = ports::is_of_base_60(&self.node);
        let warning = is_ambiguous.then(|| {
            format!(
                "older tools read {} without quotes as a number of base 60: quote it",
                self.node.text().unwrap_or_default()
            )
        });
        for ports::Published { address, port, protocol, variable, spot } in published {
            if !known.insert((address, port.clone(), protocol)) {
                continue;
            }
            super::require_room(wanted, &self.file, self.node.spot)?;
            wanted.push(Wanted {
                kind: Kind::Compose,
                file: Rc::clone(&self.file),
                spot,
                service: service.name.clone(),
                address,
                port,
                protocol,
                variable,
                is_default: false,
                warning: warning.clone(),
                project: Rc::clone(project),
            });
        }
        Ok(())
    }
}

/// Reads the files of a project.
struct Reader {
    /// How many files were read.
    read: usize,
    /// The name that a file gives the project.
    name: Option<String>,
    /// The text of the first file, if it is not to be read.
    given: Option<String>,
    /// How many entries may still be read.
    left: usize,
}

/// A file that is being read.
struct Source {
    path: Rc<Path>,
    root: Rc<Node>,
    /// Where each service is among the entries of `services`.
    services: HashMap<Rc<str>, usize>,
    variables: Rc<Variables>,
}

impl Source {
    fn fault(&self, spot: Spot, message: impl Into<String>) -> Fault {
        Fault::at(&self.path, spot, message)
    }

    /// The text of a node, with its variables replaced.
    fn text(&self, node: &Node) -> Result<String, Fault> {
        let text = node.text().ok_or_else(|| self.fault(node.spot, "it is no text"))?;
        Ok(self.variables.replace(text).map_err(|wrong| self.fault(node.spot, wrong))?.text)
    }

    /// A path that stands in the file.
    fn path(&self, node: &Node) -> Result<PathBuf, Fault> {
        Ok(self.path.parent().unwrap_or(Path::new("")).join(self.text(node)?))
    }

    /// One or several paths.
    fn paths(&self, node: &Node) -> Result<Vec<PathBuf>, Fault> {
        match node.items() {
            [] => Ok(vec![self.path(node)?]),
            items => items.iter().map(|item| self.path(item)).collect(),
        }
    }
}

impl Reader {
    /// The services of files of which later ones override earlier ones.
    fn services(&mut self, paths: &[PathBuf], directory: &Path, variables: &Variables) -> Result<Vec<Service>, Fault> {
        let mut services: Vec<Service> = Vec::new();
        let variables = Rc::new(variables.clone());
        for path in paths {
            for source in self.documents(path, &variables)? {
                for included in source.root.get("include").map_or(&[][..], |include| include.items()) {
                    services.extend(self.included(&source, included, directory)?);
                }
                if let Some(name) = source.root.get("name") {
                    self.name = Some(source.text(name)?);
                }
                self.add(&source, &mut services)?;
            }
        }
        Ok(services)
    }

    /// Adds the services of a file to those of the files before it.
    fn add(&mut self, source: &Source, services: &mut Vec<Service>) -> Result<(), Fault> {
        let Some(defined) = source.root.get("services") else { return Ok(()) };
        if defined.entries().is_empty() && !defined.is_null() && !matches!(&defined.value, yaml::Value::Map(_)) {
            return Err(source.fault(defined.spot, "services is no map"));
        }
        let mut index: HashMap<String, usize> =
            services.iter().enumerate().map(|(at, service)| (service.name.clone(), at)).collect();
        let mut reset: HashSet<&str> = HashSet::new();
        for (key, node) in defined.entries() {
            if node.tag.as_deref() == Some("reset") {
                reset.insert(&*key.text);
            }
            let service = self.service(source, &key.text, 0)?;
            match index.get(&*key.text).map(|&at| &mut services[at]) {
                Some(known) if node.tag.as_deref() == Some("override") => *known = service,
                Some(known) => known.override_by(service, node.get("ports").map(|node| &**node)),
                None => {
                    index.insert(service.name.clone(), services.len());
                    services.push(service);
                }
            }
        }
        services.retain(|known| !reset.contains(&*known.name));
        Ok(())
    }

    /// The services of an entry of `include`, a project of its own.
    fn included(&mut self, source: &Source, node: &Node, directory: &Path) -> Result<Vec<Service>, Fault> {
        let path = node.get("path").map_or(node, |path| &**path);
        let is_remote =
            |path: &PathBuf| path.to_string_lossy().contains("://") || path.to_string_lossy().contains("git@");
        let paths = source.paths(path)?;
        if paths.iter().any(is_remote) {
            return Err(source.fault(path.spot, "it includes a file of another machine, which is not read"));
        }
        let directory = match node.get("project_directory") {
            Some(named) => directory.join(source.text(named)?),
            None => directory_of(paths.first().map_or(Path::new(""), PathBuf::as_path)),
        };
        let mut variables = (*source.variables).clone();
        match node.get("env_file") {
            Some(files) => source.paths(files)?.iter().for_each(|file| variables.add_file(file)),
            None => variables.add_file(&directory.join(".env")),
        }
        let name = self.name.take();
        let services = self.services(&paths, &directory, &variables)?;
        self.name = name;
        Ok(services)
    }

    /// A service with what it extends.
    fn service(&mut self, source: &Source, name: &str, depth: usize) -> Result<Service, Fault> {
        let entries = source.root.get("services").map_or(&[][..], |services| services.entries());
        let Some((key, node)) = source.services.get(name).and_then(|&at| entries.get(at)) else {
            return Err(source.fault(Spot::default(), format!("it has no service '{name}', which another one extends")));
        };
        let own = own_definition(source, key, node)?;
        self.spend(&own, source)?;
        let Some(extends) = node.get("extends").filter(|extends| !extends.is_null()) else { return Ok(own) };
        if depth > MOST_FILES {
            return Err(source
                .fault(extends.spot, format!("'{name}' extends itself, or {MOST_FILES} services extend one another")));
        }
        let base = source.text(extends.get("service").unwrap_or(extends))?;
        let mut service = match extends.get("file") {
            None => self.service(source, &base, depth + 1)?,
            Some(file) => {
                let path = source.path(file)?;
                let documents = self.documents(&path, &source.variables)?;
                let has_it = |document: &&Source| document.root.find(&["services", &base]).is_some();
                let Some(document) = documents.iter().find(has_it).or(documents.first()) else { return Ok(own) };
                self.service(document, &base, depth + 1)?
            }
        };
        // A profile is not inherited.
        service.profiles.clear();
        service.override_by(own, node.get("ports").map(|node| &**node));
        self.spend(&service, source)?;
        Ok(service)
    }

    /// Requires that aliases and chains of `extends` do not multiply without end.
    fn spend(&mut self, service: &Service, source: &Source) -> Result<(), Fault> {
        let too_many = || source.fault(service.spot, format!("more than {MOST_ENTRIES} ports are asked for"));
        let count = service.ports.len() + service.profiles.len() + 1;
        self.left = self.left.checked_sub(count).ok_or_else(too_many)?;
        Ok(())
    }

    /// The documents of a file.
    fn documents(&mut self, path: &Path, variables: &Rc<Variables>) -> Result<Vec<Source>, Fault> {
        self.read += 1;
        if self.read > MOST_FILES {
            return Err(Fault::at(path, Spot::default(), format!("it is one of more than {MOST_FILES} files")));
        }
        let text = match self.given.take() {
            Some(given) => given,
            None => named::read(path)
                .map_err(|error| Fault::at(path, Spot::default(), format!("cannot read it: {error}")))?,
        };
        let documents = yaml::parse(&text).map_err(|malformed| Fault::at(path, malformed.spot, malformed.message))?;
        let path: Rc<Path> = path.into();
        let source = |root: Rc<Node>| {
            let entries = root.get("services").map_or(&[][..], |services| services.entries()).iter().enumerate();
            let services = entries.map(|(at, (key, _))| (Rc::clone(&key.text), at)).collect();
            Source { path: Rc::clone(&path), root, services, variables: Rc::clone(variables) }
        };
        Ok(documents.into_iter().map(source).collect())
    }
}

/// What a service says of itself.
fn own_definition(source: &Source, key: &Key, node: &Node) -> Result<Service, Fault> {
    let name = &*key.text;
    let ports = node.get("ports").filter(|ports| !ports.is_null());
    if let Some(ports) = ports
        && !matches!(&ports.value, yaml::Value::List(_))
    {
        return Err(source.fault(ports.spot, format!("ports of '{name}' is no list")));
    }
    let entry = |node: &Rc<Node>| Entry {
        file: Rc::clone(&source.path),
        node: Rc::clone(node),
        variables: Rc::clone(&source.variables),
    };
    let profiles = node.get("profiles").map_or(&[][..], |profiles| profiles.items());
    Ok(Service {
        name: name.to_owned(),
        file: Rc::clone(&source.path),
        spot: key.spot,
        ports: ports.map_or(&[][..], |ports| ports.items()).iter().map(entry).collect(),
        network_mode: node.get("network_mode").map(|mode| source.text(mode)).transpose()?,
        profiles: profiles.iter().map(|profile| source.text(profile)).collect::<Result<_, _>>()?,
    })
}
