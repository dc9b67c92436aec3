//! What developers commonly run on a port, if IANA has no name for it, or an unhelpful one.

use crate::model::Protocol;

/// The protocols a use is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    Tcp,
    Udp,
    Both,
}

impl On {
    fn covers(self, protocol: Protocol) -> bool {
        match self {
            Self::Tcp => protocol == Protocol::Tcp,
            Self::Udp => protocol == Protocol::Udp,
            Self::Both => true,
        }
    }
}

/// What developers usually run on a port. `None` if no use stands out, or IANA's name already says
/// it.
///
/// Written by hand, from the default ports that the named programs document. Nobody assigns these.
pub fn common_use(port: u16, protocol: Protocol) -> Option<&'static str> {
    let found = TABLE.binary_search_by_key(&port, |&(port, ..)| port).ok()?;
    let (_, on, label) = TABLE.get(found)?;
    on.covers(protocol).then_some(*label)
}

/// Sorted by port, one line for each. A label is short enough for a column of a table.
///
/// A port whose IANA name is its use (`redis` on 6379, `mongodb` on 27017) has no line.
static TABLE: &[(u16, On, &str)] = &[
    (1025, On::Tcp, "Mailpit, MailHog (SMTP)"),
    (1234, On::Tcp, "LM Studio"),
    (1313, On::Tcp, "Hugo"),
    (1337, On::Tcp, "Strapi, Sails"),
    (1420, On::Tcp, "Tauri dev server"),
    (1521, On::Tcp, "Oracle Database"),
    (2019, On::Tcp, "Caddy admin API"),
    (2181, On::Tcp, "ZooKeeper"),
    (2222, On::Tcp, "SSH (alternate)"),
    (2345, On::Tcp, "Delve debugger"),
    (2368, On::Tcp, "Ghost"),
    (2525, On::Tcp, "SMTP (alternate)"),
    (3000, On::Tcp, "Node, Rails, Grafana"),
    (3001, On::Tcp, "Node dev server"),
    (3100, On::Tcp, "Grafana Loki"),
    (3307, On::Tcp, "MySQL (alternate)"),
    (3333, On::Tcp, "AdonisJS"),
    (4000, On::Tcp, "Phoenix, Jekyll, Apollo"),
    (4040, On::Tcp, "ngrok, Spark UI"),
    (4173, On::Tcp, "Vite preview"),
    (4200, On::Tcp, "Angular, Ember"),
    (4222, On::Tcp, "NATS"),
    (4318, On::Tcp, "OpenTelemetry (HTTP)"),
    (4321, On::Tcp, "Astro"),
    (4369, On::Tcp, "Erlang port mapper"),
    (4444, On::Tcp, "Selenium Grid"),
    (4566, On::Tcp, "LocalStack"),
    (4646, On::Tcp, "Nomad"),
    (5000, On::Tcp, "Flask, macOS AirPlay"),
    (5001, On::Tcp, "ASP.NET (HTTPS)"),
    (5005, On::Tcp, "Java debugger (JDWP)"),
    (5037, On::Tcp, "Android adb server"),
    (5050, On::Tcp, "pgAdmin"),
    (5173, On::Tcp, "Vite"),
    (5174, On::Tcp, "Vite (second server)"),
    (5433, On::Tcp, "PostgreSQL (alternate)"),
    (5500, On::Tcp, "VS Code Live Server"),
    (5555, On::Tcp, "adb, Prisma, Flower"),
    (5601, On::Tcp, "Kibana"),
    (5678, On::Tcp, "n8n, Python debugger"),
    (5900, On::Tcp, "VNC, Screen Sharing"),
    (6006, On::Tcp, "Storybook, TensorBoard"),
    (6060, On::Tcp, "Go pprof, godoc"),
    (6274, On::Tcp, "MCP Inspector"),
    (6277, On::Tcp, "MCP Inspector proxy"),
    (6333, On::Tcp, "Qdrant (HTTP)"),
    (6334, On::Tcp, "Qdrant (gRPC)"),
    (6443, On::Tcp, "Kubernetes API"),
    (6650, On::Tcp, "Apache Pulsar"),
    (7000, On::Tcp, "macOS AirPlay, Cassandra"),
    (7001, On::Tcp, "WebLogic"),
    (7071, On::Tcp, "Azure Functions"),
    (7233, On::Tcp, "Temporal"),
    (7687, On::Tcp, "Neo4j (Bolt)"),
    (7860, On::Tcp, "Gradio"),
    (8000, On::Tcp, "Django, FastAPI, Laravel"),
    (8001, On::Tcp, "kubectl proxy, Kong"),
    (8008, On::Tcp, "Matrix Synapse"),
    (8025, On::Tcp, "Mailpit, MailHog (web)"),
    (8080, On::Tcp, "Tomcat, Spring, Jenkins"),
    (8081, On::Tcp, "React Native, Nexus"),
    (8083, On::Tcp, "Kafka Connect"),
    (8086, On::Tcp, "InfluxDB"),
    (8088, On::Tcp, "Superset, Hadoop YARN"),
    (8089, On::Tcp, "Locust, Splunk"),
    (8090, On::Tcp, "PocketBase, Confluence"),
    (8123, On::Tcp, "ClickHouse (HTTP)"),
    (8200, On::Tcp, "HashiCorp Vault"),
    (8265, On::Tcp, "Ray dashboard"),
    (8384, On::Tcp, "Syncthing"),
    (8443, On::Tcp, "HTTPS (alternate)"),
    (8500, On::Tcp, "Consul"),
    (8529, On::Tcp, "ArangoDB"),
    (8545, On::Tcp, "Ethereum JSON-RPC"),
    (8600, On::Both, "Consul DNS"),
    (8761, On::Tcp, "Eureka (Spring Cloud)"),
    (8787, On::Tcp, "Wrangler, RStudio"),
    (8888, On::Tcp, "Jupyter"),
    (8889, On::Tcp, "Jupyter (second server)"),
    (8983, On::Tcp, "Apache Solr"),
    (9000, On::Tcp, "MinIO, PHP-FPM"),
    (9001, On::Tcp, "MinIO console"),
    (9003, On::Tcp, "Xdebug"),
    (9042, On::Tcp, "Cassandra (CQL)"),
    (9090, On::Tcp, "Prometheus, Cockpit"),
    (9091, On::Tcp, "Prometheus Pushgateway"),
    (9092, On::Tcp, "Kafka"),
    (9093, On::Tcp, "Prometheus Alertmanager"),
    (9099, On::Tcp, "Firebase Auth emulator"),
    (9100, On::Tcp, "Node exporter, printers"),
    (9200, On::Tcp, "Elasticsearch"),
    (9222, On::Tcp, "Chrome DevTools"),
    (9229, On::Tcp, "Node inspector"),
    (9300, On::Tcp, "Elasticsearch cluster"),
    (9411, On::Tcp, "Zipkin"),
    (9443, On::Tcp, "Portainer (HTTPS)"),
    (9515, On::Tcp, "ChromeDriver"),
    (10000, On::Tcp, "Webmin, Azurite"),
    (10250, On::Tcp, "kubelet"),
    (15672, On::Tcp, "RabbitMQ management"),
    (16686, On::Tcp, "Jaeger UI"),
    (19000, On::Tcp, "Expo"),
    (19001, On::Tcp, "Expo"),
    (19002, On::Tcp, "Expo DevTools"),
    (19006, On::Tcp, "Expo web"),
    (19530, On::Tcp, "Milvus"),
    (19999, On::Tcp, "Netdata"),
    (24678, On::Tcp, "Vite HMR"),
    (25565, On::Tcp, "Minecraft"),
    (35729, On::Tcp, "LiveReload"),
    (41641, On::Udp, "Tailscale"),
    (50000, On::Tcp, "Db2, Jenkins agents"),
    (50051, On::Tcp, "gRPC"),
    (51820, On::Udp, "WireGuard"),
    (54321, On::Tcp, "Supabase API"),
    (54322, On::Tcp, "Supabase Postgres"),
    (54323, On::Tcp, "Supabase Studio"),
    (61616, On::Tcp, "ActiveMQ"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::iana;
    use Protocol::{Tcp, Udp};

    #[test]
    fn the_table_is_sorted_with_one_line_a_port() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn labels_are_short_and_not_empty() {
        for (port, _, label) in TABLE {
            assert!((1..=24).contains(&label.chars().count()), "{port}: {label}");
            assert_eq!(label.trim(), *label, "{port}");
        }
    }

    #[test]
    fn a_label_says_more_than_ianas_name() {
        for &(port, on, label) in TABLE {
            for protocol in [Tcp, Udp].into_iter().filter(|&p| on.covers(p)) {
                let assigned = iana::name(port, protocol).unwrap_or_default();
                assert!(!label.eq_ignore_ascii_case(assigned), "{port}: {label}");
            }
        }
    }

    #[test]
    fn every_line_is_found_on_its_protocols_and_no_other() {
        for &(port, on, label) in TABLE {
            let expected = |protocol| on.covers(protocol).then_some(label);
            assert_eq!(common_use(port, Tcp), expected(Tcp), "{port}");
            assert_eq!(common_use(port, Udp), expected(Udp), "{port}");
        }
    }

    #[test]
    fn known_uses_and_known_absences() {
        assert_eq!(common_use(3000, Tcp), Some("Node, Rails, Grafana"));
        assert_eq!(common_use(3000, Udp), None);
        assert_eq!(common_use(51820, Udp), Some("WireGuard"));
        assert_eq!(common_use(51820, Tcp), None);
        assert_eq!(common_use(8600, Udp), common_use(8600, Tcp));
        for port in [0, 80, 5432, 6379, 11434, 27017, 62893, u16::MAX] {
            assert_eq!((common_use(port, Tcp), common_use(port, Udp)), (None, None), "{port}");
        }
    }
}
