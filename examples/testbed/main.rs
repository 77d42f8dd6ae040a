//! A plain server for external test tools, the same on every adapter.
//!
//! `cargo run --release --example testbed --features full -- --adapter axum --listen 127.0.0.1:9001`
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its terminal")]

mod actix;
mod app;
mod axum;
mod hyper;
mod log;
mod options;
mod times;

use std::{
    error::Error,
    io,
    net::{SocketAddr, TcpListener},
    process::ExitCode,
};

use options::{Adapter, Options};
use socket2::{Domain, Socket, Type};
use tokio::runtime::{Builder, Runtime};

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
    log::install();
    if options.adapter == Adapter::Actix {
        // actix has runtimes of its own; the broker is on none of them.
        let runtime = match options.broker {
            Some(_) => Some(Builder::new_multi_thread().worker_threads(1).enable_all().build()?),
            None => None,
        };
        let hub = {
            let _entered = runtime.as_ref().map(Runtime::enter);
            app::hub(&options)?
        };
        let listener = listen(&options)?;
        println!("listening on {}", listener.local_addr()?);
        let report = actix::serve(listener, hub, options.threads)?;
        println!("{}", app::report(&report));
        return Ok(());
    }
    let runtime = match options.threads {
        1 => Builder::new_current_thread().enable_all().build()?,
        threads => Builder::new_multi_thread().worker_threads(threads).enable_all().build()?,
    };
    let hub = {
        let _entered = runtime.enter();
        app::hub(&options)?
    };
    let listener = listen(&options)?;
    println!("listening on {}", listener.local_addr()?);
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let served = match options.adapter {
            Adapter::Axum => axum::serve(listener, hub).await,
            Adapter::Hyper | Adapter::Actix => hyper::serve(listener, hub).await,
        };
        println!("{}", app::report(&served?));
        Ok(())
    })
}

/// A listener; with `--reuse-port`, other processes may listen beside it.
fn listen(options: &Options) -> io::Result<TcpListener> {
    let listener = if options.reuse_port {
        let addr: SocketAddr = options.listen.parse().map_err(io::Error::other)?;
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
        socket.set_reuse_port(true)?;
        socket.bind(&addr.into())?;
        socket.listen(1024)?;
        socket.into()
    } else {
        TcpListener::bind(&options.listen)?
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}
