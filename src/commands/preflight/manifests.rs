//! Which files there are, and what kind each is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::wanted::{Fault, Kind, Spot, Wanted};
use super::{
    Failure, Options, compose, devcontainer, dotenv, kubernetes, package_json, procfile, require_room, systemd,
};
use crate::platform::named;

/// The names by which docker compose finds a file, the first one first.
const COMPOSE: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// Other names that a directory is searched for.
const OTHERS: [&str; 5] = ["Procfile", ".devcontainer/devcontainer.json", ".devcontainer.json", "package.json", ".env"];

/// The most files of a directory that are looked at.
const MOST_FILES: usize = 200;

/// What one reader reads together.
#[derive(Debug, PartialEq, Eq)]
pub struct Manifest {
    kind: Kind,
    /// The files; several for docker compose only, later ones over earlier ones.
    files: Vec<PathBuf>,
}

/// The manifests that are to be read.
pub fn find(options: &Options) -> Result<Vec<Manifest>, Failure> {
    if options.files.is_empty() {
        return here();
    }
    let mut manifests: Vec<Manifest> = Vec::new();
    for file in &options.files {
        let kind = kind_of(file)?;
        let is_same_project = |known: &&mut Manifest| {
            kind == Kind::Compose && known.kind == kind && known.files[0].parent() == file.parent()
        };
        match manifests.iter_mut().find(is_same_project) {
            Some(known) => known.files.push(file.clone()),
            None => manifests.push(Manifest { kind, files: vec![file.clone()] }),
        }
    }
    manifests.iter_mut().for_each(add_override);
    Ok(manifests)
}

/// `docker compose up` reads compose.override.yaml over a file that it finds by itself.
fn add_override(manifest: &mut Manifest) {
    let [only] = &manifest.files[..] else { return };
    let name = only.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if manifest.kind != Kind::Compose || !COMPOSE.contains(&&*name) {
        return;
    }
    let stem = name.split('.').next().unwrap_or_default();
    let over = ["yaml", "yml"].map(|ending| only.with_file_name(format!("{stem}.override.{ending}")));
    manifest.files.extend(over.into_iter().find(|path| path.is_file()));
}

/// What is in the working directory.
fn here() -> Result<Vec<Manifest>, Failure> {
    let mut manifests = Vec::new();
    let named = std::env::var("COMPOSE_FILE").ok().filter(|files| !files.is_empty());
    let composed: Vec<PathBuf> = match named {
        Some(files) => std::env::split_paths(&files).collect(),
        None => COMPOSE.iter().map(PathBuf::from).filter(|path| path.is_file()).take(1).collect(),
    };
    if !composed.is_empty() {
        manifests.push(Manifest { kind: Kind::Compose, files: composed });
    }
    manifests.iter_mut().for_each(add_override);
    let read: BTreeSet<PathBuf> = manifests.iter().flat_map(|manifest| manifest.files.clone()).collect();
    for file in OTHERS.iter().map(PathBuf::from).chain(units_and_manifests()).filter(|file| !read.contains(file)) {
        if file.is_file() {
            manifests.push(Manifest { kind: kind_of(&file)?, files: vec![file] });
        }
    }
    if manifests.is_empty() {
        let message = "this directory has no compose file, unit of systemd, manifest of Kubernetes, Procfile, .env, \
                       devcontainer.json or package.json: name a file";
        return Err(Failure::Usage(message.to_owned()));
    }
    Ok(manifests)
}

/// The units of systemd and the manifests of Kubernetes in the working directory.
fn units_and_manifests() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(".").into_iter().flatten().flatten();
    let mut names: Vec<PathBuf> = entries.take(MOST_FILES).map(|entry| PathBuf::from(entry.file_name())).collect();
    names.sort();
    let is_wanted = |path: &PathBuf| match path.extension().unwrap_or_default().to_str() {
        Some("socket" | "service") => true,
        Some("yaml" | "yml") => named::read(path).is_ok_and(|text| kubernetes::is_manifest(&text)),
        _ => false,
    };
    names.into_iter().filter(is_wanted).collect()
}

/// What kind of file it is, by its name or else by what is in it.
fn kind_of(file: &Path) -> Result<Kind, Fault> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let has_ending = |ending: &str| file.extension().is_some_and(|own| own == ending);
    if has_ending("yaml") || has_ending("yml") {
        let text = text_of(file)?;
        return Ok(if kubernetes::is_manifest(&text) { Kind::Kubernetes } else { Kind::Compose });
    }
    match &*name {
        _ if has_ending("socket") || has_ending("service") => Ok(Kind::Systemd),
        "package.json" => Ok(Kind::PackageJson),
        _ if name.ends_with("devcontainer.json") => Ok(Kind::Devcontainer),
        _ if name.starts_with("Procfile") => Ok(Kind::Procfile),
        _ if name.starts_with(".env") || has_ending("env") => Ok(Kind::Dotenv),
        _ => {
            text_of(file)?;
            let message = "its name tells no kind of manifest: portcheck reads compose.yaml, *.socket, *.service, \
                           manifests of Kubernetes, Procfile, .env, devcontainer.json and package.json";
            Err(Fault::at(file, Spot::default(), message))
        }
    }
}

fn text_of(file: &Path) -> Result<String, Fault> {
    named::read(file).map_err(|error| Fault::at(file, Spot::default(), format!("cannot read it: {error}")))
}

impl Manifest {
    /// What it asks for.
    pub fn read(&self, options: &Options) -> Result<Vec<Wanted>, Fault> {
        if self.kind == Kind::Compose {
            return compose::read(&compose::Files { paths: &self.files, profiles: &options.profiles });
        }
        let file = &self.files[0];
        let text = text_of(file)?;
        let wanted = match self.kind {
            Kind::Systemd => systemd::read(file, &text),
            Kind::Kubernetes => kubernetes::read(file, &text),
            Kind::Procfile => Ok(procfile::read(file, &text)),
            Kind::Dotenv => dotenv::read(file, &text),
            Kind::Devcontainer => devcontainer::read(file, &text),
            Kind::PackageJson | Kind::Compose => package_json::read(file, &text),
        }?;
        require_room(&wanted, file, Spot::default())?;
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_names() {
        let directory = tempfile::tempdir().unwrap();
        let kind = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            kind_of(&path).ok()
        };
        for (name, text, expected) in [
            ("compose.yaml", "", Some(Kind::Compose)),
            ("deployment.yml", "apiVersion: apps/v1\nkind: Deployment\n", Some(Kind::Kubernetes)),
            ("stack.yml", "services: {}\n", Some(Kind::Compose)),
            ("web.socket", "", Some(Kind::Systemd)),
            ("Procfile.dev", "", Some(Kind::Procfile)),
            (".env.local", "", Some(Kind::Dotenv)),
            ("prod.env", "", Some(Kind::Dotenv)),
            (".devcontainer.json", "", Some(Kind::Devcontainer)),
            ("package.json", "", Some(Kind::PackageJson)),
            ("main.rs", "", None),
        ] {
            assert_eq!(kind(name, text), expected, "{name}");
        }
        assert!(kind_of(&directory.path().join("missing.rs")).unwrap_err().message.contains("cannot read"));
    }

    /// Files of one directory are one project, as `docker compose -f A -f B` has it.
    #[test]
    fn compose_files_of_a_directory_are_one_project() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["compose.yaml", "compose.override.yml", "other.yaml"] {
            std::fs::write(path(name), "services: {}\n").unwrap();
        }
        let found = |names: &[&str]| -> Vec<Vec<PathBuf>> {
            let files = names.iter().map(|name| path(name)).collect();
            let found = find(&Options { files, profiles: Vec::new() }).unwrap();
            found.into_iter().map(|manifest| manifest.files).collect()
        };
        assert_eq!(found(&["compose.yaml"]), [[path("compose.yaml"), path("compose.override.yml")]]);
        assert_eq!(found(&["compose.yaml", "other.yaml"]), [[path("compose.yaml"), path("other.yaml")]]);
        assert_eq!(found(&["other.yaml"]), [[path("other.yaml")]]);
    }
}
