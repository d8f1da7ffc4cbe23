//! What is particular to a local folder: making it, its room, and files that were left half written.

use crate::failure::{told, told_io};
use object_store::local::LocalFileSystem;
use std::{
    fs::{self, DirBuilder, DirEntry},
    io,
    os::unix::fs::DirBuilderExt,
    path::Path,
    time::Duration,
};
use store::StoreError;

/// Makes the folder, for its owner only, and opens it.
pub(crate) fn open(path: &Path) -> Result<LocalFileSystem, StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| named(path, &error))?;
    // The folder's own entry has to last as well.
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(|error| named(parent, &error))?;
    }
    Ok(LocalFileSystem::new_with_prefix(path).map_err(told)?.with_fsync(true))
}

/// Bytes that are free on the folder's disk for a process like ours; `None` where nobody says.
pub(crate) fn free(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Removes files that were being written and that nobody has written to for so long.
pub(crate) fn remove_unfinished(path: &Path, age: Duration) -> Result<(), StoreError> {
    for entry in fs::read_dir(path).map_err(|error| named(path, &error))? {
        let entry = entry.map_err(|error| named(path, &error))?;
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => remove_unfinished(&entry.path(), age)?,
            Ok(kind) if kind.is_file() && is_unfinished(&entry) && is_older(&entry, age) => {
                // One that goes by itself at this moment is as good.
                if let Err(error) = fs::remove_file(entry.path())
                    && error.kind() != io::ErrorKind::NotFound
                {
                    return Err(named(&entry.path(), &error));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// `object_store` writes beside the name: `name#1`. No blob has such a name.
fn is_unfinished(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let number = name.to_str().and_then(|name| name.rsplit_once('#'));
    number.is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_older(entry: &DirEntry, age: Duration) -> bool {
    let modified = entry.metadata().and_then(|metadata| metadata.modified());
    modified.ok().and_then(|modified| modified.elapsed().ok()).is_some_and(|since| since >= age) || age.is_zero()
}

fn named(path: &Path, error: &io::Error) -> StoreError {
    match told_io(error) {
        StoreError::Io(text) => StoreError::Io(format!("{}: {text}", path.display())),
        other => other,
    }
}
