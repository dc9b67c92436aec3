//! Programs that hold ports for others, all of whom would end with them: Docker Desktop and its like, WSL, the service hosts of Windows.

use crate::model::Process;

/// For whom a program holds ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broker {
    /// For the containers of Docker Desktop.
    DockerDesktop,
    /// For the containers and machines of a program of this name.
    Machines(&'static str),
    /// For services of Windows, of which one process runs several.
    ServiceHost,
    /// For Windows itself, which restarts without it.
    Windows,
}

impl Broker {
    /// Which one `process` is, by its name.
    #[must_use]
    pub fn of(process: &Process) -> Option<Self> {
        Some(match &*process.name.to_ascii_lowercase() {
            "com.docker.backend" | "com.docker.backend.exe" => Self::DockerDesktop,
            "orbstack helper" => Self::Machines("OrbStack"),
            "gvproxy" | "gvproxy.exe" | "win-sshproxy.exe" => Self::Machines("podman machine"),
            "wslrelay.exe" => Self::Machines("WSL"),
            "svchost.exe" => Self::ServiceHost,
            "lsass.exe" | "services.exe" | "wininit.exe" | "winlogon.exe" | "csrss.exe" | "smss.exe" => Self::Windows,
            _ => return None,
        })
    }

    /// Why it is never ended, as the rest of a sentence about it.
    #[must_use]
    pub fn reason(self) -> String {
        match self {
            Self::DockerDesktop => {
                "has the ports of all containers of Docker Desktop, and is never ended itself".to_owned()
            }
            Self::Machines(name) => format!("has the ports of all that runs in {name}, and is never ended itself"),
            Self::ServiceHost => "runs services of Windows, perhaps several, and is never ended itself".to_owned(),
            Self::Windows => "is a part of Windows, which does not run without it".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::process;

    #[test]
    fn they_are_known_by_their_names() {
        let of = |name: &str| Broker::of(&process(42, 7, name));
        assert_eq!(of("com.docker.backend"), Some(Broker::DockerDesktop));
        assert_eq!(of("OrbStack Helper"), Some(Broker::Machines("OrbStack")));
        assert_eq!(of("SvcHost.exe"), Some(Broker::ServiceHost));
        assert_eq!(of("lsass.exe"), Some(Broker::Windows));
        for other in ["services", "svchost", "docker", "node.exe"] {
            assert_eq!(of(other), None);
        }
    }
}
