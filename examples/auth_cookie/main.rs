//! Who logs in has a session cookie, and with it an event stream and a WebSocket:
//! `cargo run --example auth_cookie --features axum`, then open the address that it prints, in two
//! tabs.
//!
//! - `routes.rs`: what it takes on the library's side, the [`Authentication`](realtime::Authentication)
//!   by cookie included;
//! - `permissions.rs`: who may do what with which topic;
//! - `sessions.rs`, `users.rs`: what any web service with a login has, in its smallest form;
//! - `chat.rs`: the handler of the WebSocket.
#![forbid(unsafe_code)]

mod chat;
mod permissions;
mod routes;
mod sessions;
mod users;

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use realtime::{axum::serve, shutdown_signal};
use tokio::net::TcpListener;

const USAGE: &str = "\
Usage: auth_cookie [--listen ADDRESS]

  --listen ADDRESS  where to listen (default: 127.0.0.1:8080); port 0 takes a free one";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => run("127.0.0.1:8080").await,
        ["--listen", address] => run(address).await,
        ["--help" | "-h"] => writeln!(io::stdout(), "{USAGE}").map_err(Into::into),
        _ => Err("unknown arguments; --help tells more".into()),
    };
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    // There is nowhere left to tell that this failed.
    let _ = writeln!(io::stderr(), "auth_cookie: {error}");
    ExitCode::FAILURE
}

async fn run(address: &str) -> Result<(), Box<dyn Error>> {
    let app = routes::App::new()?;
    let hub = app.hub.clone();
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("can't listen on {address}: {error}"))?;
    writeln!(io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    serve(listener, &hub, routes::router(app), shutdown_signal(&hub)?).await?;
    Ok(())
}
