//! The page that shows it all.

use crate::app::Problem;

/// The content type and the text of the file at `path`.
pub(crate) fn file(path: &str) -> Result<(&'static str, &'static str), Problem> {
    match path {
        "/" => Ok(("text/html; charset=utf-8", include_str!("page/index.html"))),
        "/app.js" => Ok(("text/javascript; charset=utf-8", include_str!("page/app.js"))),
        "/style.css" => Ok(("text/css; charset=utf-8", include_str!("page/style.css"))),
        _ if is_route(path) => Err(Problem::new(405, "this address is not for that method")),
        _ => Err(Problem::new(404, "there is nothing here; the page is at /")),
    }
}

/// Whether `path` is here after all, so that it must be the method that fits no route.
fn is_route(path: &str) -> bool {
    match *path.split('/').skip(1).collect::<Vec<_>>() {
        ["about" | "metrics" | "stats" | "firehose" | "jobs"] => true,
        ["chat" | "jobs", name] => !name.is_empty(),
        _ => false,
    }
}

/// A segment of a path as it was before it was encoded for a URL.
#[cfg(feature = "hyper")]
pub(crate) fn decode(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}
