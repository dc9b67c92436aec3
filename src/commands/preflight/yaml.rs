//! YAML as a tree that knows where each value stands. What a value means is the reader's business:
//! a plain `8080` is text here, as a quoted one is.
//!
//! The work is bounded: a file has a limited size, aliases share what they name, and merged keys
//! count against the budget.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::wanted::Spot;

/// A value, and where it begins.
#[derive(Debug)]
pub struct Node {
    /// Where it begins.
    pub spot: Spot,
    /// Its tag without the exclamation mark, if it has one of its own: `reset`, `override`.
    pub tag: Option<Rc<str>>,
    /// What it is.
    pub value: Value,
}

/// What a value is.
#[derive(Debug)]
pub enum Value {
    /// Text, a number, a truth value; whether it is written without quotes.
    Scalar(Rc<str>, bool),
    /// A list.
    List(Vec<Rc<Node>>),
    /// A map, in the order of the file. Merged keys (`<<`) are in it.
    Map(Vec<(Key, Rc<Node>)>),
}

/// A key of a map, and where it stands.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its text; empty if it is no scalar.
    pub text: Rc<str>,
    /// Where it stands.
    pub spot: Spot,
}

/// Why a text is no YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Where.
    pub spot: Spot,
    /// What is wrong.
    pub message: String,
}

impl Node {
    /// Its text, if it is a scalar that is not null.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text, true) if matches!(&**text, "" | "~" | "null" | "Null" | "NULL") => None,
            Value::Scalar(text, _) => Some(text),
            _ => None,
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Scalar(..)) && self.text().is_none()
    }

    /// Its items; none if it is no list.
    pub fn items(&self) -> &[Rc<Node>] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// Its entries; none if it is no map.
    pub fn entries(&self) -> &[(Key, Rc<Node>)] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// The value of `key`, if it is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Rc<Node>> {
        self.entries().iter().rev().find(|(known, _)| &*known.text == key).map(|(_, value)| value)
    }

    /// What is found by following these keys.
    pub fn find(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key).map(|node| &**node))
    }
}

/// The most values and keys of a file, merged ones included.
#[cfg(feature = "preflight")]
const MOST: usize = 300_000;

#[cfg(not(feature = "preflight"))]
pub fn parse(_: &str) -> Result<Vec<Rc<Node>>, Malformed> {
    let message = "this portcheck cannot read YAML: it was built without the feature preflight".to_owned();
    Err(Malformed { spot: Spot::default(), message })
}

/// Reads the documents of a file.
#[cfg(feature = "preflight")]
pub fn parse(text: &str) -> Result<Vec<Rc<Node>>, Malformed> {
    let mut tree = Tree { open: Vec::new(), anchors: HashMap::new(), documents: Vec::new(), left: MOST };
    for event in granit_parser::Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => tree.take(event, spot(&span.start))?,
            Err(error) => return Err(Malformed { spot: spot(error.marker()), message: error.kind().to_string() }),
        }
    }
    Ok(tree.documents)
}

#[cfg(feature = "preflight")]
fn spot(marker: &granit_parser::Marker) -> Spot {
    Spot { line: marker.line(), column: marker.col() + 1 }
}

/// The tree while it grows.
#[cfg(feature = "preflight")]
struct Tree {
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    documents: Vec<Rc<Node>>,
    /// What is left of the budget.
    left: usize,
}

/// A list or map that is not complete.
#[cfg(feature = "preflight")]
struct Open {
    node: Node,
    anchor: usize,
    /// The key whose value comes next.
    key: Option<Key>,
    /// What `<<` adds.
    merged: Vec<(Key, Rc<Node>)>,
}

#[cfg(feature = "preflight")]
impl Open {
    fn new(spot: Spot, anchor: usize, tag: Option<&granit_parser::Tag>, value: Value) -> Self {
        Self { node: Node { spot, tag: own(tag), value }, anchor, key: None, merged: Vec::new() }
    }

    /// The list or map. A key of its own comes before a merged one.
    fn close(mut self) -> Node {
        if let Value::Map(entries) = &mut self.node.value {
            let mut known: HashSet<Rc<str>> = HashSet::new();
            if !self.merged.is_empty() {
                known.extend(entries.iter().map(|(key, _)| Rc::clone(&key.text)));
            }
            entries.extend(self.merged.into_iter().filter(|(key, _)| known.insert(Rc::clone(&key.text))));
        }
        self.node
    }
}

/// A tag that is none of YAML's own.
#[cfg(feature = "preflight")]
fn own(tag: Option<&granit_parser::Tag>) -> Option<Rc<str>> {
    tag.filter(|tag| tag.is_custom()).map(|tag| tag.suffix().into())
}

#[cfg(feature = "preflight")]
impl Tree {
    fn take(&mut self, event: granit_parser::Event<'_>, spot: Spot) -> Result<(), Malformed> {
        use granit_parser::{Event, ScalarStyle};
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = Value::Scalar(text.into(), style == ScalarStyle::Plain);
                self.complete(Node { spot, tag: own(tag.as_deref()), value }, anchor)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.open.push(Open::new(spot, anchor, tag.as_deref(), Value::List(Vec::new())));
            }
            Event::MappingStart(_, anchor, tag) => {
                self.open.push(Open::new(spot, anchor, tag.as_deref(), Value::Map(Vec::new())));
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let anchor = open.anchor;
                    self.complete(open.close(), anchor)?;
                }
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) => self.add(Rc::clone(node))?,
                None => return Err(Malformed { spot, message: "this alias is part of what it stands for".to_owned() }),
            },
            _ => {}
        }
        Ok(())
    }

    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), Malformed> {
        let node = Rc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.add(node)
    }

    /// Puts a value where it belongs.
    fn add(&mut self, node: Rc<Node>) -> Result<(), Malformed> {
        self.spend(1, node.spot)?;
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match &mut open.node.value {
            Value::List(items) => items.push(node),
            Value::Map(entries) => match open.key.take() {
                None => {
                    let text = if let Value::Scalar(text, _) = &node.value { Rc::clone(text) } else { "".into() };
                    open.key = Some(Key { text, spot: node.spot });
                }
                Some(key) if &*key.text == "<<" => {
                    let maps =
                        if let Value::List(maps) = &node.value { maps.as_slice() } else { std::slice::from_ref(&node) };
                    let count = maps.iter().map(|map| map.entries().len() + 1).sum();
                    open.merged.extend(maps.iter().flat_map(|map| map.entries()).take(self.left).cloned());
                    self.spend(count, node.spot)?;
                }
                Some(key) => entries.push((key, node)),
            },
            Value::Scalar(..) => {}
        }
        Ok(())
    }

    fn spend(&mut self, count: usize, spot: Spot) -> Result<(), Malformed> {
        let too_large = || Malformed { spot, message: format!("it has more than {MOST} values") };
        self.left = self.left.checked_sub(count).ok_or_else(too_large)?;
        Ok(())
    }
}

#[cfg(test)]
#[cfg(feature = "preflight")]
mod tests {
    use super::*;

    fn one(text: &str) -> Rc<Node> {
        parse(text).unwrap().remove(0)
    }

    #[test]
    fn values_know_where_they_stand() {
        let root = one("services:\n  web:\n    ports:\n      - \"8080:80\"\n      - 9090\n");
        let ports = root.find(&["services", "web", "ports"]).unwrap().items();
        assert_eq!((ports[0].text(), ports[0].spot), (Some("8080:80"), Spot { line: 4, column: 9 }));
        assert!(matches!(ports[1].value, Value::Scalar(_, true)) && ports[1].text() == Some("9090"));
        assert_eq!(root.entries()[0].0.spot, Spot { line: 1, column: 1 });
    }

    #[test]
    fn aliases_merged_keys_and_tags() {
        let root = one("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [*a, {z: 4}]}\nd: !reset []\ne: !!str 5\n");
        assert_eq!(root.find(&["b", "x"]).unwrap().text(), Some("1"));
        assert_eq!(root.find(&["b", "y"]).unwrap().text(), Some("3"));
        assert_eq!(root.find(&["c", "z"]).unwrap().text(), Some("4"));
        assert_eq!(root.get("d").unwrap().tag.as_deref(), Some("reset"));
        assert!(root.get("e").unwrap().tag.is_none() && one("~").is_null() && !one("\"\"").is_null());
    }

    #[test]
    fn what_is_no_yaml_is_told_with_its_place() {
        for (text, line) in [("a: [1, 2\nb: 3\n", 2), ("a: b: c\n", 1), ("a:\n\t- 1\n", 2), ("a: &a [*a]\n", 1)] {
            let malformed = parse(text).unwrap_err();
            assert!(malformed.spot.line >= line && malformed.spot.column > 0, "{text:?}: {malformed:?}");
            assert!(!malformed.message.is_empty());
        }
    }

    /// A billion laughs: each level names the one before ten times.
    #[test]
    fn what_grows_without_end_is_bounded() {
        let mut lines = vec!["a0: &a0 {k0: 1}".to_owned()];
        for level in 1..30 {
            let before = format!("*a{}, ", level - 1).repeat(10);
            lines.push(format!("a{level}: &a{level} [{before}]"));
        }
        let text = lines.join("\n");
        assert_eq!(parse(&text).unwrap()[0].entries().len(), 30);
        let many = (0..2000).map(|key| format!("k{key}: 1")).collect::<Vec<_>>().join(", ");
        let merged = format!("a: &a {{{many}}}\n") + &"b: {<<: *a}\n".repeat(1000);
        assert!(parse(&merged).unwrap_err().message.contains("values"));
        let deep = "[".repeat(100_000);
        assert!(parse(&deep).is_err());
    }
}
