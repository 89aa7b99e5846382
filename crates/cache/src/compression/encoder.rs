//! One answer being compressed: bytes in, bytes out, for each of the three codings.

use brotli::enc::{
    StandardAlloc,
    encode::{BrotliEncoderOperation, BrotliEncoderParameter, BrotliEncoderStateStruct},
};
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use thiserror::Error;
use zstd_safe::{
    CCtx, CParameter, InBuffer, OutBuffer, ResetDirective,
    zstd_sys::ZSTD_EndDirective::{self, ZSTD_e_continue, ZSTD_e_end, ZSTD_e_flush},
};

use super::settings::Levels;

/// Room that is made in the output at a time.
const ROOM: usize = 4 << 10;
/// Windows of 256 KiB: less memory for each answer on its way, and few answers gain by more.
const WINDOW: u8 = 18;
/// Of gzip: magic number, method (deflate), a name follows, no time, no extra flags, unknown system (RFC 1952, 2.3).
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
const GZIP_HAS_NAME: u8 = 1 << 3;
/// A frame whose content decoders skip (RFC 8878, 3.1.2).
const ZSTD_SKIPPABLE: [u8; 4] = 0x184D_2A50_u32.to_le_bytes();
/// Of Brotli: an empty block of metadata, one byte when it begins at one (RFC 7932, 9.2).
const BROTLI_NOTHING: u8 = 6;

/// What to do beside taking bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing: output comes when there is enough for a good block.
    Go,
    /// Everything that was taken comes out, so that the client can read it.
    Flush,
    /// There is no more.
    Finish,
}

/// No encoder, or one that failed.
#[derive(Debug, Error)]
pub(super) enum EncodingError {
    /// Of the library; it does so for want of memory alone.
    #[error("an answer could not be compressed with {0}")]
    Failed(&'static str),
    #[error("too many answers are being compressed")]
    Busy,
}

/// An encoder in the middle of an answer.
pub(super) enum Encoder {
    Gzip(Box<Gzip>),
    Zstandard(Zstandard),
    Brotli(Box<Brotli>),
}

impl Encoder {
    /// Takes `input` and appends what comes of it.
    pub(super) fn push(&mut self, input: &[u8], step: Step, out: &mut Vec<u8>) -> Result<(), EncodingError> {
        match self {
            Self::Gzip(gzip) => gzip.push(input, step, out),
            Self::Zstandard(zstandard) => zstandard.push(input, step, out),
            Self::Brotli(brotli) => brotli.push(input, step, out),
        }
    }
}

/// gzip around a raw deflate stream, so that one state serves many answers.
pub(super) struct Gzip {
    pub deflate: Compress,
    crc: Crc,
    /// Not written yet, with so long a name in it.
    head: Option<u8>,
}

impl Gzip {
    pub(super) fn new_state(levels: Levels) -> Compress {
        Compress::new(Compression::new(u32::from(levels.gzip)), false)
    }

    /// `deflate` must be new or reset.
    pub(super) fn new(deflate: Compress, padding: u8) -> Self {
        Self { deflate, crc: Crc::new(), head: Some(padding) }
    }

    fn push(&mut self, mut input: &[u8], step: Step, out: &mut Vec<u8>) -> Result<(), EncodingError> {
        if let Some(padding) = self.head.take() {
            write_gzip_head(padding, out);
        }
        self.crc.update(input);
        let flush = match step {
            Step::Go => FlushCompress::None,
            Step::Flush => FlushCompress::Sync,
            Step::Finish => FlushCompress::Finish,
        };
        loop {
            out.reserve(ROOM);
            let before = self.deflate.total_in();
            let status = self.deflate.compress_vec(input, out, flush).map_err(|_| EncodingError::Failed("gzip"))?;
            let taken = usize::try_from(self.deflate.total_in() - before).unwrap_or(input.len());
            input = &input[taken.min(input.len())..];
            // With room left in the output, the library has given all that it has to give.
            let all = input.is_empty() && out.len() < out.capacity();
            match step {
                Step::Finish if status == Status::StreamEnd => break,
                Step::Finish if all && status == Status::BufError => return Err(EncodingError::Failed("gzip")),
                Step::Finish => {}
                Step::Go | Step::Flush if all => break,
                Step::Go | Step::Flush => {}
            }
        }
        if step == Step::Finish {
            out.extend_from_slice(&self.crc.sum().to_le_bytes());
            out.extend_from_slice(&self.crc.amount().to_le_bytes());
        }
        Ok(())
    }
}

fn write_gzip_head(padding: u8, out: &mut Vec<u8>) {
    let mut head = GZIP_HEAD;
    if padding > 0 {
        head[3] = GZIP_HAS_NAME;
    }
    out.extend_from_slice(&head);
    if padding > 0 {
        // A name of so many letters, and the byte that ends it.
        out.resize(out.len() + usize::from(padding) - 1, b'-');
        out.push(0);
    }
}

/// Zstandard's own library.
pub(super) struct Zstandard {
    pub context: CCtx<'static>,
    padding: u8,
}

impl Zstandard {
    /// `context` must be new, or its session reset.
    pub(super) fn new(mut context: CCtx<'static>, levels: Levels, padding: u8) -> Result<Self, EncodingError> {
        let parameters = [
            CParameter::CompressionLevel(i32::from(levels.zstd)),
            CParameter::WindowLog(u32::from(WINDOW)),
            CParameter::ChecksumFlag(false),
        ];
        for parameter in parameters {
            context.set_parameter(parameter).map_err(|_| EncodingError::Failed("zstd"))?;
        }
        Ok(Self { context, padding })
    }

    /// Ready for another answer; false when it cannot be had.
    pub(super) fn reset(context: &mut CCtx<'static>) -> bool {
        context.reset(ResetDirective::SessionOnly).is_ok()
    }

    fn push(&mut self, input: &[u8], step: Step, out: &mut Vec<u8>) -> Result<(), EncodingError> {
        let directive = match step {
            Step::Go => ZSTD_e_continue,
            Step::Flush => ZSTD_e_flush,
            Step::Finish => ZSTD_e_end,
        };
        self.stream(input, directive, out)?;
        if step == Step::Finish && self.padding > 0 {
            // Behind the frame, where also a decoder that stops at its end has all of the answer.
            out.extend_from_slice(&ZSTD_SKIPPABLE);
            out.extend_from_slice(&u32::from(self.padding - 1).to_le_bytes());
            out.resize(out.len() + usize::from(self.padding) - 1, 0);
        }
        Ok(())
    }

    fn stream(&mut self, input: &[u8], directive: ZSTD_EndDirective, out: &mut Vec<u8>) -> Result<(), EncodingError> {
        let mut input = InBuffer::around(input);
        loop {
            out.reserve(ROOM);
            let at = out.len();
            let mut output = OutBuffer::around_pos(out, at);
            let left = self.context.compress_stream2(&mut output, &mut input, directive);
            let left = left.map_err(|_| EncodingError::Failed("zstd"))?;
            let all = match directive {
                ZSTD_e_continue => input.pos() == input.src.len(),
                ZSTD_e_flush | ZSTD_e_end => left == 0,
            };
            if all {
                return Ok(());
            }
        }
    }
}

/// Brotli, one state for each answer: the library cannot use it again.
pub(super) struct Brotli {
    state: BrotliEncoderStateStruct<StandardAlloc>,
    padding: u8,
}

impl Brotli {
    /// `length`: of the whole answer, where it is known.
    pub(super) fn new(levels: Levels, length: Option<u64>, padding: u8) -> Self {
        let mut state = BrotliEncoderStateStruct::new(StandardAlloc::default());
        // A window that the answer fits in is enough; 10 is the smallest that there is.
        let fits =
            length.map_or(WINDOW, |length| (64 - (length + 16).leading_zeros()).clamp(10, u32::from(WINDOW)) as u8);
        state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_QUALITY, u32::from(levels.br));
        state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_LGWIN, u32::from(fits));
        if let Some(length) = length {
            let hint = u32::try_from(length).unwrap_or(u32::MAX);
            state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_SIZE_HINT, hint);
        }
        Self { state, padding }
    }

    fn push(&mut self, input: &[u8], step: Step, out: &mut Vec<u8>) -> Result<(), EncodingError> {
        if step == Step::Finish && self.padding > 0 {
            // Flushed, it is at a whole byte: then so many blocks of nothing.
            self.stream(input, BrotliEncoderOperation::BROTLI_OPERATION_FLUSH, out)?;
            out.resize(out.len() + usize::from(self.padding), BROTLI_NOTHING);
            return self.stream(&[], BrotliEncoderOperation::BROTLI_OPERATION_FINISH, out);
        }
        let operation = match step {
            Step::Go => BrotliEncoderOperation::BROTLI_OPERATION_PROCESS,
            Step::Flush => BrotliEncoderOperation::BROTLI_OPERATION_FLUSH,
            Step::Finish => BrotliEncoderOperation::BROTLI_OPERATION_FINISH,
        };
        self.stream(input, operation, out)
    }

    fn stream(
        &mut self,
        input: &[u8],
        operation: BrotliEncoderOperation,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodingError> {
        let (mut left, mut at) = (input.len(), 0);
        loop {
            // Without room for output of ours it is taken from the library's own buffer: one copy less.
            let went_well = self.state.compress_stream(
                operation,
                &mut left,
                input,
                &mut at,
                &mut 0,
                &mut [],
                &mut 0,
                &mut None,
                &mut |_, _, _, _| (),
            );
            if !went_well {
                return Err(EncodingError::Failed("br"));
            }
            let mut size = 0;
            // It lends all of its buffer, and says how much of that is output.
            let storage = self.state.take_output(&mut size);
            out.extend_from_slice(storage.get(..size).unwrap_or_default());
            if left == 0 && !self.state.has_more_output() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Read;

    use seaworthy_core::Coding;

    use super::*;
    use crate::compression::encoders::Encoders;

    pub(crate) const LEVELS: Levels = Levels { zstd: 3, br: 4, gzip: 4 };

    /// What a client makes of it; panics where it is not whole.
    pub(crate) fn decode(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        match coding {
            Coding::Gzip => {
                let mut decoder = flate2::bufread::GzDecoder::new(bytes);
                decoder.read_to_end(&mut plain).unwrap();
                assert!(decoder.into_inner().is_empty(), "nothing behind it");
            }
            Coding::Brotli => {
                brotli::Decompressor::new(bytes, 4096).read_to_end(&mut plain).unwrap();
            }
            Coding::Zstandard => {
                let mut context = zstd_safe::DCtx::create();
                let mut input = InBuffer::around(bytes);
                let mut left = 1;
                while input.pos() < bytes.len() {
                    plain.reserve(1 << 16);
                    let at = plain.len();
                    left = context
                        .decompress_stream(&mut OutBuffer::around_pos(&mut plain, at), &mut input)
                        .map_err(zstd_safe::get_error_name)
                        .unwrap();
                }
                while left != 0 {
                    plain.reserve(1 << 16);
                    let at = plain.len();
                    left = context
                        .decompress_stream(&mut OutBuffer::around_pos(&mut plain, at), &mut input)
                        .map_err(zstd_safe::get_error_name)
                        .unwrap();
                    assert!(plain.len() > at || left == 0, "it breaks off");
                }
            }
        }
        plain
    }

    /// Text that compresses, with something new now and then.
    pub(crate) fn text(random: &mut fastrand::Rng, length: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(length + 64);
        while text.len() < length {
            let word = format!("{{\"id\": {}, \"name\": \"item\"}},", random.u32(..5_000));
            text.extend_from_slice(word.as_bytes());
            if random.u8(..) == 0 {
                text.extend(std::iter::repeat_with(|| random.u8(..)).take(50));
            }
        }
        text.truncate(length);
        text
    }

    #[test]
    fn every_way_to_cut_and_flush_decodes_to_the_same_bytes() {
        let mut random = fastrand::Rng::with_seed(7);
        let encoders = Encoders::default();
        for round in 0..150 {
            let coding = Coding::ALL[round % 3];
            let length = [0, 1, 100, 5_000, 70_000, 300_000][random.usize(..6)];
            let plain = text(&mut random, length);
            let known = random.bool().then_some(length as u64);
            let levels = Levels {
                zstd: [1, 3, 12][random.usize(..3)],
                br: [0, 1, 3, 9][random.usize(..4)],
                gzip: [1, 4, 9][random.usize(..3)],
            };
            let mut borrowed = encoders.begin(coding, levels, known, random.bool()).unwrap();
            let (mut out, mut rest) = (Vec::new(), &plain[..]);
            while !rest.is_empty() && random.u8(..10) > 0 {
                let (piece, behind) = rest.split_at(random.usize(..=rest.len().min(40_000)));
                let step = if random.bool() { Step::Go } else { Step::Flush };
                borrowed.encoder().unwrap().push(piece, step, &mut out).unwrap();
                rest = behind;
            }
            borrowed.encoder().unwrap().push(rest, Step::Finish, &mut out).unwrap();
            assert!(decode(coding, &out) == plain, "round {round}: {coding:?}, {length} bytes");
        }
    }

    #[test]
    fn padding_makes_every_length_possible_and_changes_nothing() {
        for coding in Coding::ALL {
            let encoders = Encoders::default();
            let lengths: std::collections::BTreeSet<usize> = (0..400)
                .map(|_| {
                    let mut out = Vec::new();
                    let mut borrowed = encoders.begin(coding, LEVELS, None, true).unwrap();
                    borrowed.encoder().unwrap().push(b"hello hello hello", Step::Finish, &mut out).unwrap();
                    assert_eq!(decode(coding, &out), b"hello hello hello");
                    out.len()
                })
                .collect();
            let (least, most) = (lengths.first().unwrap(), lengths.last().unwrap());
            assert!(most - least <= 126 && lengths.len() > 90, "{coding:?}: {} lengths", lengths.len());
            assert!(lengths.iter().zip(lengths.iter().skip(1)).any(|(one, next)| next - one == 1), "byte by byte");
        }
    }

    #[test]
    fn an_encoder_that_was_given_up_in_the_middle_serves_again() {
        let encoders = Encoders::default();
        for coding in Coding::ALL {
            let mut out = Vec::new();
            let mut given_up = encoders.begin(coding, LEVELS, None, false).unwrap();
            given_up.encoder().unwrap().push(&[b'x'; 100_000], Step::Go, &mut out).unwrap();
            drop(given_up);
            let mut out = Vec::new();
            let mut next = encoders.begin(coding, LEVELS, None, false).unwrap();
            next.encoder().unwrap().push(b"whole", Step::Finish, &mut out).unwrap();
            assert_eq!(decode(coding, &out), b"whole", "{coding:?}");
        }
    }

    #[test]
    fn slow_clients_do_not_take_all_the_memory() {
        let encoders = Encoders::default();
        let held: Vec<_> = (0..1_000).map_while(|_| encoders.begin(Coding::Gzip, LEVELS, None, false).ok()).collect();
        assert!((100..=200).contains(&held.len()), "{}", held.len());
        drop(held);
        assert!(encoders.begin(Coding::Gzip, LEVELS, None, false).is_ok(), "they come back");
    }
}
