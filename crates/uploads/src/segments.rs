//! Bytes in files by where they are, and bodies made of them.

use std::{
    fs::File,
    future::Future,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    os::unix::fs::FileExt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use seaworthy_core::{Body, BoxError};
use tokio::task::{JoinHandle, spawn_blocking};

/// Read from the disk at once.
const STEP: u64 = 128 << 10;

/// A range of a file as something to read.
#[derive(Debug, Clone)]
pub(crate) struct Slice {
    file: Arc<File>,
    range: Range<u64>,
    at: u64,
}

impl Slice {
    pub(crate) fn new(file: &Arc<File>, range: Range<u64>) -> Self {
        Self { file: file.clone(), at: range.start, range }
    }

    pub(crate) fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// At most so many of its first bytes.
    pub(crate) fn head(&self, length: usize) -> io::Result<Vec<u8>> {
        self.piece(0, length)
    }

    /// At most so many of its last bytes.
    pub(crate) fn tail(&self, length: usize) -> io::Result<Vec<u8>> {
        self.piece(self.len().saturating_sub(length as u64), length)
    }

    /// At most so many bytes from there on.
    pub(crate) fn piece(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let start = (self.range.start + at).min(self.range.end);
        let mut found = Vec::new();
        let end = start.saturating_add(length as u64).min(self.range.end);
        Self { file: self.file.clone(), range: start..end, at: start }.read_to_end(&mut found)?;
        Ok(found)
    }

    /// The same from its beginning, with a place of its own.
    pub(crate) fn anew(&self) -> Self {
        Self { at: self.range.start, ..self.clone() }
    }
}

impl Read for Slice {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.range.end - self.at).unwrap_or(usize::MAX).min(into.len());
        let read = self.file.read_at(&mut into[..left], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Slice {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, by) = match to {
            SeekFrom::Start(at) => (self.range.start, i64::try_from(at).map_err(io::Error::other)?),
            SeekFrom::End(by) => (self.range.end, by),
            SeekFrom::Current(by) => (self.at, by),
        };
        let at = base.checked_add_signed(by).filter(|at| *at >= self.range.start);
        let at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.at = at.min(self.range.end);
        Ok(self.at - self.range.start)
    }
}

/// A part of a body.
#[derive(Debug, Clone)]
pub(crate) enum Segment {
    File(Arc<File>, Range<u64>),
    Bytes(Bytes),
}

impl Segment {
    fn len(&self) -> u64 {
        match self {
            Self::File(_, range) => range.end.saturating_sub(range.start),
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

/// A body of these segments, read as it is sent.
pub(crate) fn body(segments: Vec<Segment>) -> Body {
    let mut waiting: Vec<Segment> = segments.into_iter().filter(|segment| segment.len() > 0).collect();
    waiting.reverse();
    Segments { waiting, reading: None }.boxed_unsync()
}

/// How many bytes they are.
pub(crate) fn length(segments: &[Segment]) -> u64 {
    segments.iter().map(Segment::len).sum()
}

struct Segments {
    /// The next one is the last.
    waiting: Vec<Segment>,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl HttpBody for Segments {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            if let Some(reading) = &mut this.reading {
                let read = ready!(Pin::new(reading).poll(cx));
                this.reading = None;
                let read = read.map_err(io::Error::other).flatten();
                return Poll::Ready(Some(read.map(Frame::data).map_err(Into::into)));
            }
            match this.waiting.pop() {
                None => return Poll::Ready(None),
                Some(Segment::Bytes(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Segment::File(file, range)) => {
                    let end = range.end.min(range.start + STEP);
                    if end < range.end {
                        this.waiting.push(Segment::File(file.clone(), end..range.end));
                    }
                    this.reading = Some(spawn_blocking(move || {
                        let mut piece = vec![0; usize::try_from(end - range.start).map_err(io::Error::other)?];
                        file.read_exact_at(&mut piece, range.start)?;
                        Ok(piece.into())
                    }));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_empty() && self.reading.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.reading.is_some() { SizeHint::default() } else { SizeHint::with_exact(length(&self.waiting)) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn a_body_is_its_segments_in_order() {
        let mut file = tempfile::tempfile().unwrap();
        let content: Vec<u8> = (0..300_000_u32).map(|number| number as u8).collect();
        file.write_all(&content).unwrap();
        let file = Arc::new(file);
        let segments = vec![
            Segment::Bytes("head".into()),
            Segment::File(file.clone(), 10..10),
            Segment::File(file.clone(), 5..299_999),
            Segment::Bytes("end".into()),
        ];
        assert_eq!(length(&segments), 4 + 299_994 + 3);
        let body = body(segments);
        assert_eq!(body.size_hint().exact(), Some(300_001));
        let sent = body.collect().await.unwrap().to_bytes();
        assert_eq!(sent, [b"head", &content[5..299_999], b"end"].concat());
        let mut slice = Slice::new(&file, 10..20);
        assert_eq!(
            (slice.tail(3).unwrap(), slice.head(2).unwrap()),
            (content[17..20].to_vec(), content[10..12].to_vec())
        );
        assert!(slice.seek(SeekFrom::End(-11)).is_err());
        assert_eq!(slice.seek(SeekFrom::End(-1)).unwrap(), 9);
    }
}
