//! The files that define a unit of systemd: its own, and its drop-ins (systemd.unit(5)).

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::socket_units::{directories, drop_ins, own_home};
use crate::model::{Manager, Process, Socket, Unit};
use crate::platform::foreign;

/// How long file systems get to answer.
const PATIENCE: Duration = Duration::from_millis(300);

/// Adds them to the units of `processes`, and to those that systemd opened `sockets` for.
pub fn assign(sockets: &mut [Socket], processes: &mut [Process]) {
    let of_processes = processes.iter().filter_map(|process| process.unit.clone());
    let units: Vec<Unit> =
        sockets.iter().filter_map(|socket| socket.activated_by.as_deref().cloned()).chain(of_processes).collect();
    if units.is_empty() {
        return;
    }
    let look = move || units.into_iter().map(|unit| (of(Path::new("/"), &unit), unit)).collect::<Vec<_>>();
    let found = foreign::within(PATIENCE, look).unwrap_or_default();
    let of_sockets = sockets.iter_mut().filter_map(|socket| socket.activated_by.as_deref_mut());
    for unit in processes.iter_mut().filter_map(|process| process.unit.as_mut()).chain(of_sockets) {
        if let Some((files, _)) = found.iter().find(|(_, known)| known == unit) {
            unit.files.clone_from(files);
        }
    }
}

/// The file of a unit in the strongest directory that has one, and the drop-ins of all. Empty for units
/// without a file, such as the scopes of sessions.
fn of(root: &Path, unit: &Unit) -> Vec<PathBuf> {
    let user = match unit.manager {
        Manager::User => unit.user.or_else(|| Some(rustix::process::geteuid().as_raw())),
        Manager::System => None,
    };
    let directories = directories(root, unit.manager, own_home(user).as_deref());
    // An instance, web@1.service, is made by its template, web@.service.
    let template = unit.name.split_once('@').zip(unit.name.rsplit_once('.'));
    let template = template.map(|((stem, _), (_, kind))| format!("{stem}@.{kind}"));
    let names = [Some(unit.name.clone()), template];
    let names: Vec<&String> = names.iter().flatten().collect();
    let file = |name: &&String| directories.iter().map(|directory| directory.join(name)).find(|path| path.is_file());
    let main = names.iter().find_map(file);
    main.into_iter().chain(names.iter().flat_map(|name| drop_ins(&directories, name))).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_strongest_file_comes_before_the_drop_ins_of_all_directories() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for directory in ["etc/systemd/system/web@.service.d", "lib/systemd/system/web@1.service.d"] {
            fs::create_dir_all(path(directory)).unwrap();
        }
        for file in [
            "etc/systemd/system/web@.service",
            "lib/systemd/system/web@.service",
            "etc/systemd/system/web@.service.d/b.conf",
            "lib/systemd/system/web@1.service.d/a.conf",
            "lib/systemd/system/web@1.service.d/note.txt",
        ] {
            fs::write(path(file), "").unwrap();
        }
        let unit = |name: &str| Unit::new(name, Manager::System, None);
        let expected = [
            "etc/systemd/system/web@.service",
            "lib/systemd/system/web@1.service.d/a.conf",
            "etc/systemd/system/web@.service.d/b.conf",
        ];
        assert_eq!(of(root.path(), &unit("web@1.service")), expected.map(path));
        for other in ["session-3.scope", "../../x.service", "", "@", "."] {
            assert_eq!(of(root.path(), &unit(other)), Vec::<PathBuf>::new(), "{other}");
        }
    }
}
