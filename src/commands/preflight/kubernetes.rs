//! Manifests of Kubernetes: `hostPort`, `nodePort`, and the ports of pods in the network of the
//! host.

use std::path::Path;
use std::rc::Rc;

use super::lines::Lines;
use super::wanted::{Asked, Fault, Kind, Wanted, address, port};
use super::yaml::{self, Node};
use crate::model::Protocol;

/// Where the pod is in each kind of object.
const PODS: [(&str, &[&str]); 9] = [
    ("Pod", &["spec"]),
    ("Deployment", TEMPLATE),
    ("StatefulSet", TEMPLATE),
    ("DaemonSet", TEMPLATE),
    ("ReplicaSet", TEMPLATE),
    ("ReplicationController", TEMPLATE),
    ("Job", TEMPLATE),
    ("PodTemplate", &["template", "spec"]),
    ("CronJob", &["spec", "jobTemplate", "spec", "template", "spec"]),
];

const TEMPLATE: &[&str] = &["spec", "template", "spec"];

/// The most entries that are read, those of an alias as often as it stands for them.
const MOST: usize = 200_000;

/// Whether a text looks like a manifest.
pub fn is_manifest(text: &str) -> bool {
    let has = |key: &str| text.lines().any(|line| line.starts_with(key));
    has("apiVersion:") && has("kind:")
}

/// What the manifest asks for.
pub fn read(file: &Path, text: &str) -> Result<Vec<Wanted>, Fault> {
    let documents = yaml::parse(text).map_err(|malformed| Fault::at(file, malformed.spot, malformed.message))?;
    let mut reader = Reader { file, lines: Lines::of(file, Kind::Kubernetes), left: MOST };
    for document in &documents {
        reader.object(document, true)?;
    }
    Ok(reader.lines.wanted)
}

struct Reader<'a> {
    file: &'a Path,
    lines: Lines,
    /// How many entries may still be read.
    left: usize,
}

impl Reader<'_> {
    fn object(&mut self, object: &Node, may_be_list: bool) -> Result<(), Fault> {
        let kind = object.get("kind").and_then(|kind| kind.text()).unwrap_or_default();
        let name = object.find(&["metadata", "name"]).and_then(Node::text).unwrap_or(kind);
        if kind.ends_with("List") && may_be_list {
            let items = object.get("items").map_or(&[][..], |items| items.items());
            return items.iter().try_for_each(|item| self.object(item, false));
        }
        if kind == "Service" {
            return self.entries(object.find(&["spec", "ports"]), name, "nodePort");
        }
        let Some((_, path)) = PODS.iter().find(|(known, _)| *known == kind) else { return Ok(()) };
        let Some(pod) = object.find(path) else { return Ok(()) };
        let is_on_host = pod.get("hostNetwork").and_then(|value| value.text()) == Some("true");
        for list in ["initContainers", "containers"] {
            for container in pod.get(list).map_or(&[][..], |list| list.items()) {
                let key = if is_on_host { "containerPort" } else { "hostPort" };
                self.entries(container.get("ports").map(|ports| &**ports), name, key)?;
            }
        }
        Ok(())
    }

    /// Adds the entries of `ports` that have this key.
    fn entries(&mut self, ports: Option<&Node>, name: &str, key: &str) -> Result<(), Fault> {
        let entries: &[Rc<Node>] = ports.map_or(&[], Node::items);
        for entry in entries {
            let too_many = || Fault::at(self.file, entry.spot, format!("it has more than {MOST} ports"));
            self.left = self.left.checked_sub(1).ok_or_else(too_many)?;
            let Some(node) = entry.get(key).filter(|node| !node.is_null()) else { continue };
            super::require_room(&self.lines.wanted, self.file, node.spot)?;
            let text = node.text().unwrap_or_default();
            let wrong = |what: String| Fault::at(self.file, node.spot, what);
            if text == "0" {
                continue;
            }
            let port = port(text).ok_or_else(|| wrong(format!("{key} '{text}' is no port")))?;
            let protocol = match entry.get("protocol").and_then(|protocol| protocol.text()).unwrap_or("TCP") {
                "TCP" => Protocol::Tcp,
                "UDP" => Protocol::Udp,
                _ => continue,
            };
            let host = entry.get("hostIP").and_then(|host| host.text()).filter(|host| !host.is_empty());
            let address = match host {
                Some(host) => Some(address(host).ok_or_else(|| wrong(format!("hostIP '{host}' is no IP address")))?),
                None => None,
            };
            let wanted = self.lines.add(node.spot.line, name, Asked::One(port));
            (wanted.spot, wanted.address, wanted.protocol) = (node.spot, address, protocol);
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(feature = "preflight")]
mod tests {
    use super::*;

    #[test]
    fn ports_of_the_host_and_the_node() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n  - ports:\n    - {containerPort: 80, hostPort: 8080}\n    \
                    - {containerPort: 81}\n---\nkind: Service\nmetadata: {name: api}\nspec: {type: NodePort, ports: [{port: 80, nodePort: 30080, protocol: UDP}]}\n\
                    ---\nkind: DaemonSet\nmetadata: {name: agent}\nspec: {template: {spec: {hostNetwork: true, containers: [{ports: [{containerPort: 9100}]}]}}}\n";
        let found = read(Path::new("k.yaml"), text).unwrap();
        let words: Vec<String> = found
            .iter()
            .map(|one| format!("{} {} {:?}/{}", one.spot.line, one.service, one.port, one.protocol))
            .collect();
        assert_eq!(words, ["7 web One(8080)/tcp", "12 api One(30080)/udp", "16 agent One(9100)/tcp"]);
        let wrong = read(Path::new("k.yaml"), "kind: Pod\nspec: {containers: [{ports: [{hostPort: x}]}]}\n");
        assert_eq!(wrong.unwrap_err().to_string(), "k.yaml:2:41: hostPort 'x' is no port");
    }
}
