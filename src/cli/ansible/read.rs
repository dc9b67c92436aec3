//! Reads the arguments of a module.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde_json::{Map, Value};

/// The largest size of the arguments.
const MOST: u64 = 1024 * 1024;

/// The JSON object in a file of our caller; `-` is standard input.
pub fn object(file: &Path) -> Result<Map<String, Value>, String> {
    let bytes = if file == Path::new("-") { all_of(io::stdin().lock()) } else { file_of(file) };
    let bytes = bytes.map_err(|error| format!("cannot read the arguments in {}: {error}", file.display()))?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(format!("the arguments in {} are not a JSON object", file.display())),
        Err(error) => Err(format!("the arguments in {} are not JSON: {error}", file.display())),
    }
}

/// A FIFO would hang, and a device might act.
fn file_of(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    all_of(File::open(path)?)
}

fn all_of(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_object_of_some_size_is_read() {
        let root = tempfile::tempdir().unwrap();
        let told = |text: &[u8]| {
            let path = root.path().join("arguments");
            fs::write(&path, text).unwrap();
            object(&path).map(|object| object.len())
        };
        assert_eq!(told(b"{\"ports\": [80]}"), Ok(1));
        for (text, reason) in [(&b"[80]"[..], "not a JSON object"), (b"ports=80", "not JSON"), (b"", "not JSON")] {
            assert!(told(text).unwrap_err().contains(reason));
        }
        assert!(told(&vec![b' '; 1024 * 1024 + 1]).unwrap_err().contains("cannot read"));
        assert!(object(root.path()).unwrap_err().contains("not a regular file"));
        assert!(object(&root.path().join("none")).unwrap_err().contains("cannot read"));
    }
}
