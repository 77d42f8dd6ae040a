//! The SHA-256 of all files in a folder.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

/// Files and folders together, since both are kept in memory until all are known.
const MAX_ENTRIES: usize = 200_000;
const BUFFER_BYTES: usize = 256 * 1024;

/// How far it is.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Progress {
    files: u64,
    files_total: u64,
    bytes: u64,
    bytes_total: u64,
    current: String,
}

/// The digest of the contents of all files below `folder`, one after the other by path; symbolic
/// links are not followed. On Linux the same as
/// `find FOLDER -type f -print0 | LC_ALL=C sort -z | xargs -0 cat | sha256sum`.
///
/// Blocks. The error says which file could not be read, and why.
pub(crate) fn of_folder(
    folder: &Path,
    progress: &watch::Sender<Progress>,
) -> Result<String, String> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    for (path, length) in files(folder, progress)? {
        let shown = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        progress.send_modify(|progress| progress.current = shown);
        // No more than it had when it was listed: a log that grows would never end.
        let file = File::open(&path).map_err(|error| cannot_read(&path, &error))?;
        update(&mut digest, file.take(length), &mut buffer, progress)
            .map_err(|error| cannot_read(&path, &error))?;
        progress.send_modify(|progress| progress.files += 1);
    }
    progress.send_modify(|progress| progress.current.clear());
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// All regular files and their lengths, sorted by path.
fn files(folder: &Path, progress: &watch::Sender<Progress>) -> Result<Vec<(PathBuf, u64)>, String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    let mut entries = 0;
    while let Some(folder) = folders.pop() {
        let listed = fs::read_dir(&folder).map_err(|error| cannot_read(&folder, &error))?;
        for entry in listed {
            let entry = entry.map_err(|error| cannot_read(&folder, &error))?;
            entries += 1;
            if entries > MAX_ENTRIES {
                return Err(format!(
                    "more than {MAX_ENTRIES} files and folders: choose a smaller folder"
                ));
            }
            let path = entry.path();
            // Of a symbolic link itself, not of what it points to.
            let metadata = entry.metadata().map_err(|error| cannot_read(&path, &error))?;
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_file() {
                progress.send_modify(|progress| {
                    progress.files_total += 1;
                    progress.bytes_total += metadata.len();
                });
                files.push((path, metadata.len()));
            }
        }
    }
    // By bytes, not by components as paths compare by themselves.
    files.sort_by(|(a, _), (b, _)| a.as_os_str().cmp(b.as_os_str()));
    Ok(files)
}

fn update(
    digest: &mut Sha256,
    mut file: impl Read,
    buffer: &mut [u8],
    progress: &watch::Sender<Progress>,
) -> io::Result<()> {
    loop {
        let read = match file.read(buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        digest.update(&buffer[..read]);
        progress.send_modify(|progress| progress.bytes += read as u64);
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> String {
    format!("can't read {}: {error}", path.display())
}
