//! NATS under the bridge is a broker.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "test code")]

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use realtime_core::{Hub, Retention};
use realtime_nats::{Nats, Options};
use realtime_testkit::{
    brokers::{Cluster, faults::Failing},
    servers::{NatsBinary, NatsServer},
};

struct Server(Mutex<NatsServer>);

impl Server {
    fn with<R>(&self, act: impl FnOnce(&mut NatsServer) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn hub(url: &str, options: Options, prefix: &str, retention: Retention) -> Hub {
    let nats = Nats::connect(url).expect("a URL").prefix(prefix).expect("a prefix");
    let broker = nats.options(|it| *it = options);
    Hub::builder().retention(retention).broker(broker).build().expect("a runtime")
}

impl Cluster for Server {
    fn hub(&self, prefix: &str, retention: Retention) -> Hub {
        hub(&self.with(|server| server.url()), Options::default(), prefix, retention)
    }
}

impl Failing for Server {
    fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.with(|server| server.port())))
    }

    fn hub_by(
        &self,
        addr: SocketAddr,
        deadline: Duration,
        prefix: &str,
        retention: Retention,
    ) -> Hub {
        let mut options = Options::default();
        (options.publish_deadline, options.request_deadline) = (deadline, deadline);
        options.heartbeat = deadline / 4;
        hub(&format!("nats://{addr}"), options, prefix, retention)
    }

    async fn kill(&self) {
        self.with(NatsServer::kill);
    }

    async fn restart(&self) {
        self.with(NatsServer::restart);
    }

    async fn forget(&self) {
        self.with(NatsServer::forget);
    }
}

async fn shipped() -> Server {
    Server(Mutex::new(NatsServer::start(NatsBinary::Shipped)))
}

async fn current() -> Server {
    Server(Mutex::new(NatsServer::start(NatsBinary::Current)))
}

mod suite {
    mod shipped {
        realtime_testkit::broker_suite!(start: super::super::shipped);
    }

    mod current {
        realtime_testkit::broker_suite!(start: super::super::current);
    }
}

mod faults {
    mod shipped {
        realtime_testkit::broker_faults!(start: super::super::shipped);
    }

    mod current {
        realtime_testkit::broker_faults!(start: super::super::current);
    }
}
