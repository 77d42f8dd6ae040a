//! The command line.

pub(crate) const USAGE: &str = "\
Usage: demo [--adapter axum|actix|hyper] [--listen ADDRESS]

  --adapter NAME    the framework to serve with, one of those compiled in (default: the first)
  --listen ADDRESS  where to listen (default: 127.0.0.1:8080); port 0 takes a free one";

/// The adapters compiled in.
const ADAPTERS: &[&str] = &[
    #[cfg(feature = "axum")]
    "axum",
    #[cfg(feature = "actix")]
    "actix",
    #[cfg(feature = "hyper")]
    "hyper",
];

pub(crate) enum Command {
    Serve(Options),
    Help,
}

pub(crate) struct Options {
    pub(crate) adapter: &'static str,
    pub(crate) listen: String,
}

impl Command {
    /// Reads the arguments after the program's name.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut adapter = None;
        let mut listen = "127.0.0.1:8080".to_owned();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} wants a value"));
            match argument.as_str() {
                "--adapter" => adapter = Some(value()?),
                "--listen" => listen = value()?,
                "--help" | "-h" => return Ok(Self::Help),
                other => return Err(format!("unknown argument {other:?}; --help tells more")),
            }
        }
        Ok(Self::Serve(Options { adapter: compiled_in(adapter.as_deref())?, listen }))
    }
}

/// The adapter `wanted`, or the first one.
fn compiled_in(wanted: Option<&str>) -> Result<&'static str, String> {
    let found = ADAPTERS.iter().find(|adapter| wanted.is_none_or(|wanted| wanted == **adapter));
    found.copied().ok_or_else(|| match wanted {
        Some(wanted @ ("axum" | "actix" | "hyper")) => {
            format!("the adapter {wanted} is not compiled in: build with `--features {wanted}`")
        }
        Some(wanted) => format!("no adapter {wanted:?}: there are axum, actix and hyper"),
        None => "no adapter is compiled in: build with `--features axum`".to_owned(),
    })
}
