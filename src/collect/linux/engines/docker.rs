//! The list of containers as Docker's engine gives it, and Podman's service alike: `GET /containers/json`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

use crate::model::{Engine, EngineContainer, Protocol, PublishedPort};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    names: Option<Vec<String>>,
    image: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    ports: Option<Vec<ListedPort>>,
    network_settings: Option<ListedNetworks>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedNetworks {
    networks: Option<BTreeMap<String, Option<ListedNetwork>>>,
}

#[derive(Debug, Deserialize)]
struct ListedNetwork {
    #[serde(rename = "IPAddress")]
    address: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedPort {
    #[serde(rename = "IP")]
    ip: Option<String>,
    private_port: u16,
    public_port: Option<u16>,
    #[serde(rename = "Type")]
    protocol: String,
}

/// The containers that run. An id that is none is left out.
pub fn parse(json: &[u8], engine: &Engine) -> Result<Vec<EngineContainer>, String> {
    let listed: Vec<Listed> =
        serde_json::from_slice(json).map_err(|error| format!("its list of containers is malformed: {error}"))?;
    let is_id = |listed: &Listed| listed.id.len() == 64 && listed.id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let container = |listed: Listed| EngineContainer {
        engine: engine.clone(),
        id: listed.id,
        // A name has a slash in front; one with another inside is that of a link.
        name: listed.names.unwrap_or_default().iter().find_map(|name| {
            let name = name.strip_prefix('/').unwrap_or(name);
            (!name.is_empty() && !name.contains('/')).then(|| name.to_owned())
        }),
        image: listed.image,
        labels: listed.labels.unwrap_or_default(),
        ports: listed.ports.unwrap_or_default().iter().filter_map(published).collect(),
        address: listed.network_settings.and_then(only_address),
    };
    Ok(listed.into_iter().filter(is_id).map(container).collect())
}

/// The address of a container that is in one network only.
fn only_address(networks: ListedNetworks) -> Option<IpAddr> {
    let networks = networks.networks?;
    let mut addresses = networks.values().flatten().filter_map(|network| network.address.as_ref()?.parse().ok());
    let first = addresses.next()?;
    addresses.next().is_none().then_some(first)
}

/// `None` for a port that is not published, or of another protocol.
fn published(port: &ListedPort) -> Option<PublishedPort> {
    let protocol = match &*port.protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return None,
    };
    let address = port.ip.as_deref().filter(|ip| !ip.is_empty()).unwrap_or("0.0.0.0");
    let listen = SocketAddr::new(address.parse::<IpAddr>().ok()?, port.public_port?);
    Some(PublishedPort { protocol, listen, to: port.private_port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Runtime;

    fn engine() -> Engine {
        Engine { runtime: Runtime::Docker, socket: None, is_default: true }
    }

    /// Two engines, as they answered.
    #[test]
    fn what_an_engine_lists_is_read() {
        let read = |json: &str| parse(json.as_bytes(), &engine()).unwrap().pop().unwrap();
        let docker = read(include_str!("recorded/docker-20.10.json"));
        assert_eq!((docker.title(), docker.image.as_deref()), ("shop-web-1", Some("shop:1")));
        let compose = docker.compose().unwrap();
        let files = vec!["/srv/shop/compose.yaml"];
        assert_eq!((compose.project, compose.service, compose.files), ("shop", Some("web"), files));
        assert_eq!(docker.address, None, "it is in two networks");
        let ports = |container: &EngineContainer| -> Vec<String> {
            container.ports.iter().map(|port| format!("{} {} -> {}", port.protocol, port.listen, port.to)).collect()
        };
        assert_eq!(ports(&docker), ["udp 127.0.0.1:8443 -> 443", "tcp 0.0.0.0:8081 -> 80", "tcp [::]:8081 -> 80"]);

        // Podman leaves out the address that stands for all.
        let podman = read(include_str!("recorded/podman-4.3.json"));
        assert_eq!((podman.title(), podman.compose().unwrap().service), ("shop_web_1", Some("web")));
        assert_eq!(
            (podman.address, ports(&podman)),
            (Some(IpAddr::from([10, 88, 0, 2])), vec!["tcp 0.0.0.0:8081 -> 80".to_owned()])
        );
    }

    #[test]
    fn a_name_is_not_that_of_a_link_and_an_id_is_whole() {
        let id = "8f".repeat(32);
        let json = format!(
            r#"[{{"Id":"{id}","Names":["/other/link","/web"],"Ports":[{{"IP":"0.0.0.0","PrivatePort":1,"PublicPort":1,"Type":"sctp"}}],
                "NetworkSettings":{{"Networks":{{"none":null}}}}}},{{"Id":"short","Names":null,"Ports":null,"Labels":null}}]"#
        );
        let [container] = &parse(json.as_bytes(), &engine()).unwrap()[..] else { panic!() };
        assert_eq!((&*container.id, container.title(), &container.ports[..]), (&*id, "web", &[][..]));
    }

    #[test]
    fn what_is_malformed_is_said() {
        for text in ["", "{}", "[{}]", r#"[{"Id":7}]"#, r#"{"message":"no"}"#] {
            assert!(parse(text.as_bytes(), &engine()).unwrap_err().contains("malformed"), "{text}");
        }
        assert_eq!(parse(b"[]", &engine()).unwrap(), []);
    }
}
