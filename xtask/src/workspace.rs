//! Where the workspace and its build output lie.

use std::{
    env,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    Result,
    process::{cargo, output},
};

/// The folder of the workspace's `Cargo.toml`.
pub fn root() -> PathBuf {
    // At run time first: a checkout that was moved keeps its compiled xtask.
    let package = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or_else(|| package.clone(), Path::to_path_buf)
}

/// The build folder, wherever cargo's configuration puts it.
pub fn target() -> Result<PathBuf> {
    let metadata = output(cargo().args(["metadata", "--format-version=1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&metadata)
        .map_err(|error| format!("`cargo metadata` should print JSON: {error}"))?;
    match metadata.get("target_directory").and_then(Value::as_str) {
        Some(path) => Ok(PathBuf::from(path)),
        None => Err("`cargo metadata` names no target_directory".to_owned()),
    }
}
