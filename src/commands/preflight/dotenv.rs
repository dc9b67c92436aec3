//! `.env`: the port of the program that reads it, PORT. Other variables, such as DB_PORT, mostly
//! name the port of somebody else.

use std::path::Path;

use super::lines::Lines;
use super::variables::Variables;
use super::wanted::{Asked, Fault, Kind, Wanted, port};

/// The variable that most servers read.
const NAME: &str = "PORT";

/// What the file asks for.
pub fn read(file: &Path, text: &str) -> Result<Vec<Wanted>, Fault> {
    let mut lines = Lines::of(file, Kind::Dotenv);
    for (name, value, line) in Variables::of_environment().assignments(text) {
        if name != NAME {
            continue;
        }
        match port(value.trim()) {
            Some(port) => lines.add(line, NAME, Asked::One(port)).variable = Some(name),
            None if value.is_empty() => {}
            None => return Err(lines.fault(line, format!("PORT={value} is no port"))),
        }
    }
    Ok(lines.wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_port_of_the_program_counts() {
        let read = |text: &str| read(Path::new(".env"), text);
        let found = read("A=1\nDB_PORT=5432\nPORT=3000 # dev\n").unwrap();
        assert_eq!((found.len(), &found[0].port, found[0].spot.line), (1, &Asked::One(3000), 3));
        assert_eq!(found[0].variable.as_deref(), Some("PORT"));
        assert!(read("PORT=\n").unwrap().is_empty() && read("PORT=x\n").is_err());
    }
}
