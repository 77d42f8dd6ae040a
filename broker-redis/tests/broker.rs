//! Redis under the bridge is a broker.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "test code")]

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use realtime_core::{Hub, Retention};
use realtime_redis::{Options, Redis};
use realtime_testkit::{
    brokers::{Cluster, faults::Failing},
    servers::{RedisOptions, RedisServer},
};

struct Server(Mutex<RedisServer>);

impl Server {
    fn with<R>(&self, act: impl FnOnce(&mut RedisServer) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn hub(url: &str, options: Options, prefix: &str, retention: Retention) -> Hub {
    let redis = Redis::connect(url).expect("a URL").prefix(prefix).expect("a prefix");
    let broker = redis.options(|it| *it = options);
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

    fn hub_by(&self, addr: SocketAddr, deadline: Duration, prefix: &str, retention: Retention) -> Hub {
        let mut options = Options::default();
        (options.publish_deadline, options.request_deadline) = (deadline, deadline);
        options.heartbeat = deadline / 4;
        hub(&format!("redis://{addr}"), options, prefix, retention)
    }

    async fn kill(&self) {
        self.with(RedisServer::kill);
    }

    async fn restart(&self) {
        self.with(RedisServer::restart);
    }

    async fn forget(&self) {
        self.with(|server| server.call(&[b"FLUSHALL"]));
    }
}

async fn server() -> Server {
    Server(Mutex::new(RedisServer::with(RedisOptions::new().append_only())))
}

mod suite {
    realtime_testkit::broker_suite!(start: super::server);
}

mod faults {
    realtime_testkit::broker_faults!(start: super::server);
}
