//! The demo's jobs.

use std::{fs::File, os::unix::fs::symlink};

use sha2::{Digest, Sha256};

use super::{chromium::Browser, folder::Folder, server::Server};
use crate::Adapter;

/// Names the job.
const HASH: &str = "return location.hash";

/// Enough for a job that still runs when the page is there again, on all but the fastest machine.
const LARGE: u64 = 32 * 1024 * 1024;

pub(crate) async fn jobs_end_with_the_digest_of_the_files(adapter: Adapter) {
    let server = Server::demo(adapter).await;
    let browser = Browser::start().await;
    browser.goto(&server.url("/")).await;
    a_job_runs(&browser).await;
    a_reload_watches_the_job_again(&browser).await;
}

async fn a_job_runs(browser: &Browser) {
    let (folder, digest) = some_files();

    start(browser, folder.path().join("missing").to_str().unwrap()).await;
    browser.until_text("job-error", "missing does not exist").await;
    start(browser, folder.path().join("a.txt").to_str().unwrap()).await;
    browser.until_text("job-error", "a.txt is not a folder").await;
    browser.until_text("job-status", "idle").await;

    start(browser, folder.path().to_str().unwrap()).await;
    browser.until_text("job-status", "done").await;
    assert_eq!(browser.text("job-digest").await, digest);
    assert_eq!(browser.text("job-error").await, "");
    assert_eq!(percent(browser).await, "100");
}

async fn a_reload_watches_the_job_again(browser: &Browser) {
    let large = Folder::new("zeros");
    File::create(large.path().join("zeros")).unwrap().set_len(LARGE).unwrap();
    let job_before = browser.run(HASH).await;
    start(browser, large.path().to_str().unwrap()).await;
    browser.until("the address names the new job", HASH, |hash| *hash != job_before).await;
    browser.reload().await;
    browser.until_text("job-status", "done").await;
    let digest = browser.text("job-digest").await;
    assert_eq!(digest, digest_of_zeros());

    browser.reload().await;
    browser.until_text("job-status", "done").await;
    assert_eq!(browser.text("job-digest").await, digest);
    assert_eq!(percent(browser).await, "100");
}

/// A folder, and the digest that it has.
pub(crate) fn some_files() -> (Folder, String) {
    let folder = Folder::new("files");
    // In the order of their paths as bytes; by components, `a/` would come before `a.txt`.
    let files = [
        ("a.txt", b"first".to_vec()),
        ("a/empty", Vec::new()),
        ("a/b/deep.bin", (0..=255).cycle().take(300_000).collect()),
        ("z.txt", "zuletzt: ß\r\n".into()),
    ];
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort_by_key(|(name, _)| name.as_bytes());
    let mut digest = Sha256::new();
    for (name, content) in sorted {
        folder.write(name, content);
        digest.update(content);
    }
    symlink("z.txt", folder.path().join("not-followed")).unwrap();
    (folder, hex(digest))
}

pub(crate) async fn start(browser: &Browser, folder: &str) {
    browser.fill("job-folder", folder).await;
    browser.click("job-start").await;
}

async fn percent(browser: &Browser) -> String {
    let script = "return document.getElementById('job-bar').ariaValueNow";
    browser.run(script).await.as_str().unwrap().to_owned()
}

fn digest_of_zeros() -> String {
    let mut digest = Sha256::new();
    digest.update(vec![0; usize::try_from(LARGE).unwrap()]);
    hex(digest)
}

fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
