//! What the kernel says of its memory, of a process and of what it may open.

use std::{fs, time::Duration};

use crate::Result;

/// Memory that is the kernel's own, in bytes, and not any process's.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Of sockets, files and much else.
    pub slab: f64,
    /// What lies in TCP's buffers.
    pub tcp: f64,
}

impl Memory {
    pub fn read() -> Result<Self> {
        let (meminfo, sockstat) = (read("/proc/meminfo")?, read("/proc/net/sockstat")?);
        let slab = field(&meminfo, "Slab:", 0).ok_or("/proc/meminfo should have `Slab:`")?;
        let pages =
            field(&sockstat, "TCP:", 9).ok_or("/proc/net/sockstat should have `TCP: … mem`")?;
        Ok(Self { slab: slab * 1024.0, tcp: pages * 4096.0 })
    }
}

/// How long all threads of a process were running so far.
pub fn ran(process: u32) -> Result<Duration> {
    let folder = format!("/proc/{process}/task");
    let threads =
        fs::read_dir(&folder).map_err(|error| format!("could not read {folder}: {error}"))?;
    let mut nanoseconds = 0.0;
    for thread in threads.flatten() {
        // A thread that has ended meanwhile.
        let Ok(stat) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
        nanoseconds += stat.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or(0.0);
    }
    Ok(Duration::from_secs_f64(nanoseconds / 1e9))
}

/// How many files a process may open, which ours inherit.
pub fn most_descriptors() -> Result<usize> {
    let limits = read("/proc/self/limits")?;
    let most = field(&limits, "Max open files", 0)
        .ok_or("/proc/self/limits should have `Max open files`")?;
    Ok(most as usize)
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("could not read {path} (Linux only): {error}"))
}

/// The word at this place after a line's beginning.
fn field(text: &str, beginning: &str, place: usize) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(beginning))?;
    line.split_whitespace().nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_at_their_place() {
        let sockstat = "sockets: used 11\nTCP: inuse 1 orphan 60 tw 0 alloc 61 mem 314\n";
        assert_eq!(field(sockstat, "TCP:", 9), Some(314.0));
        assert_eq!(field(sockstat, "UDP:", 0), None);
        assert_eq!(
            field("Max open files   20000   20000  files", "Max open files", 0),
            Some(20_000.0)
        );
    }
}
