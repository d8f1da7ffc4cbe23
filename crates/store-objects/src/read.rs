//! Reading blobs: files directly, in pieces of a good size; what comes over the network as it comes.

use crate::{
    failure::{is_not_found, told, told_io},
    limits,
};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream::BoxStream};
use object_store::{GetOptions, GetRange, GetResultPayload, ObjectStore, ObjectStoreExt, path::Path};
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    ops::Range,
};
use store::{BlobReader, Future, StoreError};

/// Begins to read.
pub(crate) async fn read(
    objects: &dyn ObjectStore,
    path: &Path,
    range: Range<u64>,
) -> Result<Option<Box<dyn BlobReader>>, StoreError> {
    let size = match objects.head(path).await {
        Ok(found) => found.size,
        Err(error) if is_not_found(&error) => return Ok(None),
        Err(error) => return Err(told(error)),
    };
    let range = range.start.min(size)..range.end.min(size);
    if range.is_empty() {
        return Ok(Some(Box::new(Nothing)));
    }
    let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
    let found = match objects.get_opts(path, options).await {
        Ok(found) => found,
        Err(error) if is_not_found(&error) => return Ok(None),
        Err(error) => return Err(told(error)),
    };
    let range = found.range.clone();
    Ok(Some(match found.payload {
        GetResultPayload::File(file, _) => Box::new(FileReader { file: Some(file), range }) as Box<dyn BlobReader>,
        GetResultPayload::Stream(stream) => Box::new(StreamReader(stream)),
    }))
}

struct Nothing;

impl BlobReader for Nothing {
    fn next(&mut self) -> Future<'_, Result<Option<Bytes>, StoreError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

struct FileReader {
    /// Away while a thread reads from it.
    file: Option<File>,
    range: Range<u64>,
}

impl BlobReader for FileReader {
    fn next(&mut self) -> Future<'_, Result<Option<Bytes>, StoreError>> {
        Box::pin(async move {
            if self.range.is_empty() {
                return Ok(None);
            }
            let Some(mut file) = self.file.take() else { return Err(StoreError::Io("the reading broke off".into())) };
            let (start, wanted) = (self.range.start, limits::READ.min(self.range.end - self.range.start));
            let work = move || {
                // At most `limits::READ`.
                let mut piece = BytesMut::zeroed(wanted as usize);
                file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut piece))?;
                Ok::<_, std::io::Error>((file, piece.freeze()))
            };
            let done = tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::Io(error.to_string()))?;
            let (file, piece) = done.map_err(|error| told_io(&error))?;
            self.file = Some(file);
            self.range.start += wanted;
            Ok(Some(piece))
        })
    }
}

struct StreamReader(BoxStream<'static, object_store::Result<Bytes>>);

impl BlobReader for StreamReader {
    fn next(&mut self) -> Future<'_, Result<Option<Bytes>, StoreError>> {
        Box::pin(async move {
            loop {
                match self.0.next().await.transpose().map_err(told)? {
                    Some(piece) if piece.is_empty() => {}
                    piece => return Ok(piece),
                }
            }
        })
    }
}
