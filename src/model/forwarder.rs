//! Forwarders: programs that hold ports for other places, such as containers, sessions, services
//! and tunnels. Ending one would end everything else that it holds, so none is ever ended.

use std::net::SocketAddr;

use super::{Process, Protocol, Runtime};

/// What a program holds ports for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarder {
    /// For the containers of an engine. The program is the engine or a part of it: dockerd, conmon.
    Engine(Runtime),
    /// For one container of Docker: docker-proxy.
    Proxy,
    /// For the containers or machines of the program with this name, which all run in one virtual
    /// machine.
    Desktop(&'static str),
    /// For a container or a virtual machine: pasta, QEMU.
    Guest,
    /// For a user who logged in and opened a tunnel: a session of sshd.
    SshSession,
    /// For services that it starts when they are needed: systemd, inetd.
    ServiceManager,
    /// For a VPN or the other end of a tunnel: openvpn.
    Tunnel,
    /// For services of Windows. One process runs several of them.
    ServiceHost,
    /// For Windows itself, which restarts if the process ends.
    Windows,
}

/// The programs, in lower case. A star stands for the rest of a name.
const PROGRAMS: &[(Forwarder, &[&str])] = &[
    (Forwarder::Engine(Runtime::Docker), &["dockerd", "rootlesskit", "buildkitd"]),
    (Forwarder::Proxy, &["docker-proxy"]),
    (Forwarder::Engine(Runtime::Podman), &["podman", "conmon", "rootlessport", "aardvark-dns"]),
    (Forwarder::Engine(Runtime::Containerd), &["containerd", "containerd-shim*"]),
    (Forwarder::Engine(Runtime::Crio), &["crio"]),
    (
        Forwarder::Engine(Runtime::Kubernetes),
        &["kubelet", "kube-proxy", "kubelite", "k3s", "k3s-agent", "k0s", "rke2", "rke2-server", "rke2-agent"],
    ),
    (Forwarder::Engine(Runtime::Lxc), &["lxd", "incusd"]),
    (Forwarder::Desktop("Docker Desktop"), &["com.docker.backend", "com.docker.backend.exe"]),
    (Forwarder::Desktop("OrbStack"), &["orbstack helper"]),
    (Forwarder::Desktop("podman machine"), &["gvproxy", "gvproxy.exe", "win-sshproxy.exe"]),
    (Forwarder::Desktop("WSL"), &["wslrelay.exe"]),
    (Forwarder::Desktop("Lima"), &["limactl"]),
    (Forwarder::Guest, &["slirp4netns", "pasta", "pasta.avx2", "passt", "passt.avx2"]),
    (Forwarder::Guest, &["runc", "crun", "systemd-nspawn", "lxc-start"]),
    (Forwarder::Guest, &["qemu-system-*", "vboxheadless", "virtualboxvm", "vmware-vmx", "firecracker"]),
    (Forwarder::SshSession, &["sshd-session"]),
    (Forwarder::ServiceManager, &["init", "launchd", "inetd", "xinetd"]),
    (Forwarder::Tunnel, &["openvpn", "openvpn-server", "openvpn-client", "ocserv"]),
    (Forwarder::Tunnel, &["charon", "charon-systemd", "pluto", "tincd"]),
    (Forwarder::Tunnel, &["wireguard-go", "boringtun", "boringtun-cli", "wg-quick"]),
    (Forwarder::Tunnel, &["tailscaled", "zerotier-one", "nebula", "netbird"]),
    (Forwarder::Tunnel, &["cloudflared", "frps"]),
    (Forwarder::ServiceHost, &["svchost.exe"]),
    (Forwarder::Windows, &["lsass.exe", "services.exe", "wininit.exe", "winlogon.exe", "csrss.exe", "smss.exe"]),
];

impl Forwarder {
    /// Which forwarder `process` is, by its program file. Its name, which it chooses itself, counts
    /// only if the file cannot be seen.
    pub fn of(process: &Process) -> Option<Self> {
        if process.is_service_manager() {
            return Some(Self::ServiceManager);
        }
        let file = process.exe.as_ref().and_then(|exe| exe.file_name()).map(|name| name.to_string_lossy());
        let program = file.as_deref().unwrap_or(&process.name);
        // On Linux, files that were replaced since, as by an upgrade.
        Self::of_program(program.strip_suffix(" (deleted)").unwrap_or(program), &process.command)
    }

    /// Which forwarder a service of systemd runs, by the name of the unit.
    pub fn of_unit(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".service")?;
        let stem = stem.split_once('@').map_or(stem, |(template, _)| template);
        match stem {
            "docker" | "snap.docker.dockerd" => Some(Self::Engine(Runtime::Docker)),
            stem => Self::of_program(stem, &[]),
        }
    }

    /// Which forwarder the program called `program` is with these arguments.
    fn of_program(program: &str, command: &[String]) -> Option<Self> {
        // sshd calls its sessions `sshd: ada@pts/0`, and the process that waits for logins `sshd:
        // /usr/sbin/sshd [listener]…`.
        if program == "sshd" && command.first().is_some_and(|title| is_session(title)) {
            return Some(Self::SshSession);
        }
        let program = program.to_ascii_lowercase();
        let is_it = |name: &&str| name.strip_suffix('*').map_or(*name == program, |start| program.starts_with(start));
        PROGRAMS.iter().find(|(_, names)| names.iter().any(&is_it)).map(|&(forwarder, _)| forwarder)
    }

    /// Why it is never ended, as the rest of a sentence about it.
    pub fn reason(self) -> String {
        let holds_for = match self {
            Self::Engine(runtime) => format!("holds ports for the containers of {}", runtime.title()),
            Self::Proxy => "holds the port for a container of Docker".to_owned(),
            Self::Desktop(name) => format!("holds the ports of everything that runs in {name}"),
            Self::Guest => "holds ports for a container or a virtual machine".to_owned(),
            Self::SshSession => "serves a login over ssh, with all its tunnels".to_owned(),
            Self::ServiceManager => "listens for the services that it starts".to_owned(),
            Self::Tunnel => "carries the connections of a VPN or a tunnel".to_owned(),
            Self::ServiceHost => "runs services of Windows, perhaps several".to_owned(),
            Self::Windows => return "is a part of Windows, which does not run without it".to_owned(),
        };
        format!("{holds_for}, and is never ended itself")
    }
}

/// The two ends of a docker-proxy, from its arguments: `-proto tcp -host-ip 0.0.0.0 -host-port 8080
/// -container-ip 172.17.0.2 -container-port 80`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proxied {
    /// The protocol of both ends.
    pub protocol: Protocol,
    /// Where it listens, on this machine.
    pub listen: SocketAddr,
    /// Where it forwards connections to, in a container.
    pub to: SocketAddr,
}

impl Proxied {
    /// `None` for other programs, and for arguments that docker-proxy does not have.
    pub fn of(process: &Process) -> Option<Self> {
        process.forwarder.filter(|&forwarder| forwarder == Forwarder::Proxy)?;
        Self::parse(&process.command)
    }

    /// Reads the arguments of a docker-proxy.
    pub fn parse(arguments: &[String]) -> Option<Self> {
        let option = |name: &str| {
            let at = arguments.iter().position(|argument| argument == name)?;
            arguments.get(at + 1).map(String::as_str)
        };
        let end = |ip: &str, port: &str| Some(SocketAddr::new(option(ip)?.parse().ok()?, option(port)?.parse().ok()?));
        Some(Self {
            protocol: match option("-proto")? {
                "tcp" => Protocol::Tcp,
                "udp" => Protocol::Udp,
                _ => return None,
            },
            listen: end("-host-ip", "-host-port")?,
            to: end("-container-ip", "-container-port")?,
        })
    }
}

fn is_session(title: &str) -> bool {
    title.strip_prefix("sshd: ").is_some_and(|rest| !rest.contains("[listener]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::process;

    #[test]
    fn they_are_known_by_their_programs() {
        let of = |program: &str| Forwarder::of(&process(42, 7, program));
        for (program, expected) in [
            ("dockerd", Forwarder::Engine(Runtime::Docker)),
            ("dockerd (deleted)", Forwarder::Engine(Runtime::Docker)),
            ("containerd-shim-runc-v2", Forwarder::Engine(Runtime::Containerd)),
            ("conmon", Forwarder::Engine(Runtime::Podman)),
            ("docker-proxy", Forwarder::Proxy),
            ("pasta.avx2", Forwarder::Guest),
            ("qemu-system-x86_64", Forwarder::Guest),
            ("openvpn", Forwarder::Tunnel),
            ("com.docker.backend", Forwarder::Desktop("Docker Desktop")),
            ("OrbStack Helper", Forwarder::Desktop("OrbStack")),
            ("SvcHost.exe", Forwarder::ServiceHost),
            ("lsass.exe", Forwarder::Windows),
        ] {
            assert_eq!(of(program), Some(expected), "{program}");
        }
        for other in ["services", "svchost", "docker", "node.exe", "sshd", "systemd-resolved", "qemu"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    /// A process can call itself anything. Its program file counts.
    #[test]
    fn a_name_makes_no_forwarder() {
        let named = Process { name: "dockerd".to_owned(), ..process(42, 7, "python3") };
        assert_eq!(Forwarder::of(&named), None);
        assert!(Forwarder::of(&Process { exe: None, ..named }).is_some(), "where nothing else tells");
        let claimed = |pid| Forwarder::of(&Process { name: "systemd".to_owned(), ..process(pid, 7, "python3") });
        assert_eq!((claimed(42), claimed(1)), (None, Some(Forwarder::ServiceManager)));
    }

    #[test]
    fn sessions_of_sshd_are_told_from_its_listener() {
        let titled = |title: &str| Process { command: vec![title.to_owned()], ..process(42, 7, "sshd") };
        for title in ["sshd: ada@pts/0", "sshd: ada [priv]", "sshd: ada"] {
            assert_eq!(Forwarder::of(&titled(title)), Some(Forwarder::SshSession), "{title}");
        }
        for title in ["/usr/sbin/sshd", "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"] {
            assert_eq!(Forwarder::of(&titled(title)), None, "{title}");
        }
        assert_eq!(Forwarder::of(&process(42, 7, "sshd-session")), Some(Forwarder::SshSession));
    }

    #[test]
    fn a_proxy_says_what_it_joins() {
        let line =
            "/usr/bin/docker-proxy -proto udp -host-ip :: -host-port 53 -container-ip 172.17.0.2 -container-port 5353";
        let run = |line: &str| Process {
            command: line.split(' ').map(str::to_owned).collect(),
            ..process(42, 7, "docker-proxy")
        };
        let found = Proxied::of(&run(line)).unwrap();
        assert_eq!((found.protocol, found.listen), (Protocol::Udp, "[::]:53".parse().unwrap()));
        assert_eq!(found.to, "172.17.0.2:5353".parse().unwrap());
        for other in [line.replace(" 53 ", " 65536 "), line.replace("udp", "sctp"), line.replace("-host-ip", "-x")] {
            assert_eq!(Proxied::of(&run(&other)), None, "{other}");
        }
        assert_eq!(Proxied::of(&Process { forwarder: None, ..run(line) }), None);
    }

    #[test]
    fn their_units_are_known_too() {
        assert_eq!(Forwarder::of_unit("docker.service"), Some(Forwarder::Engine(Runtime::Docker)));
        assert_eq!(Forwarder::of_unit("openvpn-server@home.service"), Some(Forwarder::Tunnel));
        for other in ["docker.socket", "nginx.service", "sshd.service", "docker-registry.service"] {
            assert_eq!(Forwarder::of_unit(other), None, "{other}");
        }
    }
}
