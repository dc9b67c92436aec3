//! Paths as their reader would write them.

use std::path::Path;

use super::Style;

/// A path; `~` stands for the home directory of the reader.
pub fn path(path: &Path, style: &Style) -> String {
    // The home of some services is the root directory.
    let home = style.home.as_deref().filter(|home| home.parent().is_some());
    match home.and_then(|home| path.strip_prefix(home).ok()) {
        Some(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
        Some(rest) => Path::new("~").join(rest).to_string_lossy().into_owned(),
        None => path.to_string_lossy().into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn only_what_is_in_the_home_directory_is_short() {
        let style = |home: &str| Style { home: Some(PathBuf::from(home)), ..Style::default() };
        for (home, of, expected) in [
            ("/home/ada", "/home/ada/shop", "~/shop"),
            ("/home/ada/", "/home/ada", "~"),
            ("/home/ada", "/home/adam/shop", "/home/adam/shop"),
            ("/", "/srv", "/srv"),
            ("", "/srv", "/srv"),
        ] {
            assert_eq!(path(Path::new(of), &style(home)).replace('\\', "/"), expected);
        }
    }
}
