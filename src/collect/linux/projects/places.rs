//! Which directories may be the project of a process: its working directory, and those above it as
//! far as one person's files reach.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::platform::users;

/// More than any path has.
const MOST: usize = 64;

/// A directory that may be a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// It.
    pub directory: PathBuf,
    /// Whether it is somebody's home directory.
    pub is_home: bool,
}

/// Finds the places, and remembers the home directories of users.
#[derive(Debug, Default)]
pub struct Places {
    homes: HashMap<u32, Option<PathBuf>>,
}

impl Places {
    /// The places for a process of this user that works in `cwd`, the nearest first.
    ///
    /// A home directory counts only for what works right there. The root directory, and directories
    /// that everybody may write to, are nobody's project.
    pub fn at_or_above(&mut self, cwd: &Path, uid: Option<u32>) -> Vec<Place> {
        let owner = fs::metadata(cwd).map(|metadata| metadata.uid()).ok();
        let homes: Vec<PathBuf> = [uid, owner].into_iter().flatten().filter_map(|uid| self.home_of(uid)).collect();
        places(cwd, &homes)
    }

    fn home_of(&mut self, uid: u32) -> Option<PathBuf> {
        self.homes.entry(uid).or_insert_with(|| users::home_of(uid)).clone()
    }
}

fn places(cwd: &Path, homes: &[PathBuf]) -> Vec<Place> {
    let is_beyond = |directory: &Path| homes.iter().any(|home| home.starts_with(directory));
    cwd.ancestors()
        .take(MOST)
        .take_while(|directory| directory.parent().is_some() && (*directory == cwd || !is_beyond(directory)))
        .filter(|directory| !is_shared(directory))
        .map(|directory| Place { directory: directory.to_owned(), is_home: homes.iter().any(|home| home == directory) })
        .collect()
}

/// Whether everybody may put files into a directory, as into /tmp.
fn is_shared(directory: &Path) -> bool {
    const WRITABLE_BY_ALL: u32 = 0o002;
    fs::metadata(directory).is_ok_and(|metadata| metadata.mode() & WRITABLE_BY_ALL != 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn neither_homes_nor_the_root_nor_shared_directories_are_projects_of_what_is_below() {
        let of = |cwd: &str, home: &str| -> Vec<String> {
            let found = places(Path::new(cwd), &[PathBuf::from(home)]);
            found.into_iter().map(|place| place.directory.display().to_string()).collect()
        };
        assert_eq!(of("/home/ada/shop/web", "/home/ada"), ["/home/ada/shop/web", "/home/ada/shop"]);
        assert_eq!(of("/home/ada", "/home/ada"), ["/home/ada"]);
        assert_eq!(of("/home", "/home/ada"), ["/home"]);
        assert_eq!(of("/srv/shop", "/home/ada"), ["/srv/shop", "/srv"]);
        let shared = tempfile::tempdir().unwrap();
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
        let own = shared.path().join("own");
        let found = places(&own, &[PathBuf::from("/home/ada")]);
        assert!(found[0].directory == own && found.iter().all(|place| place.directory != shared.path()), "{found:?}");
        assert_eq!(of("/", "/home/ada"), [] as [&str; 0]);
        assert_eq!(of("/srv", "/"), ["/srv"]);
        let own = places(Path::new("/home/ada"), &[PathBuf::from("/home/ada")]);
        assert!(own.iter().all(|place| place.is_home), "{own:?}");
    }
}
