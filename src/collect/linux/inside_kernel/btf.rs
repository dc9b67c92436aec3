//! Reads the few facts that the programs need from the types of the kernel (BTF, linux/btf.h).

/// What the programs have to know of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The functions that stand for the iterators over tasks, and over their descriptors.
    pub tasks: u32,
    pub descriptors: u32,
    /// The function that makes a pointer of a number, since Linux 6.2.
    pub cast: Option<u32>,
    /// The structures of a task and of a file.
    pub task_type: u32,
    pub file_type: u32,
    /// Offsets of `file->f_mode` and `->f_inode`.
    pub mode: i16,
    pub inode: i16,
    /// Offsets of `inode->i_mode` and `->i_ino`.
    pub kind: i16,
    pub number: i16,
    /// Offsets of `task_struct->tgid`, `->pid` and `->files`.
    pub process: i16,
    pub thread: i16,
    pub files: i16,
    /// The offset of `files_struct->fdt`.
    pub table: i16,
    /// Offsets of `fdtable->max_fds` and `->fd`.
    pub limit: i16,
    pub array: i16,
}

const FUNCTIONS: [&[u8]; 3] = [b"bpf_iter_task\0", b"bpf_iter_task_file\0", b"bpf_rdonly_cast\0"];

/// The structures and fields that are needed, in the order of [`Layout`].
const FIELDS: [(&[u8], &[u8]); 10] = [
    (b"file\0", b"f_mode\0"),
    (b"file\0", b"f_inode\0"),
    (b"inode\0", b"i_mode\0"),
    (b"inode\0", b"i_ino\0"),
    (b"task_struct\0", b"tgid\0"),
    (b"task_struct\0", b"pid\0"),
    (b"task_struct\0", b"files\0"),
    (b"files_struct\0", b"fdt\0"),
    (b"fdtable\0", b"max_fds\0"),
    (b"fdtable\0", b"fd\0"),
];

const KIND_STRUCT: u32 = 4;
const KIND_FUNC: u32 = 12;

/// Finds the functions and the fields. `None` if one is missing, or the bytes are no BTF.
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
    let (mut functions, mut fields) = ([None; FUNCTIONS.len()], [None; FIELDS.len()]);
    let mut id = 0;
    while !types.is_empty() && (functions.contains(&None) || fields.contains(&None)) {
        id += 1;
        let (name, info) = (usize_at(types, 0)?, u32_at(types, 4)?);
        let (kind, count) = ((info >> 24) & 0x1f, info & 0xffff);
        let rest = types.get(12..)?;
        let (details, rest) = rest.split_at_checked(size_of_details(kind, count)?)?;
        types = rest;
        if kind == KIND_FUNC {
            for (function, known) in functions.iter_mut().zip(FUNCTIONS) {
                if function.is_none() && is_named(name, known) {
                    *function = Some(id);
                }
            }
        } else if kind == KIND_STRUCT {
            for (found, (structure, field)) in fields.iter_mut().zip(FIELDS) {
                if found.is_none() && is_named(name, structure) {
                    *found = field_offset(details, info, |name| is_named(name, field)).map(|offset| (id, offset));
                }
            }
        }
    }
    layout(functions, fields)
}

fn layout(
    [tasks, descriptors, cast]: [Option<u32>; FUNCTIONS.len()],
    fields: [Option<(u32, i16)>; FIELDS.len()],
) -> Option<Layout> {
    let [mode, inode, kind, number, process, thread, files, table, limit, array] = fields;
    let ((file_type, mode), (task_type, process)) = (mode?, process?);
    let [inode, kind, number, thread, files, table, limit, array] =
        [inode?, kind?, number?, thread?, files?, table?, limit?, array?].map(|(_, offset)| offset);
    Some(Layout {
        tasks: tasks?,
        descriptors: descriptors?,
        cast,
        task_type,
        file_type,
        mode,
        inode,
        kind,
        number,
        process,
        thread,
        files,
        table,
        limit,
        array,
    })
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

    /// Each field in a structure of its own, at 8 bytes times its number plus 1; then the functions.
    fn small(functions: &[&[u8]]) -> Vec<u8> {
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
        for function in functions {
            for word in [name(function), KIND_FUNC << 24, 0] {
                types.extend(word.to_ne_bytes());
            }
        }
        let (types_length, names_length) = (u32::try_from(types.len()).unwrap(), u32::try_from(names.len()).unwrap());
        let head = [0x0001_eb9f, 24, 0, types_length, types_length, names_length];
        [head.iter().flat_map(|word: &u32| word.to_ne_bytes()).collect(), types, names].concat()
    }

    #[test]
    fn fields_and_functions_are_found() {
        let layout = find(&small(&FUNCTIONS)).unwrap();
        assert_eq!((layout.tasks, layout.descriptors, layout.cast), (11, 12, Some(13)));
        assert_eq!((layout.file_type, layout.task_type), (1, 5));
        let Layout { mode, inode, kind, number, process, thread, files, table, limit, array, .. } = layout;
        let offsets = [mode, inode, kind, number, process, thread, files, table, limit, array];
        assert_eq!(offsets, [8, 16, 24, 32, 40, 48, 56, 64, 72, 80]);
    }

    #[test]
    fn before_linux_6_2_there_is_no_cast() {
        assert_eq!(find(&small(&FUNCTIONS[..2])).unwrap().cast, None);
        assert_eq!(find(&small(&FUNCTIONS[..1])), None);
    }

    #[test]
    fn what_is_cut_or_changed_is_no_layout_and_no_panic() {
        let whole = small(&FUNCTIONS);
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
