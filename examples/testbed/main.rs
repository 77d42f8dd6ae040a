//! A plain server for external test tools, the same on every adapter.
//!
//! `cargo run --release --example testbed --features full -- --adapter axum --listen 127.0.0.1:9001`
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its terminal")]

mod actix;
mod app;
mod axum;
mod hyper;
mod options;

use std::{error::Error, net::TcpListener, process::ExitCode};

use options::{Adapter, Options};

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)).map_err(Into::into).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testbed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let hub = app::hub(&options)?;
    let listener = TcpListener::bind(&options.listen)?;
    listener.set_nonblocking(true)?;
    println!("listening on {}", listener.local_addr()?);
    if options.adapter == Adapter::Actix {
        return actix::serve(listener, hub, options.threads);
    }
    let runtime = match options.threads {
        1 => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        threads => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build()?,
    };
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let served = match options.adapter {
            Adapter::Axum => axum::serve(listener, hub).await,
            Adapter::Hyper | Adapter::Actix => hyper::serve(listener, hub).await,
        };
        Ok(served?)
    })
}
