//! `--quick`: the first holder, found where the socket was made. The answer says what it leaves
//! out.

use crate::common::cgroup::Cgroup;
use crate::common::role::{Role, listening};
use crate::common::{codes, in_namespace, is_root, json, owners, port, run, skip};

fn gaps(answer: &serde_json::Value) -> Vec<&str> {
    answer["gaps"].as_array().unwrap().iter().map(|gap| gap["code"].as_str().unwrap()).collect()
}

#[test]
fn a_holder_in_a_cgroup_of_its_own_is_found_there() {
    in_namespace(|| {
        let path = format!("/portcheck-test-quick-{}", std::process::id());
        let Some(Ok(cgroup)) = is_root().then(|| Cgroup::make(&path)) else {
            return skip("needs root and cgroups of version 2");
        };
        let mut role = Role::start("listen 127.0.0.1:8080");
        cgroup.add(role.pid());
        role.go();
        let answer = json(&["8080/tcp", "--quick"]);
        let tcp = port(&answer, 8080, "tcp");
        assert_eq!((codes(tcp), owners(tcp)), (vec!["listener"], vec![role.pid()]));
        assert!(gaps(&answer).contains(&"quick-look"), "{answer:#}");
        assert!(run(&["8080/tcp", "--quick"]).stdout.contains("this was a quick look"));
        assert!(!gaps(&json(&["8080/tcp"])).contains(&"quick-look"));
    });
}

#[test]
fn children_with_the_socket_are_named_beside_their_parent() {
    in_namespace(|| {
        let listener = listening("127.0.0.1:8080".parse().unwrap(), &[]);
        rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
        let child = crate::common::Background::spawn(std::process::Command::new("sleep").arg("1000"));
        drop(listener);
        let answer = json(&["8080/tcp", "--quick"]);
        assert_eq!(owners(port(&answer, 8080, "tcp")), [child.pid()], "the cgroup is searched to its end");

        let listener = listening("127.0.0.1:8081".parse().unwrap(), &[]);
        rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
        let child = crate::common::Background::spawn(std::process::Command::new("sleep").arg("1000"));
        let answer = json(&["8081/tcp", "--quick"]);
        assert_eq!(owners(port(&answer, 8081, "tcp")), [std::process::id(), child.pid()]);
    });
}

#[test]
fn what_is_not_found_quickly_is_looked_for_everywhere() {
    in_namespace(|| {
        let path = format!("/portcheck-test-left-{}", std::process::id());
        let Some(Ok(cgroup)) = is_root().then(|| Cgroup::make(&path)) else {
            return skip("needs root and cgroups of version 2");
        };
        // The socket is made in one cgroup, and its holder moves to another one.
        let (role, _) = Role::playing("listen 127.0.0.1:8080");
        cgroup.add(role.pid());
        let other = cgroup.path().to_owned();
        let answer = json(&["8080/tcp", "--quick"]);
        assert_eq!(owners(port(&answer, 8080, "tcp")), [role.pid()], "in {}", other.display());
        drop(role);
        assert_eq!(json(&["8080/tcp", "--quick"])["exit_code"], 0);
    });
}
