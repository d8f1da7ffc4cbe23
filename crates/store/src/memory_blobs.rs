//! Blobs in memory, for tests: the model of the other back ends, with a limit so that the disk can be full.

use crate::{BlobNames, BlobReader, BlobWriter, Blobs, Future, StoreError, check_blob_name};
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use std::{collections::BTreeMap, ops::Range, sync::Arc};

/// Bytes that a reader gives at once: few, so that tests see more than one piece.
const PIECE: u64 = 1024;

/// Blobs in memory. A clone is another handle to the same ones.
#[derive(Debug, Clone, Default)]
pub struct MemoryBlobs {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    blobs: BTreeMap<Box<str>, Bytes>,
    /// Bytes of finished blobs and of those being written.
    used: u64,
    limit: Option<u64>,
}

impl MemoryBlobs {
    /// None yet.
    pub fn new() -> MemoryBlobs {
        MemoryBlobs::default()
    }

    /// From now on there is room for so many bytes in all; `None`: for any number.
    pub fn limit(&self, bytes: Option<u64>) {
        self.state.lock().limit = bytes;
    }

    /// Bytes that are used, also by what is being written.
    pub fn used(&self) -> u64 {
        self.state.lock().used
    }
}

impl State {
    fn take(&mut self, bytes: u64) -> Result<(), StoreError> {
        if self.limit.is_some_and(|limit| self.used + bytes > limit) {
            return Err(StoreError::Full);
        }
        self.used += bytes;
        Ok(())
    }
}

impl Blobs for MemoryBlobs {
    fn write<'a>(&'a self, name: &'a str) -> Future<'a, Result<Box<dyn BlobWriter>, StoreError>> {
        Box::pin(async move {
            check_blob_name(name)?;
            let writer = Writer { state: self.state.clone(), name: name.into(), content: BytesMut::new() };
            Ok(Box::new(writer) as Box<dyn BlobWriter>)
        })
    }

    fn size<'a>(&'a self, name: &'a str) -> Future<'a, Result<Option<u64>, StoreError>> {
        Box::pin(async move { Ok(self.state.lock().blobs.get(name).map(|blob| blob.len() as u64)) })
    }

    fn read<'a>(
        &'a self,
        name: &'a str,
        range: Range<u64>,
    ) -> Future<'a, Result<Option<Box<dyn BlobReader>>, StoreError>> {
        Box::pin(async move {
            let Some(blob) = self.state.lock().blobs.get(name).cloned() else { return Ok(None) };
            let end = range.end.min(blob.len() as u64);
            let start = range.start.min(end);
            // Both are at most the length of something in memory.
            let rest = blob.slice(start as usize..end as usize);
            Ok(Some(Box::new(Reader(rest)) as Box<dyn BlobReader>))
        })
    }

    fn remove<'a>(&'a self, name: &'a str) -> Future<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut state = self.state.lock();
            let removed = state.blobs.remove(name).map_or(0, |blob| blob.len() as u64);
            state.used -= removed;
            Ok(())
        })
    }

    fn list(&self, folder: Option<&str>) -> Box<dyn BlobNames> {
        let prefix = folder.map_or_else(String::new, |folder| format!("{folder}/"));
        let state = self.state.lock();
        Box::new(Names(state.blobs.keys().filter(|name| name.starts_with(&prefix)).cloned().collect()))
    }

    fn room(&self, bytes: u64) -> Result<(), StoreError> {
        let state = self.state.lock();
        match state.limit {
            Some(limit) if state.used + bytes > limit => Err(StoreError::Full),
            _ => Ok(()),
        }
    }

    fn tidy(&self) -> Future<'_, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

struct Writer {
    state: Arc<Mutex<State>>,
    name: Box<str>,
    content: BytesMut,
}

impl BlobWriter for Writer {
    fn append(&mut self, bytes: Bytes) -> Future<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.state.lock().take(bytes.len() as u64)?;
            self.content.extend_from_slice(&bytes);
            Ok(())
        })
    }

    fn finish(mut self: Box<Self>) -> Future<'static, Result<(), StoreError>> {
        Box::pin(async move {
            let content = std::mem::take(&mut self.content).freeze();
            let mut state = self.state.lock();
            let before = state.blobs.insert(self.name.clone(), content).map_or(0, |blob| blob.len() as u64);
            state.used -= before;
            drop(state);
            Ok(())
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.state.lock().used -= self.content.len() as u64;
    }
}

struct Reader(Bytes);

impl BlobReader for Reader {
    fn next(&mut self) -> Future<'_, Result<Option<Bytes>, StoreError>> {
        let piece = self.0.split_to(self.0.len().min(PIECE as usize));
        Box::pin(std::future::ready(Ok((!piece.is_empty()).then_some(piece))))
    }
}

struct Names(Vec<Box<str>>);

impl BlobNames for Names {
    fn next(&mut self) -> Future<'_, Result<Option<Box<str>>, StoreError>> {
        Box::pin(std::future::ready(Ok(self.0.pop())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::blobs;

    #[tokio::test]
    async fn fulfils_the_contract() {
        blobs::run(MemoryBlobs::new).await;
    }

    #[tokio::test]
    async fn a_full_one_says_so_and_keeps_nothing_of_what_failed() {
        let blobs = MemoryBlobs::new();
        blobs.limit(Some(10));
        assert_eq!(blobs.room(11), Err(StoreError::Full));
        let mut writer = blobs.write("a").await.unwrap();
        writer.append(Bytes::from_static(b"12345678")).await.unwrap();
        assert_eq!(writer.append(Bytes::from_static(b"9ab")).await, Err(StoreError::Full));
        drop(writer);
        assert_eq!((blobs.used(), blobs.room(10)), (0, Ok(())));
    }
}
