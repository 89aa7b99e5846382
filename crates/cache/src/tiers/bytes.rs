//! Fields one after another: numbers in little-endian order, texts behind their length. What is read may be anybody's bytes.

use bytes::{Buf, BufMut, Bytes};

/// Writes fields.
#[derive(Default)]
pub(crate) struct Writer(pub Vec<u8>);

impl Writer {
    pub(crate) fn byte(&mut self, byte: u8) {
        self.0.put_u8(byte);
    }

    pub(crate) fn short(&mut self, number: u16) {
        self.0.put_u16_le(number);
    }

    pub(crate) fn long(&mut self, number: u64) {
        self.0.put_u64_le(number);
    }

    /// A text of at most 4 GiB; nothing longer is ever stored.
    pub(crate) fn text(&mut self, text: &[u8]) {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.0.put_u32_le(length);
        self.0.put_slice(&text[..length as usize]);
    }
}

/// Reads them; `None` where the bytes end too soon. Nothing is allocated by a length that is not there.
pub(crate) struct Reader(pub Bytes);

impl Reader {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.0.try_get_u8().ok()
    }

    pub(crate) fn short(&mut self) -> Option<u16> {
        self.0.try_get_u16_le().ok()
    }

    pub(crate) fn long(&mut self) -> Option<u64> {
        self.0.try_get_u64_le().ok()
    }

    /// Shares the memory of what is read.
    pub(crate) fn text(&mut self) -> Option<Bytes> {
        let length = self.0.try_get_u32_le().ok()? as usize;
        (length <= self.0.len()).then(|| self.0.split_to(length))
    }

    pub(crate) fn is_at_its_end(&self) -> bool {
        self.0.is_empty()
    }
}
