//! Who has a token gets in, for as long as the token is valid:
//! `cargo run --example auth_token --features axum,jwt`, then open the address that it prints.
//!
//! A browser can't give a WebSocket an `Authorization` header. The page shows the two ways around
//! that, the subprotocol and the first message, the refresh before a token expires, and what happens
//! without.
//!
//! - `routes.rs`: what it takes on the library's side;
//! - `tokens.rs`: who issues tokens; in a real service that is often another one.
#![forbid(unsafe_code)]

mod routes;
mod tokens;

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use realtime::{axum::serve, shutdown_signal};
use tokens::Tokens;
use tokio::net::TcpListener;

const USAGE: &str = "\
Usage: auth_token [--listen ADDRESS] [--lifetime SECONDS]

  --listen ADDRESS    where to listen (default: 127.0.0.1:8080); port 0 takes a free one
  --lifetime SECONDS  how long a token is valid (default: 10)";

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match parse(std::env::args().skip(1)) {
        Ok(Some(options)) => run(options).await,
        Ok(None) => writeln!(io::stdout(), "{USAGE}").map_err(Into::into),
        Err(line) => Err(line.into()),
    };
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    // There is nowhere left to tell that this failed.
    let _ = writeln!(io::stderr(), "auth_token: {error}");
    ExitCode::FAILURE
}

struct Options {
    listen: String,
    lifetime: Duration,
}

/// Reads the arguments; nothing when help is wanted.
fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options =
        Options { listen: "127.0.0.1:8080".to_owned(), lifetime: Duration::from_secs(10) };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} wants a value"));
        match argument.as_str() {
            "--listen" => options.listen = value()?,
            "--lifetime" => {
                let seconds = value()?.parse().ok().filter(|seconds| (1..=3600).contains(seconds));
                let seconds = seconds.ok_or("--lifetime wants a number of seconds, 1 to 3600")?;
                options.lifetime = Duration::from_secs(seconds);
            }
            "--help" | "-h" => return Ok(None),
            other => return Err(format!("unknown argument {other:?}; --help tells more")),
        }
    }
    Ok(Some(options))
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let app = routes::App::new(Tokens::new(options.lifetime)?)?;
    let hub = app.hub.clone();
    let listener = TcpListener::bind(&options.listen)
        .await
        .map_err(|error| format!("can't listen on {}: {error}", options.listen))?;
    writeln!(io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    tokio::spawn(routes::tell_time(hub.clone()));
    serve(listener, &hub, routes::router(app), shutdown_signal(&hub)?).await?;
    Ok(())
}
