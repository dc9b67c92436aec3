//! Writes down programs as instructions of eBPF (RFC 9669, section 4).

/// Registers. A call returns its result in the first, takes its arguments in the next five, and
/// loses all six. The last one is the address of the stack's end.
pub const R0: u8 = 0;
pub const R1: u8 = 1;
pub const R2: u8 = 2;
pub const R3: u8 = 3;
pub const R6: u8 = 6;
pub const R7: u8 = 7;
pub const R8: u8 = 8;
pub const R9: u8 = 9;
pub const STACK: u8 = 10;

/// What an instruction does. `K` is with a number, `X` with a register.
pub const LOAD_64: u8 = 0x79;
pub const LOAD_32: u8 = 0x61;
pub const LOAD_16: u8 = 0x69;
pub const STORE_64: u8 = 0x7b;
pub const STORE_32: u8 = 0x63;
pub const STORE_64_K: u8 = 0x7a;
pub const STORE_32_K: u8 = 0x62;
pub const MOVE_X: u8 = 0xbf;
pub const MOVE_K: u8 = 0xb7;
pub const ADD_X: u8 = 0x0f;
pub const ADD_K: u8 = 0x07;
pub const SUBTRACT_X: u8 = 0x1f;
pub const AND_K: u8 = 0x57;
pub const SHIFT_LEFT_K: u8 = 0x67;
pub const SHIFT_RIGHT_K: u8 = 0x77;
pub const JUMP: u8 = 0x05;
pub const IF_EQUAL_K: u8 = 0x15;
pub const IF_EQUAL_X: u8 = 0x1d;
pub const IF_EQUAL_32_K: u8 = 0x16;
pub const IF_NOT_BELOW_K: u8 = 0x35;
pub const IF_NOT_BELOW_X: u8 = 0x3d;
pub const UNLESS_EQUAL_K: u8 = 0x55;
pub const UNLESS_EQUAL_X: u8 = 0x5d;
/// Jumps once the kernel has seen enough rounds of a loop (`may_goto`, since Linux 6.9).
pub const IF_TIRED: u8 = 0xe5;
const ATOMIC_64: u8 = 0xdb;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

/// A place in a program, to jump to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// The next round of the loop.
    Next,
    /// The record of a socket that was found.
    Found,
    /// After the last round.
    Last,
    /// The record that tells of a task which was not seen whole.
    Unsure,
    /// The end of the program.
    End,
}

/// A program that is being written.
#[derive(Debug, Default)]
pub struct Code {
    instructions: Vec<u64>,
    jumps: Vec<(usize, Label)>,
    labels: Vec<(usize, Label)>,
}

impl Code {
    /// Adds an instruction: `to` and `from` are registers.
    pub fn put(&mut self, kind: u8, to: u8, from: u8, offset: i16, number: i32) {
        let (offset, number) = (offset.cast_unsigned(), number.cast_unsigned());
        self.instructions.push(
            u64::from(kind)
                | u64::from(to) << 8
                | u64::from(from) << 12
                | u64::from(offset) << 16
                | u64::from(number) << 32,
        );
    }

    /// `to` = the value at the address `from` + `offset`.
    pub fn load(&mut self, kind: u8, to: u8, from: u8, offset: i16) {
        self.put(kind, to, from, offset, 0);
    }

    /// The value on the stack at `offset` = `from`.
    pub fn store(&mut self, kind: u8, offset: i16, from: u8) {
        self.put(kind, STACK, from, offset, 0);
    }

    /// `to` = `from`.
    pub fn copy(&mut self, to: u8, from: u8) {
        self.put(MOVE_X, to, from, 0, 0);
    }

    /// `to` = `to` and a number.
    pub fn calculate(&mut self, kind: u8, to: u8, number: i32) {
        self.put(kind, to, 0, 0, number);
    }

    /// Jumps if the comparison of `left` with the number holds.
    pub fn jump_k(&mut self, kind: u8, left: u8, number: i32, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.put(kind, left, 0, 0, number);
    }

    /// Jumps if the comparison of both registers holds.
    pub fn jump_x(&mut self, kind: u8, left: u8, right: u8, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.put(kind, left, right, 0, 0);
    }

    /// Jumps always, or by what the kernel decides.
    pub fn jump(&mut self, kind: u8, label: Label) {
        self.jump_k(kind, 0, 0, label);
    }

    /// Adds one to the number on the stack at `offset`, and gives the number of before in `R1`. No
    /// read is moved from one side of it to the other.
    pub fn count(&mut self, offset: i16) {
        const ADD_AND_FETCH: i32 = 0x01;
        self.put(MOVE_K, R1, 0, 0, 1);
        self.put(ATOMIC_64, STACK, R1, offset, ADD_AND_FETCH);
    }

    /// Calls a helper of the kernel by its number (linux/bpf.h).
    pub fn call(&mut self, helper: i32) {
        self.put(CALL, 0, 0, 0, helper);
    }

    /// Calls a function of the kernel by its type, with `R1` and another type.
    pub fn call_function(&mut self, function: u32, of: u32) {
        const PSEUDO_KFUNC_CALL: u8 = 2;
        self.put(MOVE_K, R2, 0, 0, of.cast_signed());
        self.put(CALL, 0, PSEUDO_KFUNC_CALL, 0, function.cast_signed());
    }

    /// Names the place of the next instruction.
    pub fn label(&mut self, label: Label) {
        self.labels.push((self.instructions.len(), label));
    }

    /// The program, which ends with 0: there was no error.
    pub fn finish(mut self) -> Vec<u64> {
        self.label(Label::End);
        self.put(MOVE_K, R0, 0, 0, 0);
        self.put(EXIT, 0, 0, 0, 0);
        for (at, label) in self.jumps {
            if let Some(&(to, _)) = self.labels.iter().find(|(_, named)| *named == label) {
                // Counted from the instruction after the jump, in 16 bits. A jump back wraps around.
                self.instructions[at] |= (to.wrapping_sub(at + 1) as u64 & 0xffff) << 16;
            }
        }
        self.instructions
    }
}
