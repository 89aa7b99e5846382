//! Numbers as hexadecimal digits: each request has three of them.

/// All sixteen digits of a number, lower-case.
pub(crate) fn hexadecimal(number: u64) -> [u8; 16] {
    let mut text = [0; 16];
    for (pair, byte) in text.chunks_exact_mut(2).zip(number.to_be_bytes()) {
        pair[0] = digit(byte >> 4);
        pair[1] = digit(byte & 0xf);
    }
    text
}

/// Without a table, so that the compiler does all of them at once.
fn digit(value: u8) -> u8 {
    value + b'0' + if value > 9 { b'a' - b'0' - 10 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_everybody_writes_it() {
        for number in [0, 1, 0xf, 0x10, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, u64::MAX] {
            assert_eq!(hexadecimal(number), *format!("{number:016x}").as_bytes());
        }
    }
}
