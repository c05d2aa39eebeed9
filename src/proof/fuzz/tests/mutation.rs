//! Random changes of inputs from a seed: the same changes in every run.

/// SplitMix64 (Steele, Lea, Flood 2014): enough to choose places and bytes.
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// A source of changes that is determined by `seed`.
    pub fn new(seed: u64) -> Mutator {
        Mutator { state: seed }
    }

    /// The next random number.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 if `limit` is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    /// A random byte.
    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }

    /// A mutation: one of `inputs` with one to four changes.
    pub fn mutate(&mut self, inputs: &[&[u8]]) -> Vec<u8> {
        let mut bytes = inputs[self.below(inputs.len())].to_vec();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes, inputs);
        }
        bytes
    }

    /// Makes one change: flips a bit, overwrites up to eight bytes, cuts, removes, or inserts new
    /// bytes or a piece of any input. Changes of no bytes, and on an empty input some others, do
    /// nothing.
    fn change(&mut self, bytes: &mut Vec<u8>, inputs: &[&[u8]]) {
        let position = self.below(bytes.len());
        let end = bytes.len().min(position + 1 + self.below(8));
        match self.below(7) {
            0 if !bytes.is_empty() => bytes[position] ^= 1 << self.below(8),
            1 if !bytes.is_empty() => bytes[position] = self.byte(),
            2 if !bytes.is_empty() => bytes[position..end].fill([0, 1, 0x7f, 0x80, 0xff][self.below(5)]),
            3 => bytes.truncate(position),
            4 => {
                bytes.splice(position..end, []);
            }
            5 => {
                let new: Vec<u8> = (0..=self.below(8)).map(|_| self.byte()).collect();
                bytes.splice(position..position, new);
            }
            // A piece of one of the inputs, which may be the one that is changed.
            _ => {
                let other = inputs[self.below(inputs.len())];
                let from = self.below(other.len());
                let to = other.len().min(from + self.below(40));
                bytes.splice(position..position, other[from..to].iter().copied());
            }
        }
    }
}
