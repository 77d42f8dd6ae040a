//! What the kernel says of this process.

use std::{fs, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// How long this thread was running so far, exactly: what others do on the machine is not in it.
pub(crate) fn ran_here() -> Duration {
    let ran = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(ran.tv_sec.unsigned_abs(), ran.tv_nsec as u32)
}

/// The process's resident memory in bytes.
pub(crate) fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("what the kernel says of us");
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"));
    kib.and_then(|kib| kib.trim().parse::<f64>().ok()).expect("a number") * 1024.0
}
