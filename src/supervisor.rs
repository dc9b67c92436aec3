//! Which unit of systemd or which container a cgroup path belongs to, read from the path alone.
//!
//! The forms of the paths are those that the programs themselves create: systemd's are described in
//! systemd.unit(5) and systemd.special(7), Kubernetes' in its kubelet's cgroup driver, the rest was
//! read off running systems.

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
#[must_use]
pub fn of_cgroup(path: &str) -> Supervisor {
    let components: Vec<&str> = path.split('/').filter(|component| !component.is_empty()).collect();
    // The innermost container is the one the process is in; the outer ones are its hosts.
    let container = (0..components.len()).rev().find_map(|index| container_at(&components, index));
    let unit = if container.is_some() { None } else { unit_of(&components) };
    Supervisor { unit, container }
}

/// Whether a unit is a service that can be stopped for what holds a port in it. Not the service of a forwarder: everything that
/// it holds for others would end with it.
#[must_use]
pub fn is_service(unit: &Unit) -> bool {
    names_service(unit) && Forwarder::of_unit(&unit.name).is_none()
}

/// Whether a unit is somebody's service: sessions are units too, and so are the managers themselves.
#[must_use]
pub fn names_service(unit: &Unit) -> bool {
    unit.name.ends_with(".service") && !unit.name.starts_with("user@")
}

fn unit_of(components: &[&str]) -> Option<Unit> {
    const SUFFIXES: [&str; 5] = [".service", ".scope", ".socket", ".mount", ".swap"];
    let is_unit = |component: &&str| SUFFIXES.iter().any(|suffix| component.ends_with(suffix));
    let index = components.iter().rposition(is_unit)?;
    let mut above = components[..index].iter();
    let user = above.find_map(|component| component.strip_prefix("user@")?.strip_suffix(".service"));
    Some(Unit {
        name: components[index].to_owned(),
        manager: if user.is_some() { Manager::User } else { Manager::System },
        user: user.and_then(|user| user.parse().ok()),
    })
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
        Some(Container { runtime, id: id.to_owned(), pod })
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
    if let Some(machine) = component.strip_prefix("systemd-nspawn@").and_then(|name| name.strip_suffix(".service")) {
        return found(Runtime::Nspawn, &unescape(machine));
    }
    if let Some(machine) = component.strip_prefix("machine-").and_then(|name| name.strip_suffix(".scope")) {
        let machine = unescape(machine);
        // libvirt registers virtual machines the same way; what runs in those has no process here.
        return if machine.starts_with("qemu-") { None } else { found(Runtime::Nspawn, &machine) };
    }
    if let Some(name) = component.strip_prefix("lxc.payload.") {
        return found(Runtime::Lxc, name);
    }
    if matches!(parent, "lxc" | "lxc.payload") {
        return found(Runtime::Lxc, component);
    }
    None
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
        let expected = Supervisor { unit: Some(Unit { name: name.to_owned(), manager, user }), container: None };
        assert_eq!(of_cgroup(path), expected, "{path}");
    }

    #[track_caller]
    fn container(path: &str, runtime: Runtime, id: &str, pod: Option<&str>) {
        let container = Container { runtime, id: id.to_owned(), pod: pod.map(str::to_owned) };
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
