//! What the columns of the list concede beyond those of other lists: lines of the view cannot
//! continue below themselves, and no number may be cut.

use crate::render::columns::{Concession, give_way, needed};
use crate::request::Column;

/// From the first to the last, as far as needed. Port and pid go last, and are never narrow.
const CONCESSIONS: &[Concession] = {
    use Column::{
        Address, Class, Command, Exposure, Namespace, Peer, Pid, Process, Protocol, Service, State, Unit, User,
    };
    use Concession::{Leave, Narrow};
    &[
        Narrow(Process, 15),
        Narrow(Peer, 22),
        Narrow(Address, 15),
        Leave(State),
        Leave(Protocol),
        Narrow(Process, 10),
        Narrow(Peer, 15),
        Leave(Address),
        Narrow(Process, 8),
        Leave(Peer),
        Leave(Class),
        Leave(Service),
        Leave(Exposure),
        Leave(Command),
        Leave(Unit),
        Leave(User),
        Leave(Namespace),
        Leave(Process),
        Leave(Pid),
    ]
};

/// Makes columns of these widths fit into `room`; 0 for one that is left out.
pub fn fit(columns: &[Column], wanted: &[usize], room: usize) -> Vec<usize> {
    let mut widths = wanted.to_vec();
    give_way(columns, &mut widths, CONCESSIONS, |at| wanted[at], room);
    // What is left goes to those that are narrow now.
    for at in (0..widths.len()).filter(|&at| widths[at] > 0).collect::<Vec<_>>() {
        widths[at] = wanted[at].min(widths[at] + room.saturating_sub(needed(&widths)));
    }
    widths
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    const NUMBERS: [Column; 2] = [Column::Port, Column::Pid];

    #[test]
    fn numbers_stay_whole_and_all_fits() {
        let columns = Column::VARIANTS;
        let wanted: Vec<usize> = columns.iter().map(|column| if NUMBERS.contains(column) { 8 } else { 30 }).collect();
        for room in 8..600 {
            let widths = fit(columns, &wanted, room);
            assert!(needed(&widths) <= room, "{room}: {widths:?}");
            for (&column, width) in columns.iter().zip(widths) {
                let is_shown = column == Column::Port || room >= 18 && column == Column::Pid;
                assert!(
                    !NUMBERS.contains(&column) || width == 8 || !is_shown && width == 0,
                    "{room}: {column:?} {width}"
                );
            }
        }
    }

    #[test]
    fn no_room_is_wasted_while_a_text_is_cut() {
        let columns = [Column::Port, Column::Process, Column::Pid];
        assert_eq!(fit(&columns, &[5, 40, 7], 60), [5, 40, 7]);
        assert_eq!(fit(&columns, &[5, 40, 7], 50), [5, 34, 7]);
        assert_eq!(fit(&columns, &[5, 40, 7], 16), [5, 0, 7]);
    }
}
