//! A request's body to the disk, counted and read along as it comes.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt, FileExt},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use seaworthy_core::Body;
use tokio::{task::spawn_blocking, time::timeout};

use crate::problems::{Refusal, SLOW, malformed};

/// Written at once: a thread is changed for each write, so not for every packet.
const STEP: usize = 256 << 10;
/// A client that is slower than this on average, after a minute, holds a place that others need.
const SLOWEST_BYTES_A_SECOND: u64 = 1024;
const GRACE: Duration = Duration::from_secs(60);

/// How long what still comes of a refused body is read. Cut off at once, a client that sends would see a broken connection
/// in place of the refusal.
const LINGER: Duration = Duration::from_secs(3);

/// Reads what still comes of a refused body, for a while.
pub(crate) async fn drain(body: &mut Body) {
    // Whether it came to its end does not matter.
    let _ = timeout(LINGER, async { while let Some(Ok(_)) = body.frame().await {} }).await;
}

/// Makes the folder for waiting files, for this user alone.
pub(crate) fn folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A file without a name: whatever happens to us, the system frees it.
pub(crate) async fn nameless(path: Arc<Path>) -> Result<Arc<File>, Refusal> {
    let made = spawn_blocking(move || {
        folder(&path)?;
        tempfile::tempfile_in(&path)
    });
    let made = made.await.map_err(io::Error::other).flatten();
    made.map(Arc::new).map_err(|error| Refusal::storage(&error))
}

/// Writes the body to the file; `look` sees every piece first. Returns how many bytes there are.
pub(crate) async fn receive(
    body: &mut Body,
    file: &Arc<File>,
    idle: Duration,
    mut look: impl FnMut(&Bytes, u64) -> Result<(), Refusal>,
) -> Result<u64, Refusal> {
    let (mut buffer, mut written, mut seen) = (BytesMut::new(), 0_u64, 0_u64);
    let begun = Instant::now();
    loop {
        let Ok(frame) = timeout(idle, body.frame()).await else {
            return Err(Refusal::new(SLOW, format!("No byte came for {idle:?}.")));
        };
        let data = match frame {
            None => break,
            Some(Err(_)) => return malformed("The body broke off."),
            // Trailers (RFC 9110, 6.5) are no part of the content, and go no further.
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => data,
                Err(_) => continue,
            },
        };
        seen += data.len() as u64;
        look(&data, seen)?;
        let elapsed = begun.elapsed();
        if elapsed > GRACE && seen / elapsed.as_secs().max(1) < SLOWEST_BYTES_A_SECOND {
            return Err(Refusal::new(SLOW, "It came too slowly."));
        }
        buffer.extend_from_slice(&data);
        if buffer.len() >= STEP {
            let piece = buffer.split().freeze();
            written = write(file, piece, written).await?;
        }
    }
    if buffer.is_empty() { Ok(written) } else { write(file, buffer.freeze(), written).await }
}

async fn write(file: &Arc<File>, piece: Bytes, at: u64) -> Result<u64, Refusal> {
    let (file, end) = (file.clone(), at + piece.len() as u64);
    let done = spawn_blocking(move || file.write_all_at(&piece, at)).await.map_err(io::Error::other).flatten();
    done.map(|()| end).map_err(|error| Refusal::storage(&error))
}
