//! The columns of a listing, and what they concede to a narrow terminal.

use strum::VariantArray;

use super::Style;
use super::escape::{self, width_of};
use super::rows::{Row, service};
use crate::model::Owners;
use crate::request::Column;

/// Between two columns.
pub const GUTTER: u16 = 2;

/// What a column does so that the others have room.
#[derive(Debug, Clone, Copy)]
pub enum Concession {
    /// It has no more than so many characters.
    Narrow(Column, usize),
    /// Its items are put below each other.
    Stack(Column),
    /// It is left out.
    Leave(Column),
}

/// From the first to the last, as far as needed: what another column says too gives way first, the
/// command line and the network namespace last. Port, protocol, address, process and pid are the
/// answer and never go.
const CONCESSIONS: &[Concession] = {
    use Column::{Address, Class, Command, Exposure, Namespace, Service, Unit, User};
    use Concession::{Leave, Narrow, Stack};
    &[
        Narrow(Command, 30),
        Leave(Class),
        Leave(Service),
        Leave(Exposure),
        Narrow(Command, 16),
        Narrow(Unit, 16),
        Stack(Address),
        Leave(Unit),
        Leave(User),
        Narrow(Command, 10),
        Leave(Command),
        Narrow(Namespace, 16),
        Leave(Namespace),
    ]
};

/// The columns of a list of this style: those that were chosen, or the usual ones.
pub fn shown(style: &Style) -> Vec<Column> {
    let is_usual = |column: &Column| style.connections || !matches!(column, Column::State | Column::Peer);
    match &*style.columns {
        [] => Column::VARIANTS.iter().copied().filter(is_usual).collect(),
        chosen => chosen.to_vec(),
    }
}

/// What stands above a column.
pub const fn heading(column: Column) -> &'static str {
    match column {
        Column::Port => "PORT",
        Column::Protocol => "PROTO",
        Column::State => "STATE",
        Column::Class => "CLASS",
        Column::Service => "SERVICE",
        Column::Address => "ADDRESS",
        Column::Peer => "PEER",
        Column::Exposure => "EXPOSED",
        Column::Process => "PROCESS",
        Column::Pid => "PID",
        Column::User => "USER",
        Column::Unit => "UNIT/CONTAINER",
        Column::Command => "COMMAND",
        Column::Namespace => "NAMESPACE",
    }
}

/// What a row has in a column, several items if it is a list.
pub fn items(column: Column, row: &Row<'_>) -> Vec<String> {
    let items = match column {
        Column::Port => vec![row.port.observed.port.to_string()],
        Column::Protocol => vec![row.port.observed.protocol.to_string()],
        Column::State => row.states.iter().map(ToString::to_string).collect(),
        Column::Class => vec![row.port.observed.class().into_str().to_owned()],
        Column::Service => service(row.port).into_iter().collect(),
        Column::Address => row.addresses.clone(),
        Column::Peer => row.peer.iter().cloned().collect(),
        Column::Exposure => vec![row.exposure.into_str().to_owned()],
        Column::Process => vec![process(row)],
        Column::Pid => vec![pids(row)],
        Column::User => row.user.iter().cloned().collect(),
        Column::Unit => row.supervisor.iter().cloned().collect(),
        Column::Namespace => row.namespace.iter().cloned().collect(),
        Column::Command => {
            let command = || escape::command_line(row.command);
            vec![escape::shorten(&row.held_for.clone().unwrap_or_else(command), LONGEST_COMMAND).into_owned()]
        }
    };
    items.iter().map(|item| escape::terminal(item).into_owned()).collect()
}

/// Enough to recognise a program by; the report shows all of it.
const LONGEST_COMMAND: usize = 80;

/// Puts the items of a cell into one text. Only items that do not fit side by side are put below
/// each other, each in one piece.
pub fn text(items: &[String], width: usize) -> String {
    let joined = items.join(", ");
    match items {
        [only] => escape::shorten(only, width).into_owned(),
        _ if width_of(&joined) <= width => joined,
        _ => items.join(",\n"),
    }
}

/// The width that each column gets, 0 for one that is left out: those without content, and as many
/// of the others that give way as it takes to fit into `limit`.
pub fn fit(columns: &[Column], cells: &[Vec<Vec<String>>], limit: Option<u16>) -> Vec<usize> {
    let widest = |index: usize, width: fn(&[String]) -> usize| {
        let content = cells.iter().map(|row| width(&row[index])).max().unwrap_or(0);
        if content == 0 { 0 } else { content.max(heading(columns[index]).len()) }
    };
    let natural: Vec<usize> = (0..columns.len()).map(|index| widest(index, side_by_side)).collect();
    concede(columns, natural, |index| widest(index, below_each_other), limit)
}

/// The same for columns that would be `natural` wide, and `stacked` with their items below each
/// other.
pub fn concede(
    columns: &[Column],
    natural: Vec<usize>,
    stacked: impl Fn(usize) -> usize,
    limit: Option<u16>,
) -> Vec<usize> {
    let Some(limit) = limit.map(usize::from) else { return natural };
    let mut widths = natural.clone();
    give_way(columns, &mut widths, CONCESSIONS, stacked, limit);
    let command = columns.iter().position(|&column| column == Column::Command);
    if let Some(at) = command.filter(|&at| widths[at] > 0) {
        let left = limit.saturating_sub(needed(&widths));
        widths[at] = natural[at].min(widths[at] + left);
    }
    widths
}

/// Makes these concessions, one after the other, until the columns fit into `room`.
pub fn give_way(
    columns: &[Column],
    widths: &mut [usize],
    concessions: &[Concession],
    stacked: impl Fn(usize) -> usize,
    room: usize,
) {
    let index_of = |wanted: Column| columns.iter().position(|&column| column == wanted);
    for concession in concessions {
        if needed(widths) <= room {
            break;
        }
        match *concession {
            Concession::Narrow(column, most) => index_of(column).map(|at| widths[at] = widths[at].min(most)),
            Concession::Stack(column) => index_of(column).map(|at| widths[at] = stacked(at)),
            Concession::Leave(column) => index_of(column).map(|at| widths[at] = 0),
        };
    }
}

/// What columns of these widths take, with what is between them. One of width 0 is left out.
pub fn needed(widths: &[usize]) -> usize {
    let shown: Vec<usize> = widths.iter().copied().filter(|&width| width > 0).collect();
    shown.iter().sum::<usize>() + usize::from(GUTTER) * shown.len().saturating_sub(1)
}

fn side_by_side(items: &[String]) -> usize {
    width_of(&items.join(", "))
}

fn below_each_other(items: &[String]) -> usize {
    let comma = usize::from(items.len() > 1);
    items.iter().map(|item| width_of(item) + comma).max().unwrap_or(0)
}

fn process(row: &Row<'_>) -> String {
    match (&row.process, &*row.owners) {
        (Some(name), Owners::Likely { .. }) => format!("{name}?"),
        (Some(name), _) => name.clone(),
        (None, Owners::Kernel) => "(kernel)".to_owned(),
        (None, Owners::Hidden { .. }) => "(hidden)".to_owned(),
        (None, Owners::None) => "(none)".to_owned(),
        (None, _) => "(ended)".to_owned(),
    }
}

fn pids(row: &Row<'_>) -> String {
    let doubt = if matches!(*row.owners, Owners::Likely { .. }) { "?" } else { "" };
    let more = if matches!(*row.owners, Owners::Partial { .. }) { " +?" } else { "" };
    match row.owners.pids() {
        [] => String::new(),
        [pid] => format!("{pid}{doubt}{more}"),
        [pid, others @ ..] => format!("{pid}{doubt} +{}{more}", others.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_goes_last_and_the_address_never() {
        let columns = [Column::Port, Column::Namespace, Column::Address, Column::Command];
        let row = ["8080", "shop-web-1", "172.17.0.2", "/usr/sbin/httpd -f -p 80"].map(|text| vec![text.to_owned()]);
        let cells = [row.to_vec()];
        let left = |limit: u16| -> Vec<Column> {
            let widths = fit(&columns, &cells, Some(limit));
            columns.into_iter().zip(widths).filter(|&(_, width)| width > 0).map(|(column, _)| column).collect()
        };
        assert_eq!(left(60), columns);
        assert_eq!(left(32), [Column::Port, Column::Namespace, Column::Address]);
        assert_eq!(left(20), [Column::Port, Column::Address]);
        assert_eq!(fit(&columns, &cells, Some(20))[2], 10);
    }

    #[test]
    fn items_stand_below_each_other_only_where_they_have_to() {
        let items = ["127.0.0.1".to_owned(), "fe80::1%eth0".to_owned()];
        assert_eq!(text(&items, 23), "127.0.0.1, fe80::1%eth0");
        assert_eq!(text(&items, 22), "127.0.0.1,\nfe80::1%eth0");
        assert_eq!((side_by_side(&items), below_each_other(&items)), (23, 13));
        assert_eq!(text(&["node serve.js".to_owned()], 10), "node serv…");
    }
}
