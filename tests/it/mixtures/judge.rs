//! Compares an answer with what the independent program knows.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::Value;

use super::{Holders, Played};
use crate::common::numbers;

/// An answer on one port of one protocol, on some or all addresses, and what the independent
/// program found there.
pub struct Judge<'a> {
    /// The element of the answer.
    pub port: &'a Value,
    /// The results of the binds that the answer mentions, in their order.
    pub binds: &'a [String],
    /// Whether the answer is for a server that sets SO_REUSEADDR.
    pub reuse_address: bool,
    /// What the asking user finds in /proc.
    pub visible: &'a Holders,
    /// What root finds there.
    pub all: &'a Holders,
    /// What was played.
    pub played: &'a [Played],
}

impl Judge<'_> {
    pub fn binds_are_true(&self) -> Result<(), TestCaseError> {
        let attempts = ["bind", "bind_elsewhere"].into_iter().flat_map(|key| self.port[key].as_array().unwrap());
        for (attempt, found) in attempts.zip(self.binds) {
            prop_assert_eq!(&attempt["result"], found, "{}: {:#}", attempt, self.port);
        }
        Ok(())
    }

    /// Held if a bind finds the port in use, blocked if it fails for another reason, else free.
    pub fn status_is_true(&self) -> Result<(), TestCaseError> {
        let attempts = self.port["bind"].as_array().unwrap();
        // UDP is tried only without it.
        let reuse_address = self.reuse_address && self.port["protocol"] == "tcp";
        let counting = attempts.iter().filter(|attempt| attempt["reuse_address"] == reuse_address);
        let results: BTreeSet<&str> = counting.map(|attempt| attempt["result"].as_str().unwrap()).collect();
        prop_assert!(!results.is_empty(), "{:#}", self.port);
        let expected = match () {
            () if results.contains("in-use") => "held",
            () if results.contains("not-available") => "blocked",
            () => "free",
        };
        prop_assert_eq!(&self.port["status"], expected, "{:#}", self.port);
        let is_by_nothing = self.port["sockets"].as_array().unwrap().is_empty();
        prop_assert!(expected != "held" || !is_by_nothing, "held by nothing: {:#}", self.port);
        Ok(())
    }

    pub fn owners_are_true(&self) -> Result<(), TestCaseError> {
        for socket in self.port["sockets"].as_array().unwrap() {
            if let Err(lie) = self.lie(socket) {
                return Err(TestCaseError::fail(format!("{lie}: {socket:#} in {:#}", self.port)));
            }
        }
        Ok(())
    }

    /// What is wrong with the owners of `socket`.
    fn lie(&self, socket: &Value) -> Result<(), String> {
        let owners = &socket["owners"];
        let kind = owners["kind"].as_str().unwrap();
        let Some(inode) = socket["inode"].as_u64() else {
            return if kind == "none" { Ok(()) } else { Err("a socket without a file has no owner".to_owned()) };
        };
        let named: BTreeSet<u32> = numbers(&owners["pids"]).into_iter().collect();
        let seen_by = |holders: &Holders| holders.get(&inode).cloned().unwrap_or_default();
        let (visible, all) = (seen_by(self.visible), seen_by(self.all));
        let beyond = self.played.iter().find_map(|played| played.beyond_descriptors.get(&inode)).copied();
        let is_played = self.played.iter().any(|played| played.inodes.contains(&inode));
        let is_true = match kind {
            "known" | "partial" if !visible.is_empty() => named == visible,
            "known" => beyond.is_some() && named == beyond.into_iter().collect(),
            // Deduced: what is not seen may belong to anybody.
            "likely" => visible.is_empty() && !named.is_empty(),
            "hidden" => visible.is_empty() && (visible != all || beyond.is_some()),
            "kernel" => !is_played && all.is_empty() && beyond.is_none(),
            _ => false,
        };
        if is_true {
            Ok(())
        } else {
            Err(format!("{all:?} have it, {visible:?} can be seen, {beyond:?} by other means"))
        }
    }
}
