//! The program that the kernel runs for each descriptor, as instructions of eBPF (RFC 9669).

use super::btf::Layout;

/// Up to so many sockets are compared inside the program. Of more, all sockets are handed out.
pub const FEW: usize = 16;

/// The length of what a program writes: process and descriptor (u32), inode or address (u64).
pub const RECORD: usize = 16;

/// Returns 0 and does nothing else.
pub const EMPTY: [u64; 2] = [MOVE_K as u64, EXIT as u64];

/// Registers. The first to fifth are arguments, and lost by a call; the tenth is the stack.
const R0: u8 = 0;
const R1: u8 = 1;
const R2: u8 = 2;
const R3: u8 = 3;
const CONTEXT: u8 = 6;
const FILE: u8 = 7;
const TASK: u8 = 8;
const STACK: u8 = 10;

/// What an instruction does. `K` is with a number, `X` with a register.
const LOAD_64: u8 = 0x79;
const LOAD_32: u8 = 0x61;
const STORE_64: u8 = 0x7b;
const STORE_32: u8 = 0x63;
const SET_64: u8 = 0x18;
const MOVE_X: u8 = 0xbf;
const MOVE_K: u8 = 0xb7;
const ADD_K: u8 = 0x07;
const JUMP: u8 = 0x05;
const IF_EQUAL_K: u8 = 0x15;
const IF_EQUAL_X: u8 = 0x1d;
const UNLESS_EQUAL_K: u8 = 0x55;
const UNLESS_EQUAL_X: u8 = 0x5d;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

const SEQ_WRITE: i32 = 127;

/// The program that writes a record for each descriptor of one of the sockets `wanted`, or of any
/// socket if they are more than [`FEW`].
///
/// Most descriptors are none of them, so that is decided first. A socket has the address
/// `operations` in `file->f_op`, which is in the cache already, as the kernel has just counted the use
/// of the file. The inode is not. What is opened with O_PATH has other operations.
pub fn program(layout: &Layout, operations: u64, wanted: &[u64]) -> Vec<u64> {
    let [file_operations, file_inode, number, ..] = layout.offsets;
    let mut code = start(file_operations).to_vec();
    code.extend(number_of_64_bits(R2, operations));
    code.extend([
        out(UNLESS_EQUAL_X, R1, R2, 0),
        one(LOAD_64, R1, FILE, file_inode, 0),
        one(LOAD_64, R1, R1, number, 0),
    ]);
    if wanted.len() <= FEW {
        code.extend(comparisons(wanted));
    }
    code.push(one(STORE_64, STACK, R1, -8, 0));
    code.extend(writing(layout));
    whole(code)
}

/// The program that writes a record for each descriptor of one process, with the address of its
/// operations in place of an inode.
pub fn learning(layout: &Layout, process: u32) -> Vec<u64> {
    let [file_operations, .., group, _] = layout.offsets;
    let mut code = start(file_operations).to_vec();
    code.extend([
        one(STORE_64, STACK, R1, -8, 0),
        one(LOAD_64, TASK, CONTEXT, 8, 0),
        out(IF_EQUAL_K, TASK, R0, 0),
        one(LOAD_32, R1, TASK, group, 0),
        out(UNLESS_EQUAL_K, R1, R0, process.cast_signed()),
    ]);
    code.extend(writing(layout));
    whole(code)
}

/// Loads the file, and its operations into the first register.
fn start(file_operations: i16) -> [u64; 4] {
    // struct bpf_iter__task_file: meta, task, fd, file.
    [
        one(MOVE_X, CONTEXT, R1, 0, 0),
        one(LOAD_64, FILE, CONTEXT, 24, 0),
        out(IF_EQUAL_K, FILE, R0, 0),
        one(LOAD_64, R1, FILE, file_operations, 0),
    ]
}

/// The program with its end.
fn whole(mut code: Vec<u64>) -> Vec<u64> {
    resolve(&mut code);
    // A record that finds no room is no error: the kernel shows the descriptor again.
    code.extend([one(MOVE_K, R0, R0, 0, 0), one(EXIT, R0, R0, 0, 0)]);
    code
}

fn number_of_64_bits(to: u8, number: u64) -> [u64; 2] {
    [one(SET_64, to, R0, 0, 0) | (number & 0xffff_ffff) << 32, number >> 32 << 32]
}

/// Leaves the program unless the inode is one of those `wanted`.
fn comparisons(wanted: &[u64]) -> Vec<u64> {
    let mut code = Vec::with_capacity(3 * wanted.len() + 1);
    let mut left = i16::try_from(3 * wanted.len()).unwrap_or(0);
    for &inode in wanted {
        left -= 3;
        code.extend(number_of_64_bits(R2, inode));
        // Over the comparisons that are left, and the jump.
        code.push(one(IF_EQUAL_X, R1, R2, left + 1, 0));
    }
    code.push(out(JUMP, R0, R0, 0));
    code
}

/// Writes the record, whose second half is on the stack already.
fn writing(layout: &Layout) -> [u64; 14] {
    let [.., process, thread] = layout.offsets;
    [
        one(LOAD_64, TASK, CONTEXT, 8, 0),
        out(IF_EQUAL_K, TASK, R0, 0),
        // Main threads only, as in /proc/PID/fd.
        one(LOAD_32, R1, TASK, process, 0),
        one(LOAD_32, R2, TASK, thread, 0),
        out(UNLESS_EQUAL_X, R1, R2, 0),
        one(STORE_32, STACK, R1, -16, 0),
        one(LOAD_32, R1, CONTEXT, 16, 0),
        one(STORE_32, STACK, R1, -12, 0),
        // The first field of meta is the seq_file.
        one(LOAD_64, R1, CONTEXT, 0, 0),
        one(LOAD_64, R1, R1, 0, 0),
        one(MOVE_X, R2, STACK, 0, 0),
        one(ADD_K, R2, R0, 0, -16),
        one(MOVE_K, R3, R0, 0, 16),
        one(CALL, R0, R0, 0, SEQ_WRITE),
    ]
}

fn one(code: u8, to: u8, from: u8, offset: i16, number: i32) -> u64 {
    let (offset, number) = (offset.cast_unsigned(), number.cast_unsigned());
    u64::from(code) | u64::from(to) << 8 | u64::from(from) << 12 | u64::from(offset) << 16 | u64::from(number) << 32
}

/// A jump to the end, whose distance [`resolve`] fills in.
fn out(code: u8, to: u8, from: u8, number: i32) -> u64 {
    one(code, to, from, OUT, number)
}

const OUT: i16 = i16::MAX;

/// Fills in the distance of the jumps to the end.
fn resolve(code: &mut [u64]) {
    const DISTANCE: u64 = 0xffff << 16;
    let end = code.len();
    let mut at = 0;
    while at < end {
        let kind = code[at].to_le_bytes()[0];
        let is_jump = [JUMP, IF_EQUAL_K, UNLESS_EQUAL_K, UNLESS_EQUAL_X].contains(&kind);
        if is_jump && code[at] & DISTANCE == u64::from(OUT.cast_unsigned()) << 16 {
            code[at] = code[at] & !DISTANCE | ((end - at - 1) as u64) << 16;
        }
        // A number of 64 bits takes two places.
        at += if kind == SET_64 { 2 } else { 1 };
    }
}
