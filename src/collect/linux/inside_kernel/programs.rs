//! The programs that the kernel runs for each task, or for each descriptor.

use super::btf::Layout;
#[allow(clippy::wildcard_imports, reason = "the names of instructions and registers")]
use super::instructions::*;

/// Up to so many sockets are compared inside the program. Of more, all sockets are handed out.
const FEW: usize = 64;

/// The length of a record: process (u32), descriptor (u32), inode (u64).
pub const RECORD: usize = 16;
const LENGTH: i32 = 16;

/// The descriptor in a record of a process that was not seen whole.
pub const UNSURE: u32 = u32::MAX;

/// Where the record is on the stack.
const PROCESS: i16 = -16;
const NUMBER: i16 = -12;
const INODE: i16 = -8;

/// What else is on the stack: where records are written to, the descriptors of the task, their
/// table, the start of the array of files in it, a file of that array, and how many records were
/// written.
const OUTPUT: i16 = -24;
const FILES: i16 = -32;
const TABLE: i16 = -40;
const START: i16 = -48;
const FILE: i16 = -56;
const COUNT: i16 = -64;

/// What is kept in registers: the context, and for a walk the task, the entry of the array, and the
/// end of the array.
const CONTEXT: u8 = R8;
const TASK: u8 = R9;
const CURSOR: u8 = R6;
const END: u8 = R7;

/// The size of an entry, which is an address.
const ENTRY: i32 = 8;

/// Returns 0 and does nothing else.
pub fn empty() -> Vec<u64> {
    Code::default().finish()
}

/// The program that writes a record for each descriptor of a task that is one of the sockets
/// `wanted`, or any socket if those are too many. It walks the array of files by itself. `None`
/// before Linux 6.2; before 6.9 the kernel refuses the program.
///
/// Nothing is locked. If the task has another table afterwards, or too many sockets for the kernel's
/// buffer, it is told as [`UNSURE`].
pub fn of_task(layout: &Layout, wanted: &[u64]) -> Option<Vec<u64>> {
    let cast = layout.cast?;
    let mut code = Code::default();
    code.copy(CONTEXT, R1);
    task(&mut code, layout);
    // What is read by way of the result may be gone: then it reads as 0.
    code.call_function(cast, layout.task_type);
    code.copy(TASK, R0);
    start(&mut code, layout);

    code.label(Label::Next);
    code.jump(IF_TIRED, Label::Unsure);
    code.calculate(ADD_K, CURSOR, ENTRY);
    code.jump_x(IF_NOT_BELOW_X, CURSOR, END, Label::Last);
    entry(&mut code, layout, cast);
    code.jump_k(IF_EQUAL_K, R1, 0, Label::Next);
    code.store(STORE_64, FILE, R1);
    code.call_function(cast, layout.file_type);
    socket(&mut code, layout, wanted, Label::Next);
    found(&mut code, layout, cast);
    code.jump(JUMP, Label::Next);

    code.label(Label::Last);
    code.count(COUNT);
    code.load(LOAD_64, R1, TASK, layout.files);
    code.load(LOAD_64, R2, STACK, FILES);
    code.jump_x(UNLESS_EQUAL_X, R1, R2, Label::Unsure);
    // A table that grows is replaced by a copy, and what is closed is cleared there only.
    code.load(LOAD_64, R1, R1, layout.table);
    code.load(LOAD_64, R2, STACK, TABLE);
    code.jump_x(IF_EQUAL_X, R1, R2, Label::End);
    code.label(Label::Unsure);
    code.put(STORE_32_K, STACK, 0, NUMBER, UNSURE.cast_signed());
    code.put(STORE_64_K, STACK, 0, INODE, 0);
    write(&mut code);
    Some(code.finish())
}

/// Places the cursor before the first entry. Jumps if the task has no descriptors.
fn start(code: &mut Code, layout: &Layout) {
    code.load(LOAD_64, R1, TASK, layout.files);
    code.jump_k(IF_EQUAL_K, R1, 0, Label::End);
    code.store(STORE_64, FILES, R1);
    code.put(STORE_64_K, STACK, 0, COUNT, 0);
    code.load(LOAD_64, R1, R1, layout.table);
    code.store(STORE_64, TABLE, R1);
    code.load(LOAD_32, END, R1, layout.limit);
    code.load(LOAD_64, CURSOR, R1, layout.array);
    code.store(STORE_64, START, CURSOR);
    code.calculate(SHIFT_LEFT_K, END, 3);
    code.put(ADD_X, END, CURSOR, 0, 0);
    code.calculate(ADD_K, CURSOR, -ENTRY);
}

/// Loads the address at the cursor into `R1`. The kernel reads fields of structures only, so the
/// cursor is taken for the place of `f_inode` in a file.
fn entry(code: &mut Code, layout: &Layout, cast: u32) {
    code.copy(R1, CURSOR);
    code.calculate(ADD_K, R1, -i32::from(layout.inode));
    code.call_function(cast, layout.file_type);
    code.load(LOAD_64, R1, R0, layout.inode);
}

/// Writes the record of the entry at the cursor.
fn found(code: &mut Code, layout: &Layout, cast: u32) {
    /// The kernel has eight pages for the records of a task, and does not use the last byte. One
    /// more record is for [`UNSURE`].
    const ROOM: i32 = 8 * 4096 / LENGTH - 2;
    code.copy(R1, CURSOR);
    code.load(LOAD_64, R2, STACK, START);
    code.put(SUBTRACT_X, R1, R2, 0, 0);
    code.calculate(SHIFT_RIGHT_K, R1, 3);
    code.store(STORE_32, NUMBER, R1);
    code.count(COUNT);
    code.jump_k(IF_NOT_BELOW_K, R1, ROOM, Label::Unsure);
    // A file that was closed may be another one by now.
    entry(code, layout, cast);
    code.load(LOAD_64, R2, STACK, FILE);
    code.jump_x(UNLESS_EQUAL_X, R1, R2, Label::Next);
    write(code);
}

/// The same for one descriptor, which the kernel has found.
pub fn of_descriptor(layout: &Layout, wanted: &[u64]) -> Vec<u64> {
    // struct bpf_iter__task_file: meta, task, fd, file.
    let mut code = Code::default();
    code.copy(CONTEXT, R1);
    code.load(LOAD_64, R0, CONTEXT, 24);
    code.jump_k(IF_EQUAL_K, R0, 0, Label::End);
    socket(&mut code, layout, wanted, Label::End);
    task(&mut code, layout);
    code.load(LOAD_32, R1, CONTEXT, 16);
    code.store(STORE_32, NUMBER, R1);
    write(&mut code);
    code.finish()
}

/// Loads the task into `R1`, and its process into the record. Main threads only, as in
/// /proc/PID/fd.
fn task(code: &mut Code, layout: &Layout) {
    // It is the second field of both contexts.
    code.load(LOAD_64, R1, CONTEXT, 8);
    code.jump_k(IF_EQUAL_K, R1, 0, Label::End);
    code.load(LOAD_32, R2, R1, layout.process);
    code.load(LOAD_32, R3, R1, layout.thread);
    code.jump_x(UNLESS_EQUAL_X, R2, R3, Label::End);
    code.store(STORE_32, PROCESS, R2);
    // The first field is meta, and that of meta is the seq_file. To verify this takes long, so it is
    // read at one place only.
    code.load(LOAD_64, R2, CONTEXT, 0);
    code.load(LOAD_64, R2, R2, 0);
    code.store(STORE_64, OUTPUT, R2);
}

/// Puts the inode of the file in `R0` into the record. Jumps if it is not one of the sockets.
fn socket(code: &mut Code, layout: &Layout, wanted: &[u64], otherwise: Label) {
    const KIND: i32 = 0o170_000;
    const SOCKET: i32 = 0o140_000;
    /// What is opened with O_PATH, `FMODE_PATH` (linux/fs.h): a name in a file system, perhaps.
    const PATH: i32 = 0x4000;
    code.load(LOAD_64, R1, R0, layout.inode);
    code.load(LOAD_16, R2, R1, layout.kind);
    code.calculate(AND_K, R2, KIND);
    code.jump_k(UNLESS_EQUAL_K, R2, SOCKET, otherwise);
    code.load(LOAD_32, R2, R0, layout.mode);
    code.calculate(AND_K, R2, PATH);
    code.jump_k(UNLESS_EQUAL_K, R2, 0, otherwise);
    if wanted.len() <= FEW {
        code.load(LOAD_64, R2, R1, layout.number);
        for &inode in wanted {
            // The lower half tells sockets apart; the reader of the record compares all of it.
            let [a, b, c, d, ..] = inode.to_le_bytes();
            code.jump_k(IF_EQUAL_32_K, R2, i32::from_le_bytes([a, b, c, d]), Label::Found);
        }
        code.jump(JUMP, otherwise);
    }
    code.label(Label::Found);
    // Read once more, so that the verifier does not know which one it is: else it would verify the
    // rest of the program for each of them.
    code.load(LOAD_64, R1, R1, layout.number);
    code.store(STORE_64, INODE, R1);
}

/// Writes the record.
fn write(code: &mut Code) {
    const SEQ_WRITE: i32 = 127;
    code.load(LOAD_64, R1, STACK, OUTPUT);
    code.copy(R2, STACK);
    code.calculate(ADD_K, R2, PROCESS.into());
    code.calculate(MOVE_K, R3, LENGTH);
    // A record that finds no room is no error: the kernel runs the program again.
    code.call(SEQ_WRITE);
}
