//! A file as a response body: pieces of it, read off the core, one ahead of the client.

use std::{
    collections::VecDeque,
    fs::File,
    future::Future,
    io::{self, Read, Seek, SeekFrom},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use seaworthy_core::BoxError;
use tokio::task::{JoinHandle, spawn_blocking};

use super::ranges::Span;

/// How much is read at once. A slow client holds at most two of these.
pub(crate) const PIECE: u64 = 64 * 1024;

/// What a body is made of.
#[derive(Debug)]
pub(crate) enum Part {
    /// Text between parts of a file (`multipart/byteranges`).
    Text(Bytes),
    /// Bytes of the file.
    File(Span),
}

/// Ends with an error when the file has become shorter meanwhile: the length has been promised, and hyper cuts the
/// connection, so that the client knows.
#[derive(Debug)]
pub(crate) struct FileBody {
    file: Arc<File>,
    parts: VecDeque<Part>,
    remaining: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl FileBody {
    /// Sends the parts in their order.
    pub(crate) fn new(file: File, parts: Vec<Part>) -> Self {
        let remaining = parts.iter().map(Part::length).sum();
        Self { file: Arc::new(file), parts: parts.into(), remaining, reading: None }
    }

    /// How many bytes are still to be sent.
    pub(crate) fn length(&self) -> u64 {
        self.remaining
    }

    /// Begins to read the next piece, when the next part is of the file.
    fn read_ahead(&mut self) {
        let Some(Part::File(span)) = self.parts.front_mut() else { return };
        let piece = Span { first: span.first, last: span.last.min(span.first + PIECE - 1) };
        if piece.last == span.last {
            self.parts.pop_front();
        } else {
            span.first = piece.last + 1;
        }
        let file = self.file.clone();
        // Only one piece of a body is read at a time, so that the file's position is its own.
        self.reading = Some(spawn_blocking(move || read(&file, piece)));
    }

    fn fail(&mut self, error: impl Into<BoxError>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.parts.clear();
        self.reading = None;
        Poll::Ready(Some(Err(error.into())))
    }
}

impl Part {
    fn length(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::File(span) => span.length(),
        }
    }
}

/// Reads a span of at most [`PIECE`] bytes, all of it or an error.
pub(crate) fn read(mut file: &File, span: Span) -> io::Result<Bytes> {
    file.seek(SeekFrom::Start(span.first))?;
    let mut bytes = Vec::with_capacity(usize::try_from(span.length()).unwrap_or_default());
    file.take(span.length()).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == span.length() {
        return Ok(bytes.into());
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was sent"))
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.reading.is_none() {
            self.read_ahead();
        }
        let bytes = match &mut self.reading {
            Some(reading) => match ready!(Pin::new(reading).poll(cx)) {
                Ok(Ok(bytes)) => bytes,
                Ok(Err(error)) => return self.fail(error),
                Err(error) => return self.fail(error),
            },
            None => match self.parts.pop_front() {
                Some(Part::Text(text)) => text,
                _ => return Poll::Ready(None),
            },
        };
        self.reading = None;
        self.read_ahead();
        self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.reading.is_none() && self.parts.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use http_body_util::BodyExt;

    use super::*;

    fn file(length: usize) -> (tempfile::NamedTempFile, Vec<u8>) {
        let bytes: Vec<u8> = (0..length).map(|index| u8::try_from(index % 251).unwrap()).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        (file, bytes)
    }

    #[tokio::test]
    async fn parts_come_in_order_and_whole() {
        let (file, bytes) = file(300_000);
        let parts = vec![
            Part::Text(Bytes::from_static(b"<")),
            Part::File(Span { first: 10, last: 200_009 }),
            Part::Text(Bytes::from_static(b"|")),
            Part::File(Span { first: 0, last: 0 }),
            Part::Text(Bytes::from_static(b">")),
        ];
        let body = FileBody::new(file.reopen().unwrap(), parts);
        assert_eq!(body.length(), 200_004);
        assert_eq!(body.size_hint().exact(), Some(200_004));
        let sent = body.collect().await.unwrap().to_bytes();
        let expected = [b"<", &bytes[10..200_010], b"|", &bytes[..1], b">"].concat();
        assert_eq!(sent, expected);
    }

    #[tokio::test]
    async fn pieces_are_small_whatever_the_file() {
        let (file, _) = file(300_000);
        let mut body = FileBody::new(file.reopen().unwrap(), vec![Part::File(Span { first: 0, last: 299_999 })]);
        let mut frames = 0;
        while let Some(frame) = body.frame().await {
            assert!(frame.unwrap().into_data().unwrap().len() as u64 <= PIECE);
            frames += 1;
        }
        assert_eq!(frames, 5);
        assert!(body.is_end_stream());
    }

    #[tokio::test]
    async fn a_file_that_shrinks_ends_the_body_with_an_error() {
        let (file, _) = file(400_000);
        let mut body = FileBody::new(file.reopen().unwrap(), vec![Part::File(Span { first: 0, last: 399_999 })]);
        assert!(body.frame().await.unwrap().is_ok());
        file.as_file().set_len(1000).unwrap();
        let mut last = None;
        while let Some(frame) = body.frame().await {
            last = Some(frame);
        }
        assert!(last.unwrap().unwrap_err().to_string().contains("became shorter"));
        assert!(body.is_end_stream());
    }
}
