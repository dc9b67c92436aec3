//! Users by their ids and names. A static program of glibc would crash in the modules of the name
//! service (nss(5)), so it reads only /etc/passwd (passwd(5)).

use std::fs;
#[cfg(target_os = "linux")]
use std::path::PathBuf;

const IS_STATIC_GLIBC: bool = cfg!(all(target_env = "gnu", target_feature = "crt-static"));

/// The name of the user with this id.
pub fn name_of(uid: u32) -> Option<String> {
    if IS_STATIC_GLIBC {
        return entry(2, &uid.to_string(), 0);
    }
    uzers::get_user_by_uid(uid).map(|user| user.name().to_string_lossy().into_owned())
}

/// The home directory of the user with this id.
#[cfg(target_os = "linux")]
pub fn home_of(uid: u32) -> Option<PathBuf> {
    use uzers::os::unix::UserExt;
    if IS_STATIC_GLIBC {
        return entry(2, &uid.to_string(), 5).map(PathBuf::from);
    }
    uzers::get_user_by_uid(uid).map(|user| user.home_dir().to_owned())
}

/// Whether there is a user of this name, or with this id.
pub fn is_user(typed: &str) -> bool {
    let has_name =
        if IS_STATIC_GLIBC { entry(0, typed, 0).is_some() } else { uzers::get_user_by_name(typed).is_some() };
    has_name || typed.parse().is_ok_and(|uid| name_of(uid).is_some())
}

/// The field `wanted` of the first line of /etc/passwd whose field `key` has this value.
fn entry(key: usize, value: &str, wanted: usize) -> Option<String> {
    let bytes = fs::read("/etc/passwd").ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().find(|line| line.split(':').nth(key) == Some(value))?;
    line.split(':').nth(wanted).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_a_name_and_others_have_none() {
        assert_eq!((name_of(0).as_deref(), name_of(4_000_000_000)), (Some("root"), None));
        assert!(is_user("root") && is_user("0") && !is_user("no-such-user") && !is_user("a\0b"));
        assert!(!is_user("4000000000") && !is_user("-1"));
        assert_eq!((entry(2, "0", 0).as_deref(), entry(0, "root", 2).as_deref()), (Some("root"), Some("0")));
        assert_eq!(entry(2, "4000000000", 0), None);
    }
}
