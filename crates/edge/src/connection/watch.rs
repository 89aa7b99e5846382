//! What a connection's driver must know and the HTTP library does not tell: bytes that move, answers that are owed,
//! writes that wait.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::guard::{Guard, HeadLimits, Phase, Violation};

/// Bytes that are taken from a client before it is known which protocol they belong to.
const MAX_EARLY: usize = 16 * 1024;

/// The state of one HTTP/1 connection, shared by its stream, its requests and its driver. All of them live on one core;
/// the lock is never waited for.
#[derive(Debug)]
pub(crate) struct Watch {
    guard: Mutex<Guard>,
    /// Answers whose last byte was handed to the library.
    answered: AtomicU64,
    /// Bytes read and written so far: whether anything moves.
    moved: AtomicU64,
    /// True while the client does not take what we write.
    write_waits: AtomicBool,
    /// A read that waits for the answer to a request to switch protocols.
    reader: Mutex<Option<Waker>>,
}

impl Watch {
    pub(crate) fn new(limits: HeadLimits) -> Arc<Self> {
        Arc::new(Self {
            guard: Mutex::new(Guard::new(limits)),
            answered: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            write_waits: AtomicBool::new(false),
            reader: Mutex::new(None),
        })
    }

    pub(crate) fn phase(&self) -> Phase {
        self.guard().phase()
    }

    pub(crate) fn violation(&self) -> Option<Violation> {
        self.guard().violation()
    }

    /// Complete request heads so far.
    pub(crate) fn heads(&self) -> u64 {
        self.guard().heads()
    }

    /// True when every request was answered to its last byte and the client has taken it.
    pub(crate) fn owes_nothing(&self) -> bool {
        self.answered.load(Ordering::Relaxed) == self.heads() && !self.write_waits.load(Ordering::Relaxed)
    }

    /// A number that changes whenever a byte moves.
    pub(crate) fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    pub(crate) fn write_waits(&self) -> bool {
        self.write_waits.load(Ordering::Relaxed)
    }

    /// An answer was handed over to its last byte, or given up.
    pub(crate) fn answer_ended(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// The head of an answer is known; `switched` when it is a 101.
    pub(crate) fn answer_begins(&self, switched: bool) {
        let mut guard = self.guard();
        if guard.phase() == Phase::Undecided {
            guard.decide(switched);
            drop(guard);
            if let Some(reader) = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take() {
                reader.wake();
            }
        }
    }

    fn guard(&self) -> MutexGuard<'_, Guard> {
        // Whatever a panicking holder left, the next bytes are judged from there.
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a read of a refused connection gets. A body that breaks its framing fails the request that it belongs to;
    /// before a head the driver ends the connection, once the answers before it are out.
    fn refused(&self) -> Poll<io::Result<()>> {
        match self.violation() {
            Some(Violation::Chunk) => Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
            _ => Poll::Pending,
        }
    }

    fn count(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// A client's stream, read along by a [`Guard`].
#[derive(Debug)]
pub(crate) struct WatchedStream<S> {
    inner: S,
    watch: Arc<Watch>,
    /// Bytes that may not pass yet: a part of a head, or what follows a request to switch protocols.
    pending: Vec<u8>,
    /// Bytes that may pass, and found no room.
    ready: Vec<u8>,
}

impl<S> WatchedStream<S> {
    pub(crate) fn new(inner: S, watch: Arc<Watch>) -> Self {
        Self { inner, watch, pending: Vec::new(), ready: Vec::new() }
    }

    pub(crate) fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The stream itself; nothing is held back while nothing is owed.
    pub(crate) fn into_inner(self) -> S {
        self.inner
    }

    /// Asks the guard again about what is pending.
    fn review(&mut self) {
        let passed = self.watch.guard().advance(&self.pending);
        if passed == self.pending.len() {
            // The usual end of a head in pieces; its memory is not needed any more.
            self.ready = std::mem::take(&mut self.pending);
        } else {
            self.ready.extend(self.pending.drain(..passed));
        }
    }

    fn deliver(&mut self, buffer: &mut ReadBuf<'_>) {
        let fitting = self.ready.len().min(buffer.remaining());
        buffer.put_slice(&self.ready[..fitting]);
        self.ready.drain(..fitting);
        if self.ready.is_empty() {
            self.ready = Vec::new();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WatchedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.ready.is_empty() {
                this.deliver(buffer);
                return Poll::Ready(Ok(()));
            }
            match this.watch.phase() {
                Phase::Undecided => {
                    let waiting = Some(cx.waker().clone());
                    *this.watch.reader.lock().unwrap_or_else(PoisonError::into_inner) = waiting;
                    if this.pending.len() > MAX_EARLY {
                        return Poll::Pending;
                    }
                    // Read on, so that a client that leaves is seen.
                    let before = buffer.filled().len();
                    ready!(Pin::new(&mut this.inner).poll_read(cx, buffer))?;
                    if buffer.filled().len() == before {
                        return Poll::Ready(Ok(()));
                    }
                    this.pending.extend_from_slice(&buffer.filled()[before..]);
                    buffer.set_filled(before);
                    continue;
                }
                Phase::Refused => return this.watch.refused(),
                // It is decided what the bytes behind a request to switch protocols are.
                Phase::Boundary | Phase::Off if !this.pending.is_empty() => {
                    this.review();
                    continue;
                }
                _ => {}
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.inner).poll_read(cx, buffer))?;
            let new = &buffer.filled()[before..];
            if new.is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.watch.count(new.len());
            if this.pending.is_empty() {
                let passed = this.watch.guard().advance(new);
                if passed == new.len() {
                    return Poll::Ready(Ok(()));
                }
                this.pending.extend_from_slice(&new[passed..]);
                buffer.set_filled(before + passed);
                if passed > 0 {
                    return Poll::Ready(Ok(()));
                }
            } else {
                this.pending.extend_from_slice(new);
                buffer.set_filled(before);
                this.review();
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WatchedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.wrote(&polled, bytes.len());
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, pieces);
        self.wrote(&polled, pieces.iter().map(|piece| piece.len()).sum());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        // The library flushes only when it has written everything.
        self.watch.write_waits.store(polled.is_pending(), Ordering::Relaxed);
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S> WatchedStream<S> {
    fn wrote(&self, polled: &Poll<io::Result<usize>>, offered: usize) {
        let waits = match polled {
            Poll::Ready(Ok(written)) => {
                self.watch.count(*written);
                *written < offered
            }
            Poll::Ready(Err(_)) => false,
            Poll::Pending => true,
        };
        self.watch.write_waits.store(waits, Ordering::Relaxed);
    }
}
