//! The files of the repository.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Result, process::output, workspace};

/// One file, its path relative to the root and with slashes.
#[derive(Debug)]
pub struct File {
    pub path: String,
    pub text: String,
}

/// All files that git tracks or would take up; outside of a git checkout, all but the build's.
pub fn read_all() -> Result<Vec<File>> {
    let root = workspace::root();
    let mut paths = match listed_by_git(&root) {
        Some(paths) => paths,
        None => walk(&root).map_err(|error| format!("could not list the files: {error}"))?,
    };
    paths.sort();
    paths.dedup();
    let mut files = Vec::new();
    for path in paths {
        let place = root.join(&path);
        // Deleted but not yet committed, or a submodule.
        if !place.is_file() {
            continue;
        }
        let bytes = fs::read(&place).map_err(|error| format!("could not read {path}: {error}"))?;
        files.push(File { path, text: String::from_utf8_lossy(&bytes).into_owned() });
    }
    Ok(files)
}

fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let list = output(&mut git).ok()?;
    let paths: Vec<String> =
        list.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    (!paths.is_empty()).then_some(paths)
}

fn walk(root: &Path) -> io::Result<Vec<String>> {
    let mut paths = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() && entry.file_name() != ".git" && path != Path::new("target") {
                folders.push(path);
            } else if kind.is_file() {
                let parts = path.iter().map(|part| part.to_string_lossy());
                paths.push(parts.collect::<Vec<_>>().join("/"));
            }
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_finds_sources_and_leaves_the_build_out() {
        let paths = walk(&workspace::root()).expect("the repository is readable");
        assert!(paths.iter().any(|path| path == "xtask/src/main.rs"));
        assert!(!paths.iter().any(|path| path.starts_with("target/") || path.starts_with(".git/")));
    }
}
