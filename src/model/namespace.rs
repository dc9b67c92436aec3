//! Network namespaces (network_namespaces(7)) other than our own.

use super::Pid;
use super::process::is_id;

/// A network namespace other than the one that portcheck runs in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace {
    /// What people call it.
    pub name: NamespaceName,
    /// The inode of its file, which identifies it. Without privilege it is known only for the
    /// namespaces of one's own processes.
    pub inode: Option<u64>,
    /// The process in there with the lowest id, if one was seen.
    pub pid: Option<Pid>,
}

/// What a network namespace is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NamespaceName {
    /// By `ip netns`.
    Netns(String),
    /// By the container in it: its name, or the beginning of its id.
    Container(String),
    /// By the name of the process in it with the lowest id.
    Process(String),
    /// By nobody, and no process is in it: the path of a file that keeps it.
    File(String),
}

impl Namespace {
    /// The name that people gave it, or its container.
    pub fn given_name(&self) -> Option<&str> {
        match &self.name {
            NamespaceName::Netns(name) | NamespaceName::Container(name) => Some(name),
            NamespaceName::Process(_) | NamespaceName::File(_) => None,
        }
    }

    /// Whether this is what it is called. Of a container that is called by the beginning of its id, any
    /// other beginning will do.
    pub fn is_called(&self, typed: &str) -> bool {
        let is_hash = |name: &str| name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        match &self.name {
            NamespaceName::Container(name) if is_hash(name) => is_id(name, typed) || typed.starts_with(&**name),
            _ => self.title() == typed,
        }
    }

    /// In a column of namespaces: `blue`, `shop-web-1`, `of nginx (9622)`, `net:[4026532281]`.
    pub fn title(&self) -> String {
        match (&self.name, self.pid, self.inode) {
            (NamespaceName::Netns(name) | NamespaceName::Container(name), ..) => name.clone(),
            (NamespaceName::Process(name), Some(pid), _) => format!("of {name} ({pid})"),
            (NamespaceName::Process(name), None, _) => format!("of {name}"),
            (NamespaceName::File(_), _, Some(inode)) => format!("net:[{inode}]"),
            (NamespaceName::File(path), _, None) => path.clone(),
        }
    }

    /// In a sentence: `container shop-web-1`, `network namespace blue`, `the network namespace of
    /// nginx (pid 9622)`.
    pub fn phrase(&self) -> String {
        match (&self.name, self.pid) {
            (NamespaceName::Netns(name), _) => format!("network namespace {name}"),
            (NamespaceName::Container(name), _) => format!("container {name}"),
            (NamespaceName::Process(name), Some(pid)) => format!("the network namespace of {name} (pid {pid})"),
            (NamespaceName::Process(name), None) => format!("the network namespace of {name}"),
            (NamespaceName::File(path), _) => format!("network namespace {path}"),
        }
    }

    /// What `--in` takes for it.
    pub fn argument(&self) -> String {
        match (&self.name, self.pid) {
            (NamespaceName::Process(_), Some(pid)) => pid.to_string(),
            (
                NamespaceName::Netns(name)
                | NamespaceName::Container(name)
                | NamespaceName::Process(name)
                | NamespaceName::File(name),
                _,
            ) => name.clone(),
        }
    }

    /// The words that make root run a command in it.
    pub fn entering(&self) -> Vec<String> {
        match (&self.name, self.pid) {
            (NamespaceName::Netns(name), _) => ["ip", "netns", "exec", name].map(str::to_owned).to_vec(),
            (_, Some(pid)) => ["nsenter", "-t", &pid.to_string(), "-n"].map(str::to_owned).to_vec(),
            (_, None) => vec!["nsenter".to_owned(), format!("--net={}", self.argument())],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Regression: only the first 12 digits of an id were its name.
    #[test]
    fn a_container_is_called_by_any_beginning_of_its_id() {
        let called = |name: &str| {
            let namespace = Namespace { name: NamespaceName::Container(name.to_owned()), inode: Some(7), pid: None };
            move |typed: &str| namespace.is_called(typed)
        };
        let by_id = called("8f3a0c1d2e4b");
        assert!(["8f3", "8f3a0c1d2e4b", "8f3a0c1d2e4b5a69788796a5"].into_iter().all(&by_id));
        assert!(!["8f", "8f4", "8f3a0c1d2e4c5a69788796a5", ""].into_iter().any(&by_id));
        assert!(called("shop-web-1")("shop-web-1") && !called("shop-web-1")("shop"));
    }

    #[test]
    fn what_people_read_and_type() {
        let all = |name: NamespaceName, pid: Option<Pid>| {
            let namespace = Namespace { name, inode: Some(7), pid };
            let (title, phrase) = (namespace.title(), namespace.phrase());
            (title, phrase, namespace.argument(), namespace.entering().join(" "))
        };
        let expect = |title: &str, phrase: &str, argument: &str, entering: &str| {
            (title.to_owned(), phrase.to_owned(), argument.to_owned(), entering.to_owned())
        };
        let (netns, container) = (NamespaceName::Netns("blue".into()), NamespaceName::Container("web".into()));
        assert_eq!(all(netns, Some(9)), expect("blue", "network namespace blue", "blue", "ip netns exec blue"));
        assert_eq!(all(container, Some(9)), expect("web", "container web", "web", "nsenter -t 9 -n"));
        let process = all(NamespaceName::Process("nginx".into()), Some(9));
        let phrase = "the network namespace of nginx (pid 9)";
        assert_eq!(process, expect("of nginx (9)", phrase, "9", "nsenter -t 9 -n"));
        let file = all(NamespaceName::File("/run/x".into()), None);
        assert_eq!(file, expect("net:[7]", "network namespace /run/x", "/run/x", "nsenter --net=/run/x"));
    }
}
