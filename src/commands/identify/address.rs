//! What a URL asks for beside the port: its scheme, host and path are kept for the question.

/// A target that was typed as a URL, or as `localhost:8080/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// In small letters.
    pub scheme: String,
    /// Host and port as typed, for the header of that name.
    pub authority: String,
    /// Path and query, from the slash on.
    pub path: String,
}

impl Typed {
    /// Reads what was typed. `None` if it is no URL.
    pub fn read(typed: &str) -> Option<Self> {
        let text = typed.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None => ("http".to_owned(), crate::target::path_of(text).map(|_| text)?),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (place, path) = rest.split_at(end);
        let authority = place.rsplit_once('@').map_or(place, |(_, host)| host);
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        // Nothing typed may add a line to the question.
        (is_plain(authority) && is_plain(&path) && !authority.is_empty()).then(|| Self {
            scheme,
            authority: authority.to_owned(),
            path,
        })
    }

    /// One for a host and port that were typed without a URL: they say nothing of what is spoken.
    pub fn of_host(authority: String) -> Self {
        Self { scheme: String::new(), authority, path: "/".to_owned() }
    }

    /// Whether it says what is spoken there.
    pub fn is_url(&self) -> bool {
        !self.scheme.is_empty()
    }

    /// The host without its port, for the handshake of TLS.
    pub fn host(&self) -> &str {
        match self.authority.strip_prefix('[') {
            Some(address) => address.split(']').next().unwrap_or_default(),
            None => self.authority.split(':').next().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_host_and_path_of_what_is_typed() {
        for (typed, expected, host) in [
            ("https://localhost:8443/health?x=1#y", ("https", "localhost:8443", "/health?x=1"), "localhost"),
            ("HTTP://user:word@[::1]:80", ("http", "[::1]:80", "/"), "::1"),
            ("localhost:3000/path", ("http", "localhost:3000", "/path"), "localhost"),
            ("http://a?b", ("http", "a", "/?b"), "a"),
        ] {
            let read = Typed::read(typed).unwrap();
            assert_eq!((&*read.scheme, &*read.authority, &*read.path), expected, "{typed}");
            assert_eq!(read.host(), host);
        }
        for typed in ["8080", "localhost:80", "53/udp", "http://a\r\nX: y/", "http://a/ b", "http:///x"] {
            assert_eq!(Typed::read(typed), None, "{typed:?}");
        }
    }
}
