//! The blob shape on the `object_store` crate: a local folder, or a service that speaks S3.
//!
//! In a folder a blob is written beside its name, synced, renamed, and its folder synced before
//! [`finish`](store::BlobWriter::finish) comes back. S3 shows nothing before the upload is complete.

mod failure;
mod folder;
mod limits;
mod read;
mod write;

use bytes::Bytes;
use failure::{Fullness, is_not_found, told};
use futures_util::{StreamExt, stream::BoxStream};
use object_store::{ClientOptions, ObjectMeta, ObjectStore, ObjectStoreExt, aws::AmazonS3Builder, path::Path};
use std::{fmt, ops::Range, path::PathBuf, sync::Arc};
use store::{BlobNames, BlobReader, BlobWriter, Blobs, Future, StoreError, check_blob_name, is_blob_name};

/// A service that speaks S3.
#[derive(Clone)]
pub struct S3 {
    /// The bucket; made already.
    pub bucket: String,
    /// The service's URL; `None`: Amazon's.
    pub endpoint: Option<String>,
    /// The region.
    pub region: String,
    /// The name of the key.
    pub access_key: String,
    /// The key.
    pub secret_key: String,
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys are not for logs.
        f.debug_struct("S3").field("bucket", &self.bucket).field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// Blobs in a folder or in a bucket.
#[derive(Debug)]
pub struct Objects {
    objects: Arc<dyn ObjectStore>,
    /// Of a local one.
    folder: Option<PathBuf>,
    /// Bytes that are sent at once.
    part: usize,
    fullness: Arc<Fullness>,
}

impl Objects {
    /// In a folder, which is made if it is not there. Uploads that the last process left half written are removed.
    ///
    /// # Errors
    /// [`StoreError`] where the folder cannot be made or used.
    pub fn folder(path: PathBuf) -> Result<Objects, StoreError> {
        let objects = folder::open(&path)?;
        folder::remove_unfinished(&path, std::time::Duration::ZERO)?;
        Ok(Objects {
            objects: Arc::new(objects),
            folder: Some(path),
            part: limits::PART_LOCAL,
            fullness: Arc::default(),
        })
    }

    /// In a bucket. Nothing is asked of the service yet.
    ///
    /// # Errors
    /// [`StoreError`] where what is said of the service cannot be right.
    pub fn bucket(s3: &S3) -> Result<Objects, StoreError> {
        // The client takes the process' provider; one that is there already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = ClientOptions::new().with_connect_timeout(limits::CONNECT).with_timeout(limits::REQUEST);
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&s3.bucket)
            .with_region(&s3.region)
            .with_access_key_id(&s3.access_key)
            .with_secret_access_key(&s3.secret_key);
        let mut plain = false;
        if let Some(endpoint) = &s3.endpoint {
            plain = endpoint.starts_with("http://");
            builder = builder.with_endpoint(endpoint);
        }
        let objects = builder.with_client_options(client.with_allow_http(plain)).build().map_err(told)?;
        Ok(Objects { objects: Arc::new(objects), folder: None, part: limits::PART_S3, fullness: Arc::default() })
    }

    /// The object of a name; `None` where nothing can have it.
    fn path(name: &str) -> Option<Path> {
        is_blob_name(name).then(|| Path::from(name))
    }
}

impl Blobs for Objects {
    fn write<'a>(&'a self, name: &'a str) -> Future<'a, Result<Box<dyn BlobWriter>, StoreError>> {
        Box::pin(async move {
            check_blob_name(name)?;
            let (objects, fullness) = (self.objects.clone(), self.fullness.clone());
            Ok(Box::new(write::Writer::new(objects, Path::from(name), self.part, fullness)) as Box<dyn BlobWriter>)
        })
    }

    fn size<'a>(&'a self, name: &'a str) -> Future<'a, Result<Option<u64>, StoreError>> {
        Box::pin(async move {
            let Some(path) = Objects::path(name) else { return Ok(None) };
            match self.objects.head(&path).await {
                Ok(found) => Ok(Some(found.size)),
                Err(error) if is_not_found(&error) => Ok(None),
                Err(error) => Err(told(error)),
            }
        })
    }

    fn read<'a>(
        &'a self,
        name: &'a str,
        range: Range<u64>,
    ) -> Future<'a, Result<Option<Box<dyn BlobReader>>, StoreError>> {
        Box::pin(async move {
            let Some(path) = Objects::path(name) else { return Ok(None) };
            read::read(&*self.objects, &path, range).await
        })
    }

    fn remove<'a>(&'a self, name: &'a str) -> Future<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let Some(path) = Objects::path(name) else { return Ok(()) };
            match self.objects.delete(&path).await {
                Ok(()) => {
                    self.fullness.forget();
                    Ok(())
                }
                Err(error) if is_not_found(&error) => Ok(()),
                Err(error) => Err(told(error)),
            }
        })
    }

    fn list(&self, folder: Option<&str>) -> Box<dyn BlobNames> {
        Box::new(Names(self.objects.list(folder.map(Path::from).as_ref())))
    }

    fn room(&self, bytes: u64) -> Result<(), StoreError> {
        self.fullness.check()?;
        match &self.folder {
            Some(folder) if folder::free(folder).is_some_and(|free| free < bytes.saturating_add(limits::SPARE)) => {
                Err(StoreError::Full)
            }
            _ => Ok(()),
        }
    }

    fn tidy(&self) -> Future<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let Some(folder) = self.folder.clone() else { return Ok(()) };
            let work = move || folder::remove_unfinished(&folder, limits::UNFINISHED);
            tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(StoreError::Io(error.to_string())))
        })
    }
}

struct Names(BoxStream<'static, object_store::Result<ObjectMeta>>);

impl BlobNames for Names {
    fn next(&mut self) -> Future<'_, Result<Option<Box<str>>, StoreError>> {
        Box::pin(async move {
            // What others keep in the same place has other names.
            loop {
                match self.0.next().await.transpose().map_err(told)? {
                    Some(found) if is_blob_name(found.location.as_ref()) => {
                        return Ok(Some(found.location.as_ref().into()));
                    }
                    Some(_) => {}
                    None => return Ok(None),
                }
            }
        })
    }
}

/// Pieces that wait to become a part.
type Pieces = Vec<Bytes>;
