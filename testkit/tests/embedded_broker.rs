//! The embedded broker passes the suite of brokers.

use realtime_testkit::brokers::embedded::Embedded;

async fn cluster() -> Embedded {
    Embedded::default()
}

realtime_testkit::broker_suite!(start: cluster);
