//! The classic BPF program of the clients' segment, run by an interpreter of the instructions it
//! uses.

use super::segment_filter;

/// Number of bytes of the frame that the kernel would hand over; 0 refuses it. A load beyond the
/// frame's end refuses it, as in net/core/filter.c.
///
/// # Panics
/// If the program has an instruction that this interpreter lacks.
#[must_use]
pub fn passes(frame: &[u8]) -> u32 {
    let program = segment_filter();
    let (mut next, mut accumulator) = (0, 0u32);
    for _step in 0..program.len() {
        let op = &program[next];
        next += 1;
        let offset = usize::try_from(op.k).expect("32 bits");
        match u32::from(op.code) {
            0x28 => match frame.get(offset..offset + 2) {
                Some(bytes) => accumulator = u32::from(bytes[0]) << 8 | u32::from(bytes[1]),
                None => return 0,
            },
            0x30 => match frame.get(offset) {
                Some(byte) => accumulator = u32::from(*byte),
                None => return 0,
            },
            0x15 => next += usize::from(if accumulator == op.k { op.jt } else { op.jf }),
            0x06 => return op.k,
            other => panic!("opcode {other:#x} is not interpreted"),
        }
    }
    panic!("the program does not end");
}
