//! The bytes of one request, behind those that are there.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc, time::Duration};

use bytes::BytesMut;
use http_body_util::BodyExt;
use seaworthy_core::Body;
use tokio::{task::spawn_blocking, time::timeout};

use super::{checksum_mismatch, headers::Checksum};
use crate::{
    problems::{Refusal, SLOW, TOO_LARGE, malformed},
    uploads::Joint,
};

const STEP: usize = 256 << 10;
/// What a crash may cost a client to send again.
const SETTLED_EVERY: u64 = 16 << 20;

/// An upload that is being written.
pub(super) struct Appending {
    pub joint: Arc<Joint>,
    pub id: String,
    pub file: Arc<File>,
    /// How many bytes are there, and how many there will be.
    pub offset: u64,
    pub length: u64,
}

impl Appending {
    /// Takes the body. What came before it broke off is kept, but for a piece with a checksum: that is kept whole or not at
    /// all. Returns how many bytes are durable.
    pub(super) async fn run(
        self,
        body: &mut Body,
        mut checksum: Option<Checksum>,
        idle: Duration,
    ) -> Result<u64, Refusal> {
        let begin = self.offset;
        let (mut written, mut settled, mut buffer) = (self.offset, self.offset, BytesMut::new());
        let ended = loop {
            let frame = match timeout(idle, body.frame()).await {
                Err(_) => break Err(Refusal::new(SLOW, format!("No byte came for {idle:?}."))),
                Ok(None) => break Ok(()),
                Ok(Some(Err(_))) => break malformed("The body broke off."),
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(data) = frame.into_data() else { continue };
            if written + (buffer.len() + data.len()) as u64 > self.length {
                break Err(Refusal::new(TOO_LARGE, "There are more bytes than Upload-Length says."));
            }
            if let Some(checksum) = &mut checksum {
                checksum.update(&data);
            }
            buffer.extend_from_slice(&data);
            if buffer.len() >= STEP {
                written = self.write(buffer.split(), written).await?;
                if checksum.is_none() && written - settled >= SETTLED_EVERY {
                    settled = self.settle(written).await?;
                }
            }
        };
        written = self.write(buffer, written).await?;
        if let Some(checksum) = checksum {
            // Nothing is settled yet, so nothing of a wrong piece is kept.
            ended.clone()?;
            if !checksum.matches() {
                return Err(Refusal::new(checksum_mismatch(), ""));
            }
        }
        if written > begin {
            self.settle(written).await?;
        }
        ended.map(|()| written)
    }

    async fn write(&self, piece: BytesMut, at: u64) -> Result<u64, Refusal> {
        let (file, end) = (self.file.clone(), at + piece.len() as u64);
        if piece.is_empty() {
            return Ok(at);
        }
        done(spawn_blocking(move || file.write_all_at(&piece, at)).await).map(|()| end)
    }

    async fn settle(&self, offset: u64) -> Result<u64, Refusal> {
        let (joint, id, file) = (self.joint.clone(), self.id.clone(), self.file.clone());
        done(spawn_blocking(move || joint.store.settle(&id, &file, offset)).await).map(|()| offset)
    }
}

fn done<T>(result: Result<io::Result<T>, tokio::task::JoinError>) -> Result<T, Refusal> {
    result.map_err(io::Error::other).flatten().map_err(|error| Refusal::storage(&error))
}
