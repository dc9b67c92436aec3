//! Container engines hold ports for others. Only the container is ever stopped, by its engine, and
//! never the engine.

use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json as value};

use crate::common::docker::Docker;
use crate::common::podman::Podman;
use crate::common::server::{holders, program, until};
use crate::common::{
    Background, NOBODY, codes, in_namespace, json, json_as_nobody, json_of, owners, port, portcheck, run, skip,
    until_it_listens,
};

/// The commands of a list of remedies.
fn commands(remedies: &Value) -> Vec<&str> {
    remedies.as_array().unwrap().iter().filter_map(|remedy| remedy["command"].as_str()).collect()
}

/// The finding with this code.
fn finding<'a>(port: &'a Value, code: &str) -> &'a Value {
    port["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == code).unwrap()
}

/// The lines of a report.
fn run_lines(arguments: &[&str]) -> Vec<String> {
    run(arguments).stdout.lines().map(str::to_owned).collect()
}

/// Whatever the options are, `portcheck kill` leaves `engine` and its containers alone.
#[track_caller]
fn survives(engine: &Docker, target: &str) {
    let running = engine.running();
    for flags in [&["--force"][..], &["--signal", "KILL"], &["--grace", "0s", "--force"], &["--clients", "--remnants"]]
    {
        let answer = json(&[&[target, "--kill", "--yes"], flags].concat());
        assert_eq!((&answer["kill"]["outcome"], &answer["exit_code"]), (&value!("refused"), &value!(1)), "{answer:#}");
        assert_eq!((&answer["kill"]["steps"], &answer["kill"]["holders"]), (&value!([]), &value!([])));
        let refused = answer["kill"]["refused"].to_string();
        assert!(refused.contains("never ended itself") && !refused.contains("kill"), "{refused}");
    }
    assert_eq!(engine.running(), running);
}

/// `--supervisor` stops the container `id` by its engine, and nothing else.
#[track_caller]
fn is_stopped_alone(engine: &Docker, target: &str, id: &str, others: &[&str]) {
    let answer = json(&[target, "--kill", "--yes", "--supervisor", "--force"]);
    assert_eq!((&answer["kill"]["outcome"], &answer["exit_code"]), (&value!("freed"), &value!(0)), "{answer:#}");
    let steps = answer["kill"]["steps"].as_array().unwrap();
    let commands: Vec<&Value> = steps.iter().map(|step| &step["command"]).collect();
    assert_eq!(commands, [&engine.stop(id)]);
    assert_eq!(engine.running(), others);
}

/// Regression: dockerd itself holds the port. portcheck offered to end it, and did, with every
/// container.
#[test]
fn an_engine_is_never_ended_for_a_port_that_it_holds_for_a_container() {
    in_namespace(|| {
        let Some(docker) = Docker::start(&["--userland-proxy=false"]) else { return };
        let web = docker.publish("web", "0.0.0.0:4000");
        docker.publish("other", "127.0.0.1:4001");
        assert_eq!(holders(4000), [docker.pid()]);
        let report = run(&["4000/tcp"]).stdout;
        assert!(report.contains("dockerd") && !report.contains("kill"), "{report}");
        assert!(report.contains(&format!("docker --host {} stop web", docker.host())), "{report}");
        survives(&docker, "4000/tcp");
        is_stopped_alone(&docker, "4000/tcp", &web, &["other"]);
    });
}

/// The labels that docker compose gives its containers, and the published port that most people ask about.
#[test]
fn a_published_port_is_told_in_the_words_of_who_asks() {
    in_namespace(|| {
        for options in [&[][..], &["--userland-proxy=false"]] {
            let Some(docker) = Docker::start(options) else { return };
            let labels = [("project", "shop"), ("service", "web"), ("project.config_files", "/srv/shop/compose.yaml")];
            let labels = labels.map(|(key, text)| format!("--label=com.docker.compose.{key}={text}"));
            let mut run: Vec<&str> = labels.iter().map(String::as_str).collect();
            run.extend(["--name=shop-web-1", "--publish=4000:80"]);
            let id = docker.serve(&run, &["-p", "80"]);
            until("the container's server listens", || {
                json(&["4000/tcp"])["ports"][0]["forwards"][0]["ends_at"][0].is_object()
            });

            let answer = json(&["4000/tcp"]);
            let tcp = port(&answer, 4000, "tcp");
            assert_eq!(codes(tcp), ["published-port"], "{options:?}: {tcp:#}");
            let [forward] = &tcp["forwards"].as_array().unwrap()[..] else { panic!("{tcp:#}") };
            assert_eq!(
                (&forward["kind"], &forward["by"], &forward["confidence"]),
                (&value!("published"), &value!("docker"), &value!("known"))
            );
            assert_eq!((&forward["to"]["port"], &forward["pids"]), (&value!(80), &value!(holders(4000))));
            let container = &forward["container"];
            assert_eq!((&container["id"], &container["name"]), (&value!(id), &value!("shop-web-1")));
            let compose = value!({"project": "shop", "service": "web", "files": ["/srv/shop/compose.yaml"]});
            assert_eq!(container["compose"], compose);
            let inside = docker.docker(&["inspect", "--format={{.State.Pid}}", "shop-web-1"]);
            assert_eq!(forward["ends_at"], value!([{"pid": inside.parse::<u32>().unwrap(), "name": "busybox"}]));

            let report = run_lines(&["4000/tcp"]);
            assert_eq!(
                report[0],
                "4000/tcp is in use: container shop-web-1 (compose project shop, service web) publishes it"
            );
            assert!(report.len() <= 9, "{report:#?}");
            let list = run_lines(&["list"]);
            let rows: Vec<&String> = list.iter().filter(|line| line.starts_with("4000")).collect();
            assert!(matches!(rows[..], [row] if row.contains("container shop-web-1")), "{list:#?}");
            for (filter, count) in [
                (["--container", "shop-web-1"], 1),
                (["--container", &id[..8]], 1),
                (["--project", "shop"], 1),
                (["--project", "bakery"], 0),
            ] {
                assert_eq!(json(&filter)["ports"].as_array().unwrap().len(), count, "{filter:?}");
            }
            assert_eq!(json(&["-A", "--container", "shop-web-1"])["ports"].as_array().unwrap().len(), 2);
            // Otherwise the kernel passes connections on, and has no socket for them here.
            if options.is_empty() {
                connections_to_a_published_port_belong_to_the_container();
            }
        }
    });
}

fn connections_to_a_published_port_belong_to_the_container() {
    let _client = TcpStream::connect("127.0.0.1:4000").unwrap();
    let filters = [["--container", "shop-web-1"], ["--project", "shop"], ["--project", "bakery"]];
    let count = |filter: [&str; 2]| {
        json(&[&["connections", "4000"], &filter[..]].concat())["connections"].as_array().unwrap().len()
    };
    assert_eq!(filters.map(count), [1, 1, 0]);
    let table = run_lines(&["connections", "4000"]);
    assert!(table[1].contains(" for docker shop-web-1"), "{table:#?}");
}

/// Who may not ask the engine learns the container's id, the port inside and probably the process, and what is missing.
#[test]
fn a_published_port_is_told_without_the_word_of_the_engine() {
    in_namespace(|| {
        // The engines of other tests give out the usual addresses.
        let Some(docker) = Docker::start(&["--bip=172.29.77.1/24"]) else { return };
        let id = docker.publish("web", "127.0.0.1:4000");
        until("its server listens", || json(&["4000/tcp"])["ports"][0]["forwards"][0]["ends_at"][0].is_object());
        let known = json(&["4000/tcp"])["ports"][0]["forwards"][0].clone();
        let answer = json_as_nobody(&["4000/tcp"]);
        let tcp = port(&answer, 4000, "tcp");
        let forward = &tcp["forwards"][0];
        assert_eq!((codes(tcp), &forward["confidence"]), (vec!["published-port"], &value!("likely")), "{tcp:#}");
        assert_eq!((&forward["container"]["id"], &forward["container"]["name"]), (&value!(id), &value!(null)));
        assert_eq!((&forward["ends_at"], &forward["pids"]), (&known["ends_at"], &known["pids"]));
        assert!(forward["untold"].as_str().unwrap().contains("Docker (pid"), "{forward:#}");
        assert_eq!(commands(&tcp["findings"][0]["remedies"]), [format!("sudo docker stop {}", &id[..12])]);
        let answer = json_as_nobody(&["4000/tcp", "--kill", "--yes", "--supervisor"]);
        assert_eq!((&answer["kill"]["outcome"], &answer["kill"]["steps"]), (&value!("refused"), &value!([])));
    });
}

/// Regression: the container of another engine was named, as it had the same address.
#[test]
fn a_container_is_not_named_by_an_address_that_another_one_has_too() {
    in_namespace(|| {
        let Some(docker) = Docker::start(&["--bip=172.29.78.1/24"]) else { return };
        docker.publish("web", "127.0.0.1:4000");
        until("its server listens", || json(&["4000/tcp"])["ports"][0]["forwards"][0]["ends_at"][0].is_object());
        let to = json(&["4000/tcp"])["ports"][0]["forwards"][0]["to"]["address"].clone();
        let script = format!("ip link set lo up; ip address add {}/32 dev lo; exec sleep 60", to.as_str().unwrap());
        let _other = Background::spawn(Command::new("unshare").args(["-n", "sh", "-ec", &script]));
        until("another namespace has the address", || {
            json_as_nobody(&["4000/tcp"])["ports"][0]["forwards"][0]["container"].is_null()
        });
    });
}

/// Regression: the two proxies of a container, one per family, were called two servers, and their
/// refusals contradicted each other.
#[test]
fn the_proxies_of_a_container_are_one_server_and_never_ended() {
    in_namespace(|| {
        let Some(docker) = Docker::start(&[]) else { return };
        let web = docker.publish("web", "4000");
        docker.publish("other", "127.0.0.1:4001");
        until("both families are published", || holders(4000).len() == 2);
        let answer = json(&["4000/tcp"]);
        let tcp = port(&answer, 4000, "tcp");
        assert_eq!(codes(tcp), ["published-port"]);
        let listener = finding(tcp, "published-port");
        assert_eq!(
            (&listener["details"]["container"], &listener["details"]["container_name"]),
            (&value!(web), &value!("web"))
        );
        let stop = format!("docker --host {} stop web", docker.host());
        assert_eq!(commands(&listener["remedies"]), [&*stop]);
        let report = run(&["4000/tcp"]).stdout;
        assert!(!report.contains("kill") && !report.contains("$("), "{report}");
        survives(&docker, "4000/tcp");
        let refused = run(&["4000/tcp", "--kill", "--yes"]).stdout;
        assert!(refused.contains("publishes the port, and docker-proxy (pid"), "{refused}");
        assert!(!refused.contains("left alone, too") && refused.contains("--supervisor"), "{refused}");
        let plan = run(&["4000/tcp", "--kill", "--supervisor", "--dry-run"]).stdout;
        assert!(plan.contains("that stops container web of Docker"), "{plan}");
        is_stopped_alone(&docker, "4000/tcp", &web, &["other"]);
    });
}

/// By its port alone, `docker ps` finds both.
#[test]
fn of_two_containers_on_one_port_only_that_on_the_address_is_stopped() {
    in_namespace(|| {
        for options in [&[][..], &["--userland-proxy=false"]] {
            let Some(docker) = Docker::start(options) else { return };
            let one = docker.publish("one", "127.0.0.1:4000");
            let two = docker.publish("two", "127.0.0.2:4000");
            let answer = json(&["4000/tcp"]);
            let listeners = port(&answer, 4000, "tcp")["findings"].as_array().unwrap();
            let containers: Vec<&Value> = listeners
                .iter()
                .map(|listener| &listener["details"]["container"])
                .filter(|id| id.is_string())
                .collect();
            assert_eq!(containers, [&value!(one), &value!(two)], "{answer:#}");
            is_stopped_alone(&docker, "127.0.0.1:4000/tcp", &one, &["two"]);
            is_stopped_alone(&docker, "127.0.0.2:4000/tcp", &two, &[]);
        }
    });
}

/// The tools of Docker follow their environment, perhaps to another machine.
#[test]
fn no_other_engine_is_asked_whatever_the_environment_says() {
    in_namespace(|| {
        // An engine without a bridge removes an existing one.
        let Some(other) = Docker::start(&["--bridge=none"]) else { return };
        let Some(docker) = Docker::start(&[]) else { return };
        let config = tempfile::tempdir().unwrap();
        std::fs::write(config.path().join("config.json"), r#"{"currentContext": "elsewhere"}"#).unwrap();
        other.serve(&["--name=web", "--network=host"], &["-p", "127.0.0.2:4000"]);
        for host in [other.host(), "tcp://127.0.0.1:1".to_owned()] {
            let web = docker.publish("web", "127.0.0.1:4000");
            let mut look = portcheck(&["127.0.0.1:4000/tcp", "--json"]);
            look.env("DOCKER_HOST", &host);
            let answer = json_of(look);
            let listener = finding(port(&answer, 4000, "tcp"), "published-port");
            assert_eq!(commands(&listener["remedies"]), [format!("docker --host {} stop web", docker.host())]);
            let mut kill = portcheck(&["127.0.0.1:4000/tcp", "--kill", "--yes", "--supervisor", "--json"]);
            kill.env("DOCKER_HOST", &host).env("CONTAINER_HOST", &host).env("DOCKER_CONFIG", config.path());
            let answer = json_of(kill);
            assert_eq!(answer["kill"]["steps"][0]["command"], docker.stop(&web));
            assert_eq!((&answer["kill"]["outcome"], docker.running().len()), (&value!("freed"), 0), "{answer:#}");
            assert_eq!(other.running(), ["web"]);
            docker.docker(&["rm", "web"]);
        }
    });
}

/// Anybody can run docker-proxy, with the port of a container among its arguments.
#[test]
fn a_proxy_that_its_engine_has_not_started_stops_no_container() {
    in_namespace(|| {
        let Some(docker) = Docker::start(&[]) else { return };
        let Some(proxy) = program("docker-proxy") else { return skip("no docker-proxy") };
        docker.publish("database", "127.0.0.2:5432");
        for user in [NOBODY, 0] {
            for listen in ["9999", "5432"] {
                let mut forged = Command::new("sh");
                // It reports on descriptor 3.
                forged.args(["-c", "exec 3>/dev/null; exec \"$@\"", "sh"]).arg(&proxy).uid(user).gid(user);
                forged.args(["-proto", "tcp", "-host-ip", "127.0.0.1", "-host-port", listen]);
                forged.args(["-container-ip", "127.0.0.2", "-container-port", "5432"]);
                let forged = Background::spawn(&mut forged);
                let listen = listen.parse().unwrap();
                until_it_listens(listen);
                let target = format!("127.0.0.1:{listen}/tcp");
                let report = run(&[&target]).stdout;
                assert!(!report.contains("docker --host") && !report.contains("docker stop"), "{report}");
                let answer = json(&[&target, "--kill", "--yes", "--supervisor"]);
                assert_eq!(answer["kill"]["outcome"], "freed", "{answer:#}");
                assert_eq!(answer["kill"]["steps"][0]["pid"], forged.pid());
                assert_eq!(docker.running(), ["database"]);
            }
        }
    });
}

/// If the engine serves the port itself, or does not answer, no container is known. Nothing is
/// stopped, and the reason is given.
#[test]
fn without_the_word_of_the_engine_nothing_is_stopped() {
    in_namespace(|| {
        let api = ["--host", "tcp://127.0.0.1:2375", "--tls=false"];
        let Some(docker) = Docker::start(&api) else { return };
        let web = docker.publish("web", "127.0.0.1:4000");
        let refused = |target: &str| {
            let answer = json(&[target, "--kill", "--yes", "--supervisor", "--force"]);
            assert_eq!((&answer["kill"]["outcome"], &answer["kill"]["steps"]), (&value!("refused"), &value!([])));
            answer["kill"]["refused"][0].clone()
        };
        let of_api = refused("2375/tcp");
        assert!(
            of_api["reason"].as_str().unwrap().contains("knows no containers that publish 127.0.0.1:2375/tcp"),
            "{of_api}"
        );
        let find = format!("docker --host {} ps --filter publish=2375/tcp", docker.host());
        assert_eq!(commands(&of_api["remedies"]), [&*find]);

        let dockerd = Pid::from_raw(docker.pid().cast_signed()).unwrap();
        kill_process(dockerd, Signal::STOP).unwrap();
        let silent = refused("4000/tcp");
        kill_process(dockerd, Signal::CONT).unwrap();
        assert!(silent["reason"].as_str().unwrap().contains("did not answer in time"), "{silent}");
        is_stopped_alone(&docker, "4000/tcp", &web, &[]);
    });
}

#[test]
fn a_docker_container_is_named() {
    in_namespace(|| {
        let Some(docker) = Docker::start(&[]) else { return };
        let id = docker.serve(&["--network=host", "--name=web"], &["-p", "127.0.0.1:8099"]);
        until("httpd listens", || !holders(8099).is_empty());

        let answer = json(&["8099/tcp"]);
        let tcp = port(&answer, 8099, "tcp");
        assert_eq!((owners(tcp), owners(tcp).len()), (holders(8099), 1));
        let process = &answer["processes"][0];
        assert_eq!((&process["name"], &process["unit"]), (&value!("busybox"), &value!(null)));
        assert_eq!(process["container"], value!({ "runtime": "docker", "id": id, "pod": null }));
        let stop = format!("docker --host {} stop web", docker.host());
        assert_eq!(commands(&tcp["findings"][0]["remedies"]), [&*stop]);
        let report = run(&["8099/tcp"]).stdout;
        assert!(report.contains(") in container web\n") && report.contains("docker web"), "{report}");
        assert!(report.contains(&stop), "{report}");
        let list = run(&[]).stdout;
        assert!(list.lines().any(|line| line.contains("8099") && line.contains("docker web")), "{list}");

        // The socket itself tells, if its cgroup is known.
        let answer = json_as_nobody(&["8099/tcp"]);
        let tcp = port(&answer, 8099, "tcp");
        assert_eq!((&tcp["status"], codes(tcp)), (&value!("held"), vec!["hidden-owner"]));
        if tcp["sockets"][0]["cgroup"].is_string() {
            assert_eq!(tcp["findings"][0]["details"]["container"], id, "{tcp:#}");
            let stop = format!("docker stop {}", &id[..12]);
            assert!(commands(&tcp["findings"][0]["remedies"]).contains(&&*stop));
        }
        is_stopped_alone(&docker, "8099/tcp", &id, &[]);
    });
}

/// Podman has no engine that runs. conmon, which it leaves with each container, holds the published
/// ports.
#[test]
fn of_podman_only_the_container_is_stopped() {
    in_namespace(|| {
        let Some(podman) = Podman::set_up() else { return };
        let web = podman.serve("web", &["--publish", "127.0.0.1:4000:80"], &["-p", "80"]);
        let host = podman.serve("host", &["--network=host"], &["-p", "127.0.0.1:4001"]);
        until("both listen", || holders(4000).len() == 1 && holders(4001).len() == 1);
        let report = run(&["4000/tcp"]).stdout;
        assert!(report.contains("conmon") && report.contains("podman stop web"), "{report}");
        let forward = &port(&json(&["4000/tcp"]), 4000, "tcp")["forwards"][0].clone();
        assert_eq!((&forward["container"]["id"], &forward["to"]["port"]), (&value!(web), &value!(80)), "{forward:#}");
        assert_eq!(forward["ends_at"][0]["name"], "busybox", "{forward:#}");
        let refused = json(&["4000/tcp", "--kill", "--yes", "--force"]);
        assert_eq!((&refused["kill"]["outcome"], &refused["kill"]["steps"]), (&value!("refused"), &value!([])));
        for (target, id, others) in [("4000/tcp", &web, "host"), ("4001/tcp", &host, "")] {
            let mut kill = portcheck(&[target, "--kill", "--yes", "--supervisor", "--json"]);
            podman.lead(&mut kill);
            kill.env("CONTAINER_HOST", "tcp://127.0.0.1:1").env("CONTAINER_CONNECTION", "elsewhere");
            let answer = json_of(kill);
            assert_eq!(
                (&answer["kill"]["outcome"], &answer["exit_code"]),
                (&value!("freed"), &value!(0)),
                "{answer:#}"
            );
            assert_eq!(answer["kill"]["steps"][0]["command"], value!(["podman", "--remote=false", "stop", id]));
            assert_eq!(podman.podman(&["ps", "--format", "{{.Names}}"]), others);
        }
    });
}
