//! Numbers as hexadecimal digits: each request has three of them.

/// All sixteen digits of a number, lower-case. Eight at a time, each in a byte of one word: a loop takes four times as long.
pub(crate) fn hexadecimal(number: u64) -> [u8; 16] {
    let mut text = [0; 16];
    text[..8].copy_from_slice(&eight((number >> 32) as u32));
    text[8..].copy_from_slice(&eight(number as u32));
    text
}

fn eight(number: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let spread = |word: u64, by: u32, mask: u64| (word | (word << by)) & mask;
    let word = spread(u64::from(number), 16, 0x0000_ffff_0000_ffff);
    let word = spread(word, 8, 0x00ff_00ff_00ff_00ff);
    let values = spread(word, 4, 0x0f0f_0f0f_0f0f_0f0f);
    // One for each that is written as a letter: with six more it has a fifth bit.
    let letters = ((values + 6 * ONES) >> 4) & ONES;
    let gap = u64::from(b'a' - b'0' - 10);
    (values + u64::from(b'0') * ONES + letters * gap).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_everybody_writes_it() {
        let few = [0, 1, 0xf, 0x10, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, u64::MAX];
        let mut random = fastrand::Rng::with_seed(1);
        for number in few.into_iter().chain(std::iter::repeat_with(|| random.u64(..)).take(1_000)) {
            assert_eq!(hexadecimal(number), *format!("{number:016x}").as_bytes());
        }
    }
}
