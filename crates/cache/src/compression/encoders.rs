//! Encoders at rest: the memory of one is a few hundred kilobytes, dearer to allocate than a small answer is to compress.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use flate2::Compress;
use seaworthy_core::Coding;
use zstd_safe::CCtx;

use super::{
    encoder::{Brotli, Encoder, EncodingError, Gzip, Zstandard},
    settings::Levels,
};

/// So many of a kind are kept when nobody uses them.
const KEPT: usize = 4;
/// So many answers of a core are compressed at once; more are sent as they are. A state is up to 1.5 MB, and a client that reads
/// slowly holds one for as long as it likes.
const MOST: usize = 128;

/// The encoders of one core. Clones share them; their lock is never waited for, because a core has one thread.
#[derive(Clone, Default)]
pub struct Encoders(Arc<Mutex<Idle>>);

#[derive(Default)]
struct Idle {
    /// Each with its level.
    gzip: Vec<(u8, Compress)>,
    zstandard: Vec<CCtx<'static>>,
    /// How many are in use.
    busy: usize,
    /// Its keys are random, so that nobody outside can tell what comes next.
    lengths: RandomState,
    /// How many random numbers were made.
    count: u64,
}

impl fmt::Debug for Encoders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoders").finish_non_exhaustive()
    }
}

impl Encoders {
    /// An encoder for an answer of this length, where that is known. `pads`: a random number of bytes more.
    pub(super) fn begin(
        &self,
        coding: Coding,
        levels: Levels,
        length: Option<u64>,
        pads: bool,
    ) -> Result<Borrowed, EncodingError> {
        let mut idle = self.idle();
        if idle.busy >= MOST {
            return Err(EncodingError::Busy);
        }
        let padding = if pads { idle.padding() } else { 0 };
        let encoder = match coding {
            Coding::Gzip => {
                let found = idle.gzip.iter().position(|(level, _)| *level == levels.gzip);
                let deflate = found.map(|place| idle.gzip.swap_remove(place).1);
                Encoder::Gzip(Box::new(Gzip::new(deflate.unwrap_or_else(|| Gzip::new_state(levels)), padding)))
            }
            Coding::Zstandard => {
                let context = idle.zstandard.pop().or_else(CCtx::try_create);
                let context = context.ok_or(EncodingError::Failed("zstd"))?;
                Encoder::Zstandard(Zstandard::new(context, levels, padding)?)
            }
            Coding::Brotli => Encoder::Brotli(Box::new(Brotli::new(levels, length, padding))),
        };
        idle.busy += 1;
        drop(idle);
        Ok(Borrowed { encoder: Some(encoder), level: levels.gzip, home: self.clone() })
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    /// 1 to 127.
    fn padding(&mut self) -> u8 {
        self.count += 1;
        (self.lengths.hash_one(self.count) % 127) as u8 + 1
    }
}

/// An encoder that goes home when its answer ends, however that is.
pub(super) struct Borrowed {
    encoder: Option<Encoder>,
    level: u8,
    home: Encoders,
}

impl Borrowed {
    pub(super) fn encoder(&mut self) -> Option<&mut Encoder> {
        self.encoder.as_mut()
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let mut idle = self.home.idle();
        idle.busy -= 1;
        match self.encoder.take() {
            Some(Encoder::Gzip(mut gzip)) if idle.gzip.len() < KEPT => {
                gzip.deflate.reset();
                idle.gzip.push((self.level, gzip.deflate));
            }
            Some(Encoder::Zstandard(mut zstandard)) => {
                let ready = Zstandard::reset(&mut zstandard.context);
                if ready && idle.zstandard.len() < KEPT {
                    idle.zstandard.push(zstandard.context);
                }
            }
            _ => {}
        }
    }
}
