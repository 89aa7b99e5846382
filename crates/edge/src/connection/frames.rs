//! Counts the frames of an HTTP/2 client that cost us work and ask for nothing (RFC 9113, 10.5): pings, settings, resets,
//! empty data. A client that lives on them is cut off.

/// The client preface that comes before the first frame.
const PREFACE: u32 = 24;
/// Frames on credit; two units each.
const BURST: u32 = 2000;
/// Units that come back each second.
const PER_SECOND: u32 = 200;
/// Units that a frame without a request in it costs.
const COST: u32 = 2;

/// Follows the frames of one connection.
#[derive(Debug)]
pub(crate) struct FrameMeter {
    /// Bytes to pass before the next frame's head.
    skip: u32,
    head: [u8; 9],
    have: usize,
    credit: u32,
}

impl Default for FrameMeter {
    fn default() -> Self {
        Self { skip: PREFACE, head: [0; 9], have: 0, credit: BURST }
    }
}

impl FrameMeter {
    /// Reads the next bytes. False when the client has used up its credit.
    pub(crate) fn advance(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let skipped = bytes.len().min(self.skip as usize);
            self.skip -= u32::try_from(skipped).unwrap_or(u32::MAX);
            bytes = &bytes[skipped..];
            let taken = bytes.len().min(self.head.len() - self.have);
            self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == self.head.len() {
                self.have = 0;
                let [high, middle, low, kind, flags, ..] = self.head;
                let length = u32::from_be_bytes([0, high, middle, low]);
                self.skip = length;
                if !self.pay(kind, flags, length) {
                    return false;
                }
            }
        }
        true
    }

    /// A second has passed.
    pub(crate) fn tick(&mut self) {
        self.credit = (self.credit + PER_SECOND).min(BURST);
    }

    fn pay(&mut self, kind: u8, flags: u8, length: u32) -> bool {
        const END_STREAM: u8 = 1;
        match kind {
            // Data moves the exchange on, unless it is empty; window updates do whatever they say.
            0 if length > 0 || flags & END_STREAM != 0 => return true,
            8 => return true,
            // A request; resetting every other one is what a hasty person may do.
            1 => {
                self.credit = (self.credit + 1).min(BURST);
                return true;
            }
            _ => {}
        }
        match self.credit.checked_sub(COST) {
            Some(left) => {
                self.credit = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        bytes.extend(vec![0; length.into()]);
        bytes
    }

    /// How many repetitions a client may send at once; `None` for any number.
    fn endured(frames: &[Vec<u8>]) -> Option<usize> {
        let mut meter = FrameMeter::default();
        assert!(meter.advance(&[0; PREFACE as usize]));
        (0..20_000).find(|_| {
            // In odd pieces, as a network would.
            !frames.concat().chunks(5).all(|piece| meter.advance(piece))
        })
    }

    #[test]
    fn requests_and_data_are_free_and_floods_are_not() {
        assert_eq!(endured(&[frame(1, 5, 20), frame(0, 0, 100), frame(0, 1, 0), frame(8, 0, 4)]), None);
        assert_eq!(endured(&[frame(6, 0, 8)]), Some(1000));
        assert_eq!(endured(&[frame(4, 0, 0)]), Some(1000));
        assert_eq!(endured(&[frame(0, 0, 0)]), Some(1000));
        assert_eq!(endured(&[frame(9, 0, 0)]), Some(1000));
        assert_eq!(endured(&[frame(1, 5, 20), frame(3, 0, 4)]), Some(1999));
        assert_eq!(endured(&[frame(1, 5, 20), frame(1, 5, 20), frame(3, 0, 4)]), None);
    }

    #[test]
    fn credit_comes_back() {
        let mut meter = FrameMeter::default();
        meter.advance(&[0; PREFACE as usize]);
        let ping = frame(6, 0, 8);
        assert!((0..1000).all(|_| meter.advance(&ping)));
        meter.tick();
        assert!((0..100).all(|_| meter.advance(&ping)));
        assert!(!meter.advance(&ping));
    }
}
