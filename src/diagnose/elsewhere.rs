//! The verdict `other-namespace`: the port is in use in another network namespace, which is no conflict.

use super::{
    Detail, Explanation, Facts, Group, Holder, Observation, Phrase, Rule, Severity, Statement, Subject, Verb, groups,
};
use crate::model::Pid;

pub static RULE: Rule = Rule {
    code: "other-namespace",
    severity: Severity::Info,
    explanation: Explanation {
        what: "The port is in use in another network namespace, such as that of a container. That is no conflict here.",
        why: "Each network namespace has ports of its own. A container usually has a namespace of its own.",
        detection: "With -A, the sockets of all network namespaces that portcheck finds are read. One of them holds the \
                    port. Without root, sockets that do not listen are missed.",
        remedy: "Nothing to do. `portcheck --in WHERE PORT` looks at the port from inside the other namespace.",
    },
    check,
};

/// So many holders are named.
const MOST: usize = 3;

fn check(facts: &Facts<'_>) -> Vec<Observation> {
    let groups = groups(&facts.observed.elsewhere);
    if groups.is_empty() {
        return Vec::new();
    }
    let (subject, verb) = (Subject::port(facts), Verb("is in use elsewhere, which is no conflict:", ""));
    let named = groups.iter().take(MOST).enumerate();
    let mut object: Vec<Phrase> = named.flat_map(|(index, group)| holder(group, index > 0)).collect();
    match groups.len().saturating_sub(MOST) {
        0 => {}
        more => object.push(format!(", and {more} more").into()),
    }
    let mut pids: Vec<Pid> = groups.iter().flat_map(|group| group.owners.pids()).copied().collect();
    pids.sort_unstable();
    pids.dedup();
    let mut names: Vec<String> =
        groups.iter().filter_map(|group| Some(group.sockets[0].namespace.as_ref()?.title())).collect();
    names.dedup();
    let details = vec![("namespaces", Detail::Text(names.join(", ")))];
    vec![Observation { pids, details, ..Observation::of(Statement { subject, verb, object }) }]
}

/// `nginx (pid 9622) in container shop-web-1`.
fn holder(group: &Group<'_>, follows: bool) -> Vec<Phrase> {
    let place = group.sockets[0].namespace.as_ref().map(|namespace| format!(" in {}", namespace.phrase()));
    let comma = follows.then(|| Phrase::from(", "));
    comma.into_iter().chain([Phrase::Holder(Holder::from(group))]).chain(place.map(Phrase::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Observed;
    use super::*;
    use crate::model::{Protocol, Socket};
    use crate::prose;
    use crate::testing::{host, namespace, owned, process};

    fn observed(namespaces: &[&str]) -> Observed {
        let socket =
            |name: &&str| Socket { namespace: Some(Box::new(namespace(name))), ..owned("0.0.0.0:8080", &[42]) };
        Observed { elsewhere: namespaces.iter().map(socket).collect(), ..Observed::of(8080, Protocol::Tcp) }
    }

    fn said(namespaces: &[&str]) -> Vec<String> {
        let (observed, host, processes) = (observed(namespaces), host(), [process(42, 1, "nginx")]);
        let facts = Facts { processes: &processes, ..Facts::of(&observed, &host) };
        check(&facts).iter().map(|observation| prose::whole(&observation.statement, &processes)).collect()
    }

    #[test]
    fn a_few_holders_elsewhere_are_named_in_one_sentence() {
        assert_eq!(said(&[]), [""; 0]);
        let start = "8080/tcp is in use elsewhere, which is no conflict:";
        assert_eq!(said(&["blue"]), [format!("{start} nginx (pid 42) in network namespace blue")]);
        let [sentence] = &said(&["a", "b", "c", "d", "e"])[..] else { panic!() };
        assert!(
            sentence.ends_with("network namespace c, and 2 more") && !sentence.contains("namespace d"),
            "{sentence}"
        );
    }
}
