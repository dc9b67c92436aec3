//! Container engines hold ports for others: only the container is ever stopped, by its engine, never the engine.

use crate::common::docker::Docker;
use crate::common::server::{holders, until};
use crate::common::{codes, in_namespace, json, json_as_nobody, json_of, owners, port, portcheck, run};
use serde_json::{Value, json as value};

/// The commands of a list of remedies.
fn commands(remedies: &Value) -> Vec<&str> {
    remedies.as_array().unwrap().iter().filter_map(|remedy| remedy["command"].as_str()).collect()
}

/// Every way of killing leaves `engine` and its other containers alone.
#[track_caller]
fn survives(engine: &Docker, port: u16, others: &[&str]) {
    let started = std::fs::read_to_string(format!("/proc/{}/stat", engine.pid())).unwrap();
    let target = format!("{port}/tcp");
    for flags in [&["--force"][..], &["--signal", "KILL"], &["--grace", "0s", "--force"], &["--clients", "--remnants"]]
    {
        let answer = json(&[&[&*target, "--kill", "--yes"], flags].concat());
        assert_eq!((&answer["kill"]["outcome"], &answer["exit_code"]), (&value!("refused"), &value!(1)), "{answer:#}");
        assert_eq!((&answer["kill"]["steps"], &answer["kill"]["holders"]), (&value!([]), &value!([])));
        let refused = answer["kill"]["refused"].to_string();
        assert!(refused.contains("never ended itself") && !refused.contains("kill"), "{refused}");
    }
    let now = std::fs::read_to_string(format!("/proc/{}/stat", engine.pid())).unwrap();
    assert_eq!(started.split(' ').nth(21), now.split(' ').nth(21));
    for other in others {
        assert!(engine.running().contains(&(*other).to_owned()), "{other} in {:?}", engine.running());
    }
}

/// dockerd itself holds the port then: it was offered to be ended, and was, with every container.
#[test]
fn an_engine_is_never_ended_for_a_port_that_it_holds_for_a_container() {
    in_namespace(|| {
        let Some(docker) = Docker::start(&["--userland-proxy=false"]) else { return };
        docker.publish("web", "0.0.0.0:4000");
        docker.publish("other", "127.0.0.1:4001");
        assert_eq!(holders(4000), [docker.pid()]);
        survives(&docker, 4000, &["web", "other"]);
        let report = run(&["4000/tcp"]);
        assert!(report.first_line().contains("dockerd") && !report.stdout.contains("--kill"), "{report:?}");
        let supervisor = json(&["4000/tcp", "--kill", "--yes", "--supervisor"]);
        assert_ne!(supervisor["kill"]["outcome"], "already-free");
        assert!(docker.running().contains(&"other".to_owned()));
    });
}

/// The two proxies of a container, one for each family, were called two servers; their refusals contradicted each other.
#[test]
fn the_proxies_of_a_container_are_one_server_and_never_ended() {
    in_namespace(|| {
        let Some(docker) = Docker::start(&[]) else { return };
        docker.publish("web", "4000");
        docker.publish("other", "127.0.0.1:4001");
        until("both families are published", || holders(4000).len() == 2);
        let answer = json(&["4000/tcp"]);
        assert_eq!(codes(port(&answer, 4000, "tcp")), ["listener", "listener"]);
        let report = run(&["4000/tcp"]);
        assert!(!report.stdout.contains("--kill") && !report.stdout.contains("$("), "{report:?}");
        survives(&docker, 4000, &["web", "other"]);
        let refused = run(&["4000/tcp", "--kill", "--yes"]);
        assert!(!refused.stdout.contains("left alone too"), "{refused:?}");
        assert!(commands(&port(&answer, 4000, "tcp")["findings"][0]["remedies"])[0].starts_with("docker "));
    });
}

#[test]
fn a_docker_container_is_named() {
    in_namespace(|| {
        let Some(docker) = Docker::start(&[]) else { return };
        let id = docker.serve(&["--network=host"], &["-p", "127.0.0.1:8099"]);
        until("httpd listens", || !holders(8099).is_empty());

        let answer = json(&["8099/tcp"]);
        let tcp = port(&answer, 8099, "tcp");
        assert_eq!((owners(tcp), owners(tcp).len()), (holders(8099), 1));
        let process = &answer["processes"][0];
        assert_eq!((&process["name"], &process["unit"]), (&value!("busybox"), &value!(null)));
        assert_eq!(process["container"], value!({ "runtime": "docker", "id": id, "pod": null }));
        let stop = format!("docker stop {}", &id[..12]);
        assert_eq!(commands(&tcp["findings"][0]["remedies"]), [&*stop]);
        let report = run(&["8099/tcp"]).stdout;
        assert!(report.contains(&format!("docker {}", &id[..12])) && report.contains(&stop), "{report}");
        let list = run(&[]).stdout;
        assert!(list.lines().any(|line| line.contains("8099") && line.contains(&id[..12])), "{list}");

        // The socket tells by itself, where its cgroup is known.
        let answer = json_as_nobody(&["8099/tcp"]);
        let tcp = port(&answer, 8099, "tcp");
        assert_eq!((&tcp["status"], codes(tcp)), (&value!("held"), vec!["hidden-owner"]));
        if tcp["sockets"][0]["cgroup"].is_string() {
            assert_eq!(tcp["findings"][0]["details"]["container"], id, "{tcp:#}");
            assert!(commands(&tcp["findings"][0]["remedies"]).contains(&&*stop));
        }

        // The remedy helps.
        docker.docker(&stop.split(' ').skip(1).collect::<Vec<_>>());
        until("the port is free", || run(&["8099/tcp"]).code == 0);

        // And so does portcheck, which runs it.
        docker.docker(&["start", &id]);
        until("httpd listens again", || !holders(8099).is_empty());
        let mut kill = portcheck(&["8099/tcp", "--kill", "--supervisor", "--yes", "--json"]);
        kill.env("DOCKER_HOST", docker.host());
        let answer = json_of(kill);
        assert_eq!((&answer["kill"]["outcome"], &answer["exit_code"]), (&value!("freed"), &value!(0)), "{answer:#}");
        assert_eq!(answer["kill"]["steps"][0]["command"], value!(["docker", "stop", id]));
    });
}
