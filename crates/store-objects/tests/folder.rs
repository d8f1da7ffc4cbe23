//! Blobs in a local folder: the contract, and what is particular to files.

use bytes::Bytes;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};
use store::{Blobs, StoreError, contract};
use store_objects::Objects;

/// A folder that goes away with its test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("linnet-objects-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn files(&self) -> Vec<PathBuf> {
        fn collect(path: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(path).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { collect(&path, found) } else { found.push(path) }
            }
        }
        let mut found = Vec::new();
        collect(&self.0, &mut found);
        found
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fulfils_the_contract() {
    let root = Folder::new();
    let mut number = 0;
    contract::blobs::run(|| {
        number += 1;
        Objects::folder(root.0.join(number.to_string())).unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_last_process_left_half_written_is_removed_at_start() {
    let folder = Folder::new();
    let blobs = Objects::folder(folder.0.clone()).unwrap();
    let mut writer = blobs.write("ab/whole").await.unwrap();
    writer.append(Bytes::from_static(b"whole")).await.unwrap();
    writer.finish().await.unwrap();
    let mut writer = blobs.write("ab/half").await.unwrap();
    writer.append(Bytes::from(vec![0; 1024 * 1024])).await.unwrap();
    assert_eq!(folder.files().len(), 2);
    // As if the process had been killed.
    std::mem::forget(writer);
    // One that is written to is not touched by the job.
    blobs.tidy().await.unwrap();
    assert_eq!(folder.files().len(), 2);
    let blobs = Objects::folder(folder.0.clone()).unwrap();
    assert_eq!(folder.files(), [folder.0.join("ab/whole")]);
    assert_eq!(blobs.size("ab/whole").await.unwrap(), Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_off_is_removed_at_once() {
    let folder = Folder::new();
    let blobs = Objects::folder(folder.0.clone()).unwrap();
    let mut writer = blobs.write("ab/half").await.unwrap();
    writer.append(Bytes::from(vec![0; 1024 * 1024])).await.unwrap();
    drop(writer);
    for _ in 0..100 {
        if folder.files().is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{:?} is still there", folder.files());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_room_is_said_before_anything_is_written() {
    let folder = Folder::new();
    let blobs = Objects::folder(folder.0.clone()).unwrap();
    assert_eq!(blobs.room(1), Ok(()));
    // More than any disk has.
    assert_eq!(blobs.room(u64::MAX), Err(StoreError::Full));
}
