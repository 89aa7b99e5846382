//! The numbers of one route, with their handles kept: a request adds to atomics and looks nothing up.

use std::{sync::OnceLock, time::Duration};

use http::Method;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// Names of what we count. Each is described once, in [`describe`].
const REQUESTS: &str = "seaworthy_http_requests_total";
const DURATION: &str = "seaworthy_http_request_duration_seconds";
const IN_FLIGHT: &str = "seaworthy_http_requests_in_flight";

/// Upper bounds of the duration histogram, in seconds.
pub(crate) const DURATION_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "other"];
const STATUSES: usize = 500;

/// Counters of one status table, made when a method is first seen.
type Statuses = Box<[OnceLock<Counter>]>;

pub(crate) struct RouteMetrics {
    route: String,
    requests: [OnceLock<Statuses>; METHODS.len()],
    duration: Histogram,
    in_flight: Gauge,
}

impl RouteMetrics {
    pub(crate) fn new(route: &str) -> Self {
        Self {
            route: route.to_owned(),
            requests: [const { OnceLock::new() }; METHODS.len()],
            duration: histogram!(DURATION, "route" => route.to_owned()),
            in_flight: gauge!(IN_FLIGHT),
        }
    }

    pub(crate) fn begin(&self) {
        self.in_flight.increment(1.0);
    }

    pub(crate) fn end(&self, method: &Method, status: u16, duration: Duration) {
        self.in_flight.decrement(1.0);
        self.duration.record(duration.as_secs_f64());
        // A method of the client's own invention must not make a new series each time.
        let method = METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1);
        let empty = || (0..STATUSES).map(|_| OnceLock::new()).collect();
        let statuses = self.requests[method].get_or_init(empty);
        let Some(cell) = usize::from(status).checked_sub(100).and_then(|index| statuses.get(index)) else { return };
        let make = || {
            let labels =
                [("route", self.route.clone()), ("method", METHODS[method].into()), ("status", status.to_string())];
            counter!(REQUESTS, &labels)
        };
        cell.get_or_init(make).increment(1);
    }
}

/// Gives the metrics their help texts.
pub(crate) fn describe() {
    metrics::describe_counter!(REQUESTS, "Requests answered, by route, method and status (499: the client left).");
    metrics::describe_histogram!(DURATION, "Seconds from a request's head to the last byte of its answer.");
    metrics::describe_gauge!(IN_FLIGHT, "Requests that are being answered now.");
}
