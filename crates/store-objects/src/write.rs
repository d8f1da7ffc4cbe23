//! Writing blobs: pieces are collected into parts; what is smaller than one part is put at once.

use crate::{
    Pieces,
    failure::{Fullness, told},
};
use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, path::Path};
use std::sync::Arc;
use store::{BlobWriter, Future, StoreError};

/// A blob being written.
pub(crate) struct Writer {
    objects: Arc<dyn ObjectStore>,
    path: Path,
    part: usize,
    fullness: Arc<Fullness>,
    pieces: Pieces,
    collected: usize,
    upload: Option<Box<dyn MultipartUpload>>,
}

impl Writer {
    pub(crate) fn new(objects: Arc<dyn ObjectStore>, path: Path, part: usize, fullness: Arc<Fullness>) -> Writer {
        Writer { objects, path, part, fullness, pieces: Vec::new(), collected: 0, upload: None }
    }

    /// Sends what is collected as one part.
    async fn send(&mut self) -> Result<(), StoreError> {
        let payload = PutPayload::from_iter(std::mem::take(&mut self.pieces));
        self.collected = 0;
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => none.insert(self.objects.put_multipart(&self.path).await.map_err(told)?),
        };
        // All parts but the last must have one size, and it need not be exactly `part`: pieces are cut to fit.
        upload.put_part(payload).await.map_err(told)
    }

    async fn add(&mut self, mut bytes: Bytes) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(self.part - self.collected));
            self.collected += piece.len();
            self.pieces.push(piece);
            if self.collected == self.part {
                self.send().await?;
            }
        }
        Ok(())
    }

    async fn complete(&mut self) -> Result<(), StoreError> {
        if self.upload.is_none() {
            let payload = PutPayload::from_iter(std::mem::take(&mut self.pieces));
            return self.objects.put(&self.path, payload).await.map(drop).map_err(told);
        }
        if self.collected > 0 {
            self.send().await?;
        }
        if let Some(mut upload) = self.upload.take()
            && let Err(error) = upload.complete().await
        {
            self.upload = Some(upload);
            return Err(told(error));
        }
        Ok(())
    }
}

impl BlobWriter for Writer {
    fn append(&mut self, bytes: Bytes) -> Future<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let outcome = self.add(bytes).await;
            self.fullness.note(outcome)
        })
    }

    fn finish(mut self: Box<Self>) -> Future<'static, Result<(), StoreError>> {
        Box::pin(async move {
            let outcome = self.complete().await;
            self.fullness.note(outcome)
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let Some(mut upload) = self.upload.take() else { return };
        // The service keeps parts until it is told, and asks money for them.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = upload.abort().await {
                    tracing::warn!(%error, "an upload that was broken off could not be removed");
                }
            });
        }
    }
}
