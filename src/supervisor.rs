//! Which unit of systemd or which container a cgroup path belongs to, read from the path alone.
//!
//! The forms of the paths are those that the programs themselves create: systemd's are described in
//! systemd.unit(5) and systemd.special(7), Kubernetes' in its kubelet's cgroup driver, the rest was
//! read off running systems.

pub mod command;

use crate::model::{Container, Forwarder, Manager, Runtime, Unit};

/// Who looks after the processes of a cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Supervisor {
    /// The unit. `None` inside a container, whose units are not this machine's.
    pub unit: Option<Unit>,
    /// The container.
    pub container: Option<Container>,
}

/// Reads a path such as `/system.slice/nginx.service` or `/docker/8f3a…`.
///
/// Only the part that root or systemd named counts: below a unit, whoever it is delegated to makes
/// directories of any name (systemd, CGROUP_DELEGATION). What a user named counts as that user's.
pub fn of_cgroup(path: &str) -> Supervisor {
    let components: Vec<&str> = path.split('/').filter(|component| !component.is_empty()).collect();
    match below_user_manager(&components) {
        Some((user, own)) if !own.is_empty() => of_components(own, Some(user)),
        _ => of_components(&components, None),
    }
}

/// The user and the part of the path that the user's own service manager named.
fn below_user_manager<'a, 'b>(components: &'a [&'b str]) -> Option<(u32, &'a [&'b str])> {
    let ["user.slice", slice, manager, own @ ..] = components else { return None };
    let user: u32 = manager.strip_prefix("user@")?.strip_suffix(".service")?.parse().ok()?;
    (*slice == format!("user-{user}.slice")).then_some((user, own))
}

fn of_components(components: &[&str], user: Option<u32>) -> Supervisor {
    let slices = components.iter().take_while(|component| component.strip_suffix(".slice").is_some()).count();
    let Some(first) = components.get(slices) else { return Supervisor::default() };
    if is_root_of_containers(components, slices) {
        // The innermost container is the one the process is in; the outer ones are its hosts.
        let container = (slices..components.len()).rev().find_map(|index| container_at(components, index));
        if let Some(container) = container {
            return Supervisor { unit: None, container: Some(Container { user, ..container }) };
        }
    }
    // systemd puts services into slices.
    let is_unit = is_unit(first) && (slices > 0 || user.is_some() || *first == "init.scope");
    let manager = if user.is_some() { Manager::User } else { Manager::System };
    let unit = is_unit.then(|| Unit::new(*first, manager, user));
    Supervisor { unit, container: None }
}

/// Whether the part of the path that begins at `index` is made by a container engine.
fn is_root_of_containers(components: &[&str], index: usize) -> bool {
    const ROOTS: [&str; 7] = ["docker", "libpod_parent", "kubepods", "lxc", "default", "moby", "k8s.io"];
    let first = components[index];
    ROOTS.contains(&first)
        || container_at(components, index).is_some()
        || matches!(Forwarder::of_unit(first), Some(Forwarder::Engine(_)))
}

fn is_unit(component: &str) -> bool {
    const SUFFIXES: [&str; 5] = [".service", ".scope", ".socket", ".mount", ".swap"];
    SUFFIXES.iter().any(|suffix| component.ends_with(suffix))
}

/// Whether a unit is a service that can be stopped for what holds a port in it. Not the service of
/// a forwarder: everything that it holds for others would end with it.
pub fn is_service(unit: &Unit) -> bool {
    names_service(unit) && Forwarder::of_unit(&unit.name).is_none()
}

/// Whether a unit is somebody's service: sessions are units too, and so are the managers
/// themselves.
pub fn names_service(unit: &Unit) -> bool {
    unit.name.ends_with(".service") && !unit.name.starts_with("user@")
}

fn container_at(components: &[&str], index: usize) -> Option<Container> {
    const PREFIXES: [(&str, Runtime); 5] = [
        ("docker-", Runtime::Docker),
        ("libpod-", Runtime::Podman),
        ("cri-containerd-", Runtime::Containerd),
        ("nerdctl-", Runtime::Containerd),
        ("crio-", Runtime::Crio),
    ];
    let component = components[index];
    let parent = index.checked_sub(1).map_or("", |parent| components[parent]);
    let found = |runtime: Runtime, id: &str| {
        let pod = components[..index].iter().rev().find_map(|component| pod_uid(component));
        Some(Container { runtime, id: id.to_owned(), pod, user: None })
    };

    // `system.slice/docker-ID.scope`, or `libpod-ID` where systemd does not manage the cgroups.
    let name = component.strip_suffix(".scope").unwrap_or(component);
    for (prefix, runtime) in PREFIXES {
        if let Some(id) = name.strip_prefix(prefix).filter(|id| is_id(id)) {
            return found(runtime, id);
        }
    }
    // `kubepods-besteffort-pod….slice:cri-containerd:ID`: systemd's notation taken for a path.
    if let Some((_, id)) = component.split_once(":cri-containerd:").filter(|(_, id)| is_id(id)) {
        return found(Runtime::Containerd, id);
    }
    if is_id(component) {
        let in_pod = components[..index].iter().any(|component| pod_uid(component).is_some());
        return match parent {
            "docker" => found(Runtime::Docker, component),
            "libpod_parent" => found(Runtime::Podman, component),
            _ if in_pod => found(Runtime::Kubernetes, component),
            // containerd's default: /NAMESPACE/ID.
            "default" | "moby" | "k8s.io" => found(Runtime::Containerd, component),
            _ => None,
        };
    }
    let (runtime, name) = machine_at(parent, component)?;
    found(runtime, &name)
}

/// The machine that a cgroup is of, in systemd-nspawn or LXC, and its name.
fn machine_at(parent: &str, component: &str) -> Option<(Runtime, String)> {
    if let Some(machine) = component.strip_prefix("systemd-nspawn@").and_then(|name| name.strip_suffix(".service")) {
        return Some((Runtime::Nspawn, unescape(machine)));
    }
    if let Some(machine) = component.strip_prefix("machine-").and_then(|name| name.strip_suffix(".scope")) {
        let machine = unescape(machine);
        // libvirt registers virtual machines the same way; what runs in those has no process here.
        return (!machine.starts_with("qemu-")).then_some((Runtime::Nspawn, machine));
    }
    let name = component.strip_prefix("lxc.payload.");
    let name = name.or_else(|| matches!(parent, "lxc" | "lxc.payload").then_some(component))?;
    Some((Runtime::Lxc, name.to_owned()))
}

/// The uid of a pod in `pod2d9c…` or `kubepods-burstable-pod2d9c_….slice`.
fn pod_uid(component: &str) -> Option<String> {
    let name = component.strip_suffix(".slice").unwrap_or(component);
    let uid = match name.strip_prefix("kubepods") {
        Some(rest) => rest.rsplit_once("-pod")?.1,
        None => name.strip_prefix("pod")?,
    };
    let is_uid = uid.len() >= 32 && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'_'));
    is_uid.then(|| uid.replace('_', "-"))
}

/// Container ids are SHA-256 in hexadecimal.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Undoes the `\x2d` of systemd-escape(1).
fn unescape(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find("\\x") {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        match rest.get(at + 2..at + 4).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[at + 4..];
            }
            None => {
                bytes.extend_from_slice(b"\\x");
                rest = &rest[at + 2..];
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "8f3a0c1d2e4b5a69788796a5b4c3d2e1f00112233445566778899aabbccddeef";

    #[track_caller]
    fn unit(path: &str, name: &str, manager: Manager) {
        let user = (manager == Manager::User).then_some(1000);
        let expected = Supervisor { unit: Some(Unit::new(name, manager, user)), container: None };
        assert_eq!(of_cgroup(path), expected, "{path}");
    }

    #[track_caller]
    fn container(path: &str, runtime: Runtime, id: &str, pod: Option<&str>) {
        let container = Container { runtime, id: id.to_owned(), pod: pod.map(str::to_owned), user: None };
        assert_eq!(of_cgroup(path), Supervisor { unit: None, container: Some(container) }, "{path}");
    }

    #[test]
    fn units_of_the_system_and_of_users() {
        unit("/system.slice/nginx.service", "nginx.service", Manager::System);
        unit(
            "/system.slice/system-postgresql.slice/postgresql@15-main.service",
            "postgresql@15-main.service",
            Manager::System,
        );
        unit("/system.slice/foo.service/worker/1", "foo.service", Manager::System);
        unit("/user.slice/user-1000.slice/session-3.scope", "session-3.scope", Manager::System);
        unit("/user.slice/user-1000.slice/user@1000.service", "user@1000.service", Manager::System);
        unit("/user.slice/user-1000.slice/user@1000.service/app.slice/api.service", "api.service", Manager::User);
    }

    /// Directories of any name are made by whoever a cgroup is delegated to: a container and sshd
    /// were stopped for them.
    #[test]
    fn what_a_delegated_cgroup_is_called_does_not_count() {
        unit("/system.slice/evil.service/sshd.service", "evil.service", Manager::System);
        unit(&format!("/system.slice/evil.service/docker-{ID}.scope"), "evil.service", Manager::System);
        unit("/system.slice/evil.service/user@0.service/app.slice/sshd.service", "evil.service", Manager::System);
        unit("/user.slice/user-1000.slice/session-3.scope/sshd.service", "session-3.scope", Manager::System);
        let user = "/user.slice/user-1000.slice/user@1000.service";
        unit(&format!("{user}/app.slice/evil.service/sshd.service"), "evil.service", Manager::User);
        unit(&format!("{user}/app.slice/user@0.service/sshd.service"), "user@0.service", Manager::User);
        for path in [
            "/evil.service/sshd.service".to_owned(),
            "/ada/sshd.service".to_owned(),
            format!("/ada/docker/{ID}"),
            format!("/ada/docker-{ID}.scope"),
            format!("/user@4001.service/app.slice/docker-{ID}.scope"),
        ] {
            assert_eq!(of_cgroup(&path), Supervisor::default(), "{path}");
        }
    }

    #[test]
    fn a_container_in_the_part_of_a_user_is_that_users() {
        let path = format!("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container");
        let found = of_cgroup(&path).container.unwrap();
        assert_eq!((found.runtime, &*found.id, found.user), (Runtime::Podman, ID, Some(1000)));
    }

    #[test]
    fn containers_of_each_runtime() {
        let pod = "2d9c1f30-aaaa-bbbb-cccc-0123456789ab";
        let pod_ = pod.replace('-', "_");
        container(&format!("/docker/{ID}"), Runtime::Docker, ID, None);
        container(&format!("/system.slice/docker-{ID}.scope"), Runtime::Docker, ID, None);
        container(&format!("/machine.slice/libpod-{ID}.scope/container"), Runtime::Podman, ID, None);
        container(&format!("/system.slice/nerdctl-{ID}.scope"), Runtime::Containerd, ID, None);
        container(&format!("/default/{ID}"), Runtime::Containerd, ID, None);
        container(&format!("/kubepods/burstable/pod{pod}/{ID}"), Runtime::Kubernetes, ID, Some(pod));
        let slice = format!("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{pod_}.slice");
        container(&format!("{slice}/cri-containerd-{ID}.scope"), Runtime::Containerd, ID, Some(pod));
        container(&format!("{slice}/crio-{ID}.scope/container"), Runtime::Crio, ID, Some(pod));
        let in_unit =
            format!("/system.slice/containerd.service/kubepods-besteffort-pod{pod_}.slice:cri-containerd:{ID}");
        container(&in_unit, Runtime::Containerd, ID, None);
        container("/machine.slice/systemd-nspawn@web.service/payload", Runtime::Nspawn, "web", None);
        container("/machine.slice/machine-my\\x2dweb.scope", Runtime::Nspawn, "my-web", None);
        container("/lxc.payload.web/system.slice/nginx.service", Runtime::Lxc, "web", None);
        container("/lxc/web", Runtime::Lxc, "web", None);
    }

    #[test]
    fn the_innermost_container_counts() {
        let inner = "0".repeat(64);
        let path = format!("/docker/{ID}/kubelet/kubepods/pod{}/{inner}", "2d9c1f30-aaaa-bbbb-cccc-0123456789ab");
        assert_eq!(of_cgroup(&path).container.map(|container| container.id), Some(inner));
    }

    #[test]
    fn what_belongs_to_nobody_is_left_alone() {
        for path in ["", "/", "/user.slice", "/docker", "/docker/short", "/../outside", "/a/b", "\\x", "/machine-\\xzz"]
        {
            assert_eq!(of_cgroup(path), Supervisor::default(), "{path}");
        }
        // Conmon watches the container from outside; a libvirt guest is no container.
        assert_eq!(of_cgroup(&format!("/machine.slice/libpod-conmon-{ID}.scope")).container, None);
        assert_eq!(of_cgroup("/machine.slice/machine-qemu\\x2d1\\x2dvm.scope").container, None);
    }
}
