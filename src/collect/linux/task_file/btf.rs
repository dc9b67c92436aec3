//! Reads the few facts that the program needs from the types of the kernel (BTF, linux/btf.h).

/// Where the kernel has what the program reads.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The id of the function that stands for the iterator.
    pub function: u32,
    /// Offsets of the fields, in the order of [`FIELDS`].
    pub offsets: [i16; FIELDS.len()],
}

/// The structures and fields whose offsets are needed.
const FIELDS: [(&[u8], &[u8]); 5] = [
    (b"file\0", b"f_op\0"),
    (b"file\0", b"f_inode\0"),
    (b"inode\0", b"i_ino\0"),
    (b"task_struct\0", b"tgid\0"),
    (b"task_struct\0", b"pid\0"),
];

const FUNCTION: &[u8] = b"bpf_iter_task_file\0";

const KIND_STRUCT: u32 = 4;
const KIND_FUNC: u32 = 12;

/// Finds the function and the fields. `None` if one is missing, or the bytes are no BTF.
pub fn find(btf: &[u8]) -> Option<Layout> {
    const MAGIC_AND_VERSION: u32 = 0x0001_eb9f;
    if u32_at(btf, 0)? & 0x00ff_ffff != MAGIC_AND_VERSION {
        return None;
    }
    let section = |offset: usize, length: usize| {
        let start = usize_at(btf, 4)?.checked_add(usize_at(btf, offset)?)?;
        btf.get(start..start.checked_add(usize_at(btf, length)?)?)
    };
    let (mut types, names) = (section(8, 12)?, section(16, 20)?);
    let is_named = |offset: usize, name: &[u8]| names.get(offset..).is_some_and(|rest| rest.starts_with(name));
    let (mut function, mut offsets) = (None, [None; FIELDS.len()]);
    let mut id = 0;
    while function.is_none() || offsets.contains(&None) {
        id += 1;
        let (name, info) = (usize_at(types, 0)?, u32_at(types, 4)?);
        let (kind, count) = ((info >> 24) & 0x1f, info & 0xffff);
        let rest = types.get(12..)?;
        let (details, rest) = rest.split_at_checked(size_of_details(kind, count)?)?;
        types = rest;
        if kind == KIND_FUNC && is_named(name, FUNCTION) {
            function = function.or(Some(id));
        } else if kind == KIND_STRUCT {
            for (offset, (structure, field)) in offsets.iter_mut().zip(FIELDS) {
                if offset.is_none() && is_named(name, structure) {
                    *offset = field_offset(details, info, |name| is_named(name, field));
                }
            }
        }
    }
    let mut layout = Layout { function: function?, ..Layout::default() };
    for (known, found) in layout.offsets.iter_mut().zip(offsets) {
        *known = found?;
    }
    Some(layout)
}

/// The offset in bytes of the first field that has the name.
fn field_offset(members: &[u8], info: u32, is_field: impl Fn(usize) -> bool) -> Option<i16> {
    let member = members.chunks_exact(12).find(|member| usize_at(member, 0).is_some_and(&is_field))?;
    let bits = u32_at(member, 8)?;
    // With this flag, the upper eight bits are the width of a bit field.
    let bits = if info >> 31 == 1 { bits & 0x00ff_ffff } else { bits };
    i16::try_from(bits / 8).ok()
}

/// How many bytes follow the first twelve of a type. `None` for a kind that is unknown.
fn size_of_details(kind: u32, count: u32) -> Option<usize> {
    let size = match kind {
        // Pointers, forward declarations, typedefs, qualifiers, functions, floats, type tags.
        2 | 7..=12 | 16 | 18 => 0,
        // Integers, variables, declaration tags.
        1 | 14 | 17 => 4,
        // Arrays.
        3 => 12,
        // Enumerations, parameters of functions.
        6 | 13 => 8 * count,
        // Structures, unions, sections, enumerations of 64 bits.
        4 | 5 | 15 | 19 => 12 * count,
        _ => return None,
    };
    usize::try_from(size).ok()
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

fn usize_at(bytes: &[u8], offset: usize) -> Option<usize> {
    usize::try_from(u32_at(bytes, offset)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each field in a structure of its own, at 8 bytes times its number plus 1; then the function.
    fn small() -> Vec<u8> {
        let (mut types, mut names) = (Vec::new(), vec![0]);
        let mut name = |text: &[u8]| {
            names.extend_from_slice(text);
            u32::try_from(names.len() - text.len()).unwrap()
        };
        for (bits, (structure, field)) in (64u32..).step_by(64).zip(FIELDS) {
            for word in [name(structure), KIND_STRUCT << 24 | 1, 8, name(field), 0, bits] {
                types.extend(word.to_ne_bytes());
            }
        }
        for word in [name(FUNCTION), KIND_FUNC << 24, 0] {
            types.extend(word.to_ne_bytes());
        }
        let (types_length, names_length) = (u32::try_from(types.len()).unwrap(), u32::try_from(names.len()).unwrap());
        let head = [0x0001_eb9f, 24, 0, types_length, types_length, names_length];
        [head.iter().flat_map(|word: &u32| word.to_ne_bytes()).collect(), types, names].concat()
    }

    #[test]
    fn fields_and_the_function_are_found() {
        assert_eq!(find(&small()), Some(Layout { function: 6, offsets: [8, 16, 24, 32, 40] }));
    }

    #[test]
    fn what_is_cut_or_changed_is_no_layout_and_no_panic() {
        let whole = small();
        for end in 0..whole.len() {
            assert_eq!(find(&whole[..end]), None, "{end}");
        }
        for (at, value) in (0..whole.len()).flat_map(|at| [0, 0x7f, 0xff].map(|value| (at, value))) {
            let mut changed = whole.clone();
            changed[at] = value;
            let _ = find(&changed);
        }
    }
}
