//! Everything the library does, on one page: `cargo run --example demo --features axum`, then open
//! the address that it prints.
//!
//! The app is the same on each framework; `axum.rs`, `actix.rs` and `hyper.rs` are all that differs.
#![cfg_attr(not(any(feature = "axum", feature = "actix", feature = "hyper")), allow(unused))]

mod app;
mod chat;
mod digest;
mod firehose;
mod jobs;
mod metrics;
mod options;
mod page;
mod stats;

#[cfg(feature = "actix")]
mod actix;
#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "hyper")]
mod hyper;

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use app::{App, Shutdown};
use options::{Command, Options};
use realtime::shutdown_signal;
use tokio::{net::TcpListener, runtime::Runtime};

fn main() -> ExitCode {
    let options = match Command::parse(std::env::args().skip(1)) {
        Ok(Command::Serve(options)) => options,
        Ok(Command::Help) => return print(options::USAGE),
        Err(line) => return fail(&line, 2),
    };
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string(), 1),
    };
    let served = runtime.block_on(serve(&options));
    // Not waiting for jobs that are reading a folder.
    runtime.shutdown_background();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string(), 1),
    }
}

async fn serve(options: &Options) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(&options.listen)
        .await
        .map_err(|error| format!("can't listen on {}: {error}", options.listen))?;
    let app = App::start()?;
    let shutdown: Shutdown = Box::pin(shutdown_signal(&app.hub)?);
    print(&format!("listening on http://{}", listener.local_addr()?));
    match options.adapter {
        #[cfg(feature = "axum")]
        "axum" => axum::run(app, listener, shutdown).await?,
        #[cfg(feature = "actix")]
        "actix" => actix::run(app, listener, shutdown).await?,
        #[cfg(feature = "hyper")]
        "hyper" => hyper::run(app, listener, shutdown).await?,
        other => return Err(format!("the adapter {other} is not compiled in").into()),
    }
    Ok(())
}

fn print(line: &str) -> ExitCode {
    match writeln!(io::stdout(), "{line}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn fail(line: &str, code: u8) -> ExitCode {
    // There is nowhere left to tell that this failed.
    let _ = writeln!(io::stderr(), "demo: {line}");
    ExitCode::from(code)
}
