//! Which broker, how long, with which seed.

use std::time::{Duration, SystemTime};

use crate::Result;

/// The server between the instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broker {
    Redis,
    Nats,
    Kafka,
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    pub broker: Broker,
    /// How long faults are made.
    pub time: Duration,
    pub seed: u64,
    pub instances: usize,
    pub clients: usize,
    /// Whether the broker loses its data now and then.
    pub forget: bool,
}

/// Shorter, and not every kind of fault has its turn.
const LEAST: u64 = 10;
/// More has no use on one machine.
const MOST_INSTANCES: u64 = 16;
/// As many as there may be descriptors for everywhere.
const MOST_CLIENTS: u64 = 700;

impl Options {
    pub fn parse(arguments: &[&str]) -> Result<Self> {
        let (mut broker, mut seed, mut forget) = (None, None, false);
        let (mut seconds, mut instances, mut clients) = (60, 3, 300);
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            let mut value = || {
                arguments.next().copied().ok_or_else(|| format!("`{name}` needs a value after it"))
            };
            match *name {
                "--broker" => broker = Some(Broker::named(value()?)?),
                "--seconds" => seconds = number(name, value()?, LEAST, u64::MAX)?,
                "--seed" => seed = Some(number(name, value()?, 0, u64::MAX)?),
                "--instances" => instances = number(name, value()?, 1, MOST_INSTANCES)?,
                "--clients" => clients = number(name, value()?, 1, MOST_CLIENTS)?,
                "--forget" => forget = true,
                other => {
                    return Err(format!(
                        "unknown option `{other}`; chaos knows --broker, --seconds, --seed, --instances, \
                         --clients and --forget"
                    ));
                }
            }
        }
        Ok(Self {
            broker: broker.ok_or("chaos needs `--broker redis`")?,
            time: Duration::from_secs(seconds),
            seed: seed.unwrap_or_else(any_seed),
            instances: instances as usize,
            clients: clients as usize,
            forget,
        })
    }
}

impl Broker {
    fn named(name: &str) -> Result<Self> {
        match name {
            "redis" => Ok(Self::Redis),
            "nats" => Ok(Self::Nats),
            "kafka" => Ok(Self::Kafka),
            other => Err(format!("`--broker` is one of redis, nats, kafka, not `{other}`")),
        }
    }

    /// Whether its server can be started here.
    pub fn is_built(self) -> Result {
        match self {
            Self::Redis => Ok(()),
            Self::Nats | Self::Kafka => Err(format!(
                "chaos with {} is not built yet; it knows `--broker redis`",
                self.name()
            )),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Nats => "nats",
            Self::Kafka => "kafka",
        }
    }
}

fn number(name: &str, value: &str, least: u64, most: u64) -> Result<u64> {
    let number = value.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| match most {
        u64::MAX => format!("`{name}` takes a number from {least}, not `{value}`"),
        _ => format!("`{name}` takes a number from {least} to {most}, not `{value}`"),
    })
}

/// Another one each time, short enough to be typed.
fn any_seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64 % 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_the_help_says() {
        let options = Options::parse(&["--broker", "redis", "--seed", "7"]).expect("valid");
        assert_eq!(
            options,
            Options {
                broker: Broker::Redis,
                time: Duration::from_secs(60),
                seed: 7,
                instances: 3,
                clients: 300,
                forget: false
            }
        );
    }

    #[test]
    fn mistakes_are_told() {
        let told = |arguments: &[&str]| Options::parse(arguments).expect_err("a mistake");
        assert!(told(&[]).contains("--broker redis"));
        assert!(Broker::Kafka.is_built().is_err_and(|told| told.contains("not built yet")));
        assert!(told(&["--broker", "zeromq"]).contains("redis, nats, kafka"));
        assert!(told(&["--broker", "redis", "--seconds", "3"]).contains("from 10"));
        assert!(told(&["--clients", "0"]).contains("from 1 to 700"));
        assert!(told(&["--seed"]).contains("needs a value"));
        assert!(told(&["--loud"]).contains("unknown option"));
    }
}
