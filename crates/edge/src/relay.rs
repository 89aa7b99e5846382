//! Passing bytes between two connections, with no buffer while nothing moves: most WebSockets are silent most of the time.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read at a time.
const PIECE: usize = 16 * 1024;
/// Pieces that one direction passes before others get their turn.
const TURN: usize = 16;

thread_local! {
    /// Where bytes are read to; what the other side does not take at once is kept apart.
    static SCRATCH: RefCell<Box<[u8; PIECE]>> = RefCell::new(Box::new([0; PIECE]));
}

/// One direction.
#[derive(Default)]
struct Direction {
    /// Read and not written yet.
    left: Vec<u8>,
    written: usize,
    ended: bool,
    closed: bool,
}

/// Passes bytes both ways until both sides have ended, or one fails. An end is passed on too.
pub(crate) async fn relay<A, B>(mut left: A, mut right: B) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (mut there, mut back) = (Direction::default(), Direction::default());
    poll_fn(|cx| {
        let there = there.poll(cx, &mut left, &mut right)?;
        let back = back.poll(cx, &mut right, &mut left)?;
        if there.is_ready() && back.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

impl Direction {
    fn poll<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        for _ in 0..TURN {
            while self.written < self.left.len() {
                let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.left[self.written..]))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.written += written;
            }
            (self.left, self.written) = (Vec::new(), 0);
            if self.ended {
                if !self.closed {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.closed = true;
                }
                return Poll::Ready(Ok(()));
            }
            ready!(self.pass(cx, from, to))?;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads a piece and writes what is taken of it at once.
    fn pass<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(&mut scratch[..]);
            if Pin::new(&mut *from).poll_read(cx, &mut buffer)?.is_pending() {
                // What was written lies in a buffer of TLS, maybe.
                return match Pin::new(&mut *to).poll_flush(cx)? {
                    Poll::Ready(()) | Poll::Pending => Poll::Pending,
                };
            }
            let bytes = buffer.filled();
            if bytes.is_empty() {
                self.ended = true;
                return Poll::Ready(Ok(()));
            }
            let written = match Pin::new(&mut *to).poll_write(cx, bytes)? {
                Poll::Ready(written) => written,
                Poll::Pending => 0,
            };
            self.left.extend_from_slice(&bytes[written..]);
            Poll::Ready(Ok(()))
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn everything_arrives_both_ways_through_narrow_pipes_and_ends_are_passed_on() {
        let (mut client, left) = duplex(100);
        let (right, mut app) = duplex(70);
        let relayed = relay(left, right);
        let sent: Vec<u8> = (0..200_000_u32).map(|number| (number % 251) as u8).collect();
        let expected = sent.clone();
        let asking = async {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            answer
        };
        let answering = async {
            let mut seen = Vec::new();
            app.read_to_end(&mut seen).await.unwrap();
            app.write_all(b"done").await.unwrap();
            app.shutdown().await.unwrap();
            seen
        };
        let (ended, answer, seen) = tokio::join!(relayed, asking, answering);
        ended.unwrap();
        assert!(seen == expected);
        assert_eq!(answer, b"done");
    }
}
