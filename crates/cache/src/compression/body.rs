//! A body that is compressed while it passes. What a slow app has said so far does not wait for what it says next.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};
use seaworthy_core::{Body, BoxError};

use super::{
    encoder::{EncodingError, Step},
    encoders::Borrowed,
};

/// So much is compressed at a time, some hundred microseconds of work; then others of this core have their turn.
const PIECE: usize = 32 << 10;
/// From here on output is sent.
const FRAME: usize = 16 << 10;
/// Less than this is not worth a frame of its own, unless the client waits for it.
const CRUMB: usize = 1 << 10;
/// Of a body whose length is known, so much may wait for the rest: it is on its way, and more flushes are more bytes.
const MAY_WAIT: usize = 16 << 10;

/// The compressed body.
pub(super) struct CompressedBody {
    inner: Body,
    /// `None` when all is said.
    encoder: Option<Borrowed>,
    /// Came, and is not compressed yet.
    input: Bytes,
    /// Compressed, and not sent yet.
    output: Vec<u8>,
    /// Bytes that the encoder took since it was last flushed.
    taken: usize,
    /// The same that makes a flush worth it when the app pauses.
    flush_from: usize,
    /// The inner body has ended.
    ended: bool,
    trailers: Option<HeaderMap>,
}

impl CompressedBody {
    pub(super) fn new(inner: Body, encoder: Borrowed) -> Self {
        let known = inner.size_hint().exact();
        // Of what is known and small half is a generous guess; the rest grows.
        let room = known.map_or(0, |length| (length as usize / 2).min(FRAME) + 64);
        Self {
            inner,
            encoder: Some(encoder),
            input: Bytes::new(),
            output: Vec::with_capacity(room),
            taken: 0,
            flush_from: if known.is_some() { MAY_WAIT } else { 1 },
            ended: false,
            trailers: None,
        }
    }

    fn push(&mut self, input: &[u8], step: Step) -> Result<(), EncodingError> {
        if let Some(encoder) = self.encoder.as_mut().and_then(Borrowed::encoder) {
            encoder.push(input, step, &mut self.output)?;
        }
        match step {
            Step::Go => self.taken += input.len(),
            Step::Flush => self.taken = 0,
            Step::Finish => self.encoder = None,
        }
        Ok(())
    }

    /// Compresses a piece of what came.
    fn work(&mut self) -> Result<(), EncodingError> {
        let piece = self.input.split_to(self.input.len().min(PIECE));
        let last = self.ended && self.input.is_empty();
        self.push(&piece, if last { Step::Finish } else { Step::Go })
    }

    fn frame(&mut self) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(mem::take(&mut self.output))))))
    }

    /// Takes what the inner body has next.
    fn take(&mut self, frame: Option<Frame<Bytes>>) {
        match frame.map(Frame::into_data) {
            Some(Ok(data)) => {
                self.input = data;
                self.ended = self.inner.is_end_stream();
            }
            Some(Err(frame)) => {
                self.trailers = frame.into_trailers().ok();
                self.ended = true;
            }
            None => self.ended = true,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut worked = false;
        loop {
            if !self.output.is_empty() && (self.output.len() >= FRAME || self.encoder.is_none()) {
                return self.frame();
            }
            if self.encoder.is_none() {
                return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            }
            if !self.input.is_empty() {
                if mem::replace(&mut worked, true) {
                    // A long piece came at once.
                    cx.waker().wake_by_ref();
                    return if self.output.len() < CRUMB { Poll::Pending } else { self.frame() };
                }
                self.work()?;
                continue;
            }
            if self.ended {
                self.push(&[], Step::Finish)?;
                continue;
            }
            match Pin::new(&mut self.inner).poll_frame(cx) {
                Poll::Ready(frame) => self.take(frame.transpose()?),
                Poll::Pending => {
                    if self.taken >= self.flush_from {
                        self.push(&[], Step::Flush)?;
                    }
                    let waits = self.taken > 0 && self.output.len() < CRUMB;
                    return if self.output.is_empty() || waits { Poll::Pending } else { self.frame() };
                }
            }
        }
    }
}

impl HttpBody for CompressedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(self.poll(cx));
        if matches!(frame, Some(Err(_))) {
            // It must not look whole: nothing more comes, and what is held is not sent.
            self.encoder = None;
            self.output.clear();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none() && self.output.is_empty() && self.trailers.is_none()
    }
}

/// The body of an answer to HEAD whose length nobody knows: without it, a length of 0 would be written.
pub(super) struct Unknown;

impl HttpBody for Unknown {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(None)
    }
}
