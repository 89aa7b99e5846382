//! Pages that come compressed by gzip (RFC 1952), unpacked a little at a time: a kilobyte may hold a megabyte.

use std::io::{self, Write};

use bytes::{Buf, Bytes, BytesMut};
use flate2::write::GzDecoder;

/// So much is given to the decoder at once; what it holds of the result is some 64 KiB at most.
const PIECE: usize = 4 << 10;
/// How a member begins (2.3.1): two fixed bytes, and deflate.
const MEMBER: [u8; 3] = [0x1f, 0x8b, 8];

/// A page that is being unpacked.
pub(super) struct Unzip {
    decoder: GzDecoder<Vec<u8>>,
    place: Place,
    /// What came, and was not yet unpacked.
    arrived: Bytes,
    /// Nothing more comes.
    ended: bool,
    /// What the decoder has, it has handed out.
    flushed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first byte. A page may have none.
    Start,
    Member,
    /// Behind a whole member: another one, or what browsers pass over (zeros of a block, a line end).
    Between,
    Over,
}

impl Unzip {
    pub(super) fn new() -> Self {
        let decoder = GzDecoder::new(Vec::new());
        Self { decoder, place: Place::Start, arrived: Bytes::new(), ended: false, flushed: true }
    }

    /// Takes what came next.
    pub(super) fn arrived(&mut self, data: Bytes) {
        self.arrived = if self.arrived.is_empty() {
            data
        } else {
            // Two bytes at most are left, which may begin a member.
            let mut joined = BytesMut::from(&self.arrived[..]);
            joined.extend_from_slice(&data);
            joined.freeze()
        };
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The next piece of the page; `None` when more has to arrive, or, after the end, when this was all.
    ///
    /// # Errors
    ///
    /// It is not compressed by gzip, or it ends within a member.
    pub(super) fn unpack(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            match self.place {
                Place::Start if self.arrived.is_empty() => return Ok(None),
                Place::Start => self.place = Place::Member,
                Place::Member => match self.unpack_member()? {
                    Some(piece) if piece.is_empty() => {}
                    piece => return Ok(piece),
                },
                Place::Between => {
                    let start = &self.arrived[..self.arrived.len().min(MEMBER.len())];
                    if start == MEMBER {
                        self.decoder = GzDecoder::new(Vec::new());
                        self.place = Place::Member;
                    } else if self.ended || !MEMBER.starts_with(start) {
                        self.place = Place::Over;
                    } else {
                        return Ok(None);
                    }
                }
                Place::Over => {
                    self.arrived.clear();
                    return Ok(None);
                }
            }
        }
    }

    /// One step; `None` when more has to arrive.
    fn unpack_member(&mut self) -> io::Result<Option<Vec<u8>>> {
        if !self.arrived.is_empty() {
            let taken = self.decoder.write(&self.arrived[..self.arrived.len().min(PIECE)])?;
            self.arrived.advance(taken);
            self.flushed = false;
            if taken == 0 {
                self.decoder.try_finish()?;
                self.place = Place::Between;
            }
        } else if !self.flushed {
            // A page that streams is shown as far as it has come.
            self.decoder.flush()?;
            self.flushed = true;
        } else if self.ended {
            self.decoder.try_finish()?;
            self.place = Place::Over;
        } else {
            return Ok(None);
        }
        Ok(Some(std::mem::take(self.decoder.get_mut())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zipped(text: &[u8]) -> Vec<u8> {
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        zip.write_all(text).unwrap();
        zip.finish().unwrap()
    }

    /// What comes out, and the largest piece of it.
    fn unpacked(bytes: &[u8], size: usize) -> io::Result<(Vec<u8>, usize)> {
        let (mut unzip, mut out, mut largest) = (Unzip::new(), Vec::new(), 0);
        let mut drain = |unzip: &mut Unzip| -> io::Result<()> {
            while let Some(piece) = unzip.unpack()? {
                assert!(!piece.is_empty());
                largest = largest.max(piece.capacity());
                out.extend(piece);
            }
            Ok(())
        };
        for chunk in bytes.chunks(size) {
            unzip.arrived(Bytes::copy_from_slice(chunk));
            drain(&mut unzip)?;
        }
        unzip.end();
        drain(&mut unzip)?;
        Ok((out, largest))
    }

    #[test]
    fn a_bomb_is_never_held_as_a_whole() {
        let bomb = zipped(&vec![b'a'; 64 << 20]);
        assert!(bomb.len() < 100_000);
        for size in [bomb.len(), 1 << 14] {
            let (out, largest) = unpacked(&bomb, size).unwrap();
            assert!(out.len() == 64 << 20 && largest <= 128 << 10, "{largest}");
        }
    }

    #[test]
    fn members_are_one_page_and_what_stands_behind_them_is_passed_over() {
        let two = [zipped(b"one "), zipped(b""), zipped(b"two")].concat();
        for rest in [&b""[..], &[0; 700], b"\r\n", b"\x1f", b"\x1f\x8b", b"\x1f\x8b\x07rest", b"<script>"] {
            let all = [&two[..], rest].concat();
            for size in 1..all.len() {
                assert_eq!(unpacked(&all, size).unwrap().0, b"one two", "{rest:?} {size}");
            }
        }
        assert_eq!(unpacked(b"", 1).unwrap().0, b"");
        for cut in 1..zipped(b"one ").len() {
            assert!(unpacked(&two[..cut], 5).is_err(), "{cut}");
        }
    }

    #[test]
    fn what_was_sent_so_far_is_there_before_the_rest() {
        let text: Vec<u8> = (0..40_000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        zip.write_all(&text).unwrap();
        zip.flush().unwrap();
        let mut unzip = Unzip::new();
        unzip.arrived(Bytes::from(std::mem::take(zip.get_mut())));
        let mut out = Vec::new();
        while let Some(piece) = unzip.unpack().unwrap() {
            out.extend(piece);
        }
        assert_eq!(out, text);
    }
}
