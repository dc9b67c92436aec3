//! The options that narrow a listing. All that are typed must fit; of the values of one, any.

use clap::Args;
use strum::VariantNames;

use super::Stop;
use super::names::{named, parse_name, parse_pid};
use crate::classify::Class;
use crate::collect;
use crate::model::State;
use crate::request::{AddressPattern, Filter};

/// Of `--local`. In a comment on it, rustdoc would take the brackets for a link.
const PLACE: &str = "Only what is bound there: ADDRESS, ADDRESS/PREFIX, ADDRESS:PORT, [fe80::]/10:22 or :PORT";

#[derive(Debug, Args)]
#[command(next_help_heading = "Filters, of which all must fit; each takes several values, joined by commas")]
pub struct Filters {
    /// Only what these processes hold
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = parse_pid)]
    pid: Vec<u32>,
    /// Only what processes with NAME in their name or command line hold
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = parse_name)]
    process: Vec<String>,
    /// Only what these users hold, by name or id
    #[arg(long, value_name = "USER", value_delimiter = ',')]
    user: Vec<String>,
    /// Only what these containers hold or publish, by name or the beginning of the id (3 or more
    /// characters); with -A, also what is inside
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    container: Vec<String>,
    /// Only what these projects hold, by name or directory; or compose projects, by name
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = parse_name)]
    project: Vec<String>,
    /// Only sockets in these states
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = named::<State>(State::VARIANTS))]
    state: Vec<State>,
    #[arg(long, help = PLACE, value_name = "PLACE", value_delimiter = ',', value_parser = str::parse::<AddressPattern>)]
    local: Vec<AddressPattern>,
    /// Only what is connected to there
    #[arg(long, value_name = "PLACE", value_delimiter = ',', value_parser = str::parse::<AddressPattern>)]
    peer: Vec<AddressPattern>,
    /// Only ports of these classes
    #[arg(long, value_name = "CLASS", value_delimiter = ',', value_parser = named::<Class>(Class::VARIANTS))]
    class: Vec<Class>,
    /// Only what other machines can reach by its address; 'portcheck reach' asks the firewall, too
    #[arg(long)]
    exposed: bool,
}

impl Filters {
    /// The filter. Who is named has to exist: an empty list would say something else.
    pub fn resolve(self) -> Result<Filter, Stop> {
        if let Some(pid) = self.pid.iter().find(|&&pid| !collect::is_process(pid)) {
            return Err(Stop::Usage(format!("--pid: no process has the id {pid}")));
        }
        if let Some(user) = self.user.iter().find(|user| !collect::is_user(user)) {
            return Err(Stop::Usage(match user.parse::<u32>() {
                Ok(_) => format!("--user: no user, process or socket has the user id {user}"),
                Err(_) => format!("--user: this machine has no user '{user}'; an id such as 1000 works too"),
            }));
        }
        if let Some(name) = self.container.iter().find(|name| !collect::is_container(name)) {
            return Err(Stop::Usage(format!("--container: no container called '{name}' runs here, as far as is seen")));
        }
        Ok(Filter {
            pids: self.pid,
            processes: self.process,
            users: self.user,
            containers: self.container,
            projects: self.project,
            states: self.state,
            local: self.local,
            peer: self.peer,
            classes: self.class,
            exposed: self.exposed,
        })
    }
}
