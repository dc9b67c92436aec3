//! What a command comes to for its caller.

/// The exit code, by its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: every port asked about is free, or the listing was made.
    Yes,
    /// 1: at least one is held or blocked.
    No,
    /// 2: the command line is wrong, or a file that it names.
    Usage,
    /// 3: something needed could not be seen.
    Unknown,
    /// 4: the tool itself failed.
    Failure,
    /// 124: the time was over before what was waited for happened.
    Timeout,
    /// 126: the command cannot be executed, as in a shell.
    NotExecutable,
    /// 127: there is no such command, as in a shell.
    NotFound,
}

impl Exit {
    /// The code that the process exits with.
    pub const fn code(self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::Unknown => 3,
            Self::Failure => 4,
            Self::Timeout => 124,
            Self::NotExecutable => 126,
            Self::NotFound => 127,
        }
    }
}

/// What a command does, as the JSON names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Command {
    /// Ports were asked about.
    Check,
    /// What is in use was listed.
    List,
    /// Connections were listed.
    Connections,
    /// A port was to be freed.
    Kill,
    /// A port was waited for.
    Wait,
    /// Who can reach ports was asked.
    Reach,
    /// What answers on ports was asked.
    Identify,
    /// Whether the ports of manifests are available was asked.
    Preflight,
    /// Ports were watched.
    Watch,
    /// Ports were picked, or leases looked at or ended.
    Free,
}
