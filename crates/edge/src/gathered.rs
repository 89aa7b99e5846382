//! Small writes in pieces go out as one.
//!
//! The HTTP library hands over a head and a body as two pieces. For many bytes that saves a copy; for few the copy is far
//! cheaper than the way of `writev` through the kernel's file layer, which `send` does not take.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Up to so many bytes are copied.
const FEW: usize = 4 * 1024;

thread_local! {
    /// One write at a time passes here, so all streams of a core have one.
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes these pieces, few bytes by one plain write.
pub(crate) fn poll_write_pieces<S: AsyncWrite>(
    stream: Pin<&mut S>,
    cx: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if let [only] = pieces {
        return stream.poll_write(cx, only);
    }
    if pieces.iter().map(|piece| piece.len()).sum::<usize>() > FEW {
        return stream.poll_write_vectored(cx, pieces);
    }
    JOINED.with_borrow_mut(|joined| {
        joined.clear();
        for piece in pieces {
            joined.extend_from_slice(piece);
        }
        stream.poll_write(cx, joined)
    })
}

/// A stream whose small writes go out as one.
#[derive(Debug)]
pub(crate) struct Gathered<S>(pub S);

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        poll_write_pieces(Pin::new(&mut self.0), cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn every_byte_arrives_in_order_however_many() {
        for lengths in [vec![0, 0], vec![3], vec![200, 1024], vec![4096, 1], vec![10, 300_000, 7]] {
            let sent: Vec<Vec<u8>> =
                lengths.iter().enumerate().map(|(number, length)| vec![number as u8 + 1; *length]).collect();
            let (ours, mut theirs) = tokio::io::duplex(1 << 20);
            let mut ours = Gathered(ours);
            let pieces: Vec<IoSlice<'_>> = sent.iter().map(|piece| IoSlice::new(piece)).collect();
            let all = sent.concat();
            let written = ours.write_vectored(&pieces).await.unwrap();
            ours.write_all(&all[written..]).await.unwrap();
            drop(ours);
            let mut received = Vec::new();
            theirs.read_to_end(&mut received).await.unwrap();
            assert_eq!(received, all, "{lengths:?}");
        }
    }

    #[tokio::test]
    async fn few_bytes_are_one_write() {
        let mut written = writes_of(&[b"head", b"body"]).await;
        assert_eq!(written.remove(0), b"headbody");
        let big = vec![b'x'; FEW];
        let written = writes_of(&[b"head", &big]).await;
        assert_eq!(written[0].len(), 4, "as it comes: this stream takes one piece at a time");
    }

    /// What a stream that takes one piece at a time is given by one write.
    async fn writes_of(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        struct Notes(Vec<Vec<u8>>);
        impl AsyncWrite for Notes {
            fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                self.0.push(bytes.to_vec());
                Poll::Ready(Ok(bytes.len()))
            }
            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }
            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }
        }
        let mut stream = Gathered(Notes(Vec::new()));
        let pieces: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let count = stream.write_vectored(&pieces).await.unwrap();
        assert_eq!(count, stream.0.0.concat().len());
        stream.0.0
    }
}
