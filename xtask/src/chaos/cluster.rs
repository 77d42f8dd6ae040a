//! The broker's server, a bad network before each instance, and the instances.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use realtime_testkit::{
    faults::{BadNetwork, Network},
    servers::{RedisOptions, RedisServer},
};
use tokio::runtime::Runtime;

use super::options::Broker;
use crate::{
    Result,
    testbed::{ADAPTERS, Server},
};

/// More than is published to a topic while an instance, or a client, is away.
const RETAIN: &str = "20000";

/// A server of some kind. Dropped, it is killed.
#[derive(Debug)]
enum BrokerServer {
    Redis(RedisServer),
}

/// All of it. Dropped, everything is killed.
#[derive(Debug)]
pub struct Cluster {
    binary: PathBuf,
    folder: PathBuf,
    // First, so that instances do not complain of a broker that is gone.
    instances: Vec<Option<Server>>,
    logs: Vec<PathBuf>,
    networks: Vec<BadNetwork>,
    broker: BrokerServer,
}

/// Where the instances listen, or did last.
#[derive(Debug)]
pub struct Addresses(Mutex<Vec<SocketAddr>>);

impl BrokerServer {
    /// One that keeps its data when it is killed.
    fn start(broker: Broker) -> Result<Self> {
        match broker {
            Broker::Redis => Ok(Self::Redis(RedisServer::with(RedisOptions::new().append_only()))),
            Broker::Nats | Broker::Kafka => Err(format!("no server for {} here", broker.name())),
        }
    }

    fn address(&self) -> SocketAddr {
        let port = match self {
            Self::Redis(server) => server.port(),
        };
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    /// What an instance is told, where `address` stands for the server.
    fn url(&self, address: SocketAddr) -> String {
        match self {
            Self::Redis(_) => format!("redis://{address}"),
        }
    }

    fn kill(&mut self) {
        match self {
            Self::Redis(server) => server.kill(),
        }
    }

    fn restart(&mut self) {
        match self {
            Self::Redis(server) => server.restart(),
        }
    }

    /// It loses all its data, and goes on.
    fn forget(&mut self) {
        match self {
            Self::Redis(server) => {
                server.call(&[b"FLUSHALL"]);
            }
        }
    }
}

impl Cluster {
    /// Starts all of it; the adapters take turns.
    pub fn start(
        broker: Broker,
        instances: usize,
        binary: &Path,
        folder: &Path,
        runtime: &Runtime,
    ) -> Result<Self> {
        let broker = BrokerServer::start(broker)?;
        let networks =
            (0..instances).map(|_| runtime.block_on(BadNetwork::to(broker.address()))).collect();
        let mut cluster = Self {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            instances: (0..instances).map(|_| None).collect(),
            logs: Vec::new(),
            networks,
            broker,
        };
        for instance in 0..instances {
            cluster.start_instance(instance)?;
        }
        Ok(cluster)
    }

    pub fn addresses(&self) -> Addresses {
        let running = self.instances.iter().flatten();
        Addresses(Mutex::new(running.map(Server::address).collect()))
    }

    /// Starts it, anew and on another port if it has run before; where it listens.
    pub fn start_instance(&mut self, instance: usize) -> Result<SocketAddr> {
        let adapter = ADAPTERS[instance % ADAPTERS.len()];
        let log = self.folder.join(format!("{instance}-{adapter}-{}.log", self.logs.len()));
        let url = self.broker.url(self.networks[instance].addr());
        let arguments = ["--broker", &url, "--prefix", "chaos", "--retain", RETAIN];
        let server = Server::start_with(&self.binary, adapter, &arguments, &[], &log)?;
        let address = server.address();
        self.instances[instance] = Some(server);
        self.logs.push(log);
        Ok(address)
    }

    /// Sends SIGKILL, and returns once it is gone.
    pub fn kill_instance(&mut self, instance: usize) {
        self.instances[instance] = None;
    }

    /// Sends SIGKILL, and returns once it is gone.
    pub fn kill_broker(&mut self) {
        self.broker.kill();
    }

    /// Starts it after it was killed, with the data that it has stored.
    pub fn restart_broker(&mut self) {
        self.broker.restart();
    }

    /// It loses all its data, and goes on.
    pub fn forget(&mut self) {
        self.broker.forget();
    }

    /// Resets the connections of these instances to the broker.
    pub fn cut(&self, instances: &[usize]) {
        instances.iter().for_each(|instance| self.networks[*instance].cut());
    }

    /// How the network between these instances and the broker is from now on.
    pub fn set(&self, instances: &[usize], network: Network) {
        instances.iter().for_each(|instance| self.networks[*instance].set(network));
    }

    pub fn logs(&self) -> &[PathBuf] {
        &self.logs
    }

    /// Asks all instances to end, and makes sure that they do.
    pub fn stop(&mut self) -> Vec<String> {
        let running = self.instances.iter_mut().filter_map(Option::take);
        running.filter_map(|server| server.stop().err()).collect()
    }
}

impl Addresses {
    pub fn of(&self, instance: usize) -> SocketAddr {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[instance]
    }

    pub fn set(&self, instance: usize, address: SocketAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[instance] = address;
    }
}
