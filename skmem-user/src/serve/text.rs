//! Metrics as text: OpenMetrics 1.0, and Prometheus' own format 0.0.4, which node_exporter's
//! textfile collector and old scrapers read.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{self, DescriptorEncoder, EncodeMetric as _, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use super::{
    book::EXCESS_BOUNDS,
    families::{Family, Kind, Value},
};

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4.
    Prometheus,
}

impl Format {
    /// `Content-Type` of it.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The one that a client would rather have, by its `Accept`. Prometheus' own where it does not
    /// say, or takes neither.
    #[must_use]
    pub fn wanted(accept: &str) -> Self {
        let known = |kind: &str, version: &str| match kind {
            "application/openmetrics-text" if ["1.0.0", "0.0.1"].contains(&version) => {
                Some(Self::OpenMetrics)
            }
            "text/plain" | "text/*" | "*/*" => Some(Self::Prometheus),
            _ => None,
        };
        wanted(accept, known).unwrap_or(Self::Prometheus)
    }
}

/// What a client would rather have, by its `Accept`: of what is `known`, by type and version, the
/// first one of the highest quality.
pub(super) fn wanted<T>(accept: &str, known: impl Fn(&str, &str) -> Option<T>) -> Option<T> {
    let mut best = (0, None);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let mut quality = 1000;
        let mut version = "1.0.0";
        for part in parts {
            match part.split_once('=') {
                Some(("q", q)) => {
                    let q: f32 = q.trim().parse().unwrap_or(0.0);
                    quality = (q.clamp(0.0, 1.0) * 1000.0) as u32;
                }
                Some(("version", v)) => version = v.trim().trim_matches('"'),
                _ => {}
            }
        }
        if quality > best.0
            && let Some(found) = known(kind, version)
        {
            best = (quality, Some(found));
        }
    }
    best.1
}

/// All of it as text.
#[must_use]
pub fn text(families: Vec<Family>, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(families)));
    let mut out = String::new();
    let written = match format {
        Format::OpenMetrics => encoding::text::encode(&mut out, &registry),
        Format::Prometheus => encoding::prometheus_text::encode(&mut out, &registry),
    };
    // Writing into a String has no error.
    debug_assert!(written.is_ok());
    out
}

#[derive(Debug)]
struct Families(Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for Family { metric, samples } in &self.0 {
            let unit = match metric.unit {
                "" => None,
                "bytes" => Some(Unit::Bytes),
                "seconds" => Some(Unit::Seconds),
                other => Some(Unit::Other(other.to_owned())),
            };
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Info => MetricType::Info,
                Kind::Histogram => MetricType::Histogram,
            };
            let help = metric.full_help();
            let mut described =
                encoder.encode_descriptor(metric.name, &help, unit.as_ref(), kind)?;
            for sample in samples {
                if metric.kind == Kind::Info {
                    described.encode_info(&sample.labels)?;
                    continue;
                }
                let one = described.encode_family(&sample.labels)?;
                match (&sample.value, metric.kind) {
                    (Value::Count(n), Kind::Counter) => ConstCounter::new(*n).encode(one)?,
                    (Value::Seconds(n), Kind::Counter) => ConstCounter::new(*n).encode(one)?,
                    (Value::Count(n), _) => ConstGauge::new(*n).encode(one)?,
                    (Value::Signed(n), _) => ConstGauge::new(*n).encode(one)?,
                    (Value::Seconds(n), _) => ConstGauge::new(*n).encode(one)?,
                    (Value::Excess(excess), _) => {
                        let bounds = EXCESS_BOUNDS.iter().map(|bound| f64::from(*bound));
                        let bounds = bounds.chain([f64::INFINITY]);
                        let buckets: Vec<_> = bounds.zip(excess.counts).collect();
                        let count = excess.counts.iter().sum();
                        let mut one = one;
                        one.encode_histogram::<NoLabelSet>(
                            excess.sum as f64,
                            count,
                            &buckets,
                            None,
                        )?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::{
        book::{
            Book,
            tests::{account, who},
        },
        families::{FIXED, Machine, Tracing, families},
    };

    fn book() -> Book {
        let mut book = Book::new(1000, FIXED);
        book.begin();
        book.account(&account(1, 5_000, 100), &who("a \"web\"\\\n1"), 1);
        book.end(|_| true);
        book
    }

    #[test]
    fn both_formats_say_the_same() {
        let machine = Machine {
            tracing: Some(Tracing::default()),
            version: "1".into(),
            ..Machine::default()
        };
        let families = families(&book(), &machine);
        let open = text(families.clone(), Format::OpenMetrics);
        let old = text(families.clone(), Format::Prometheus);
        let line = "skmem_wmem_queued_added_bytes_total{comm=\"a \\\"web\\\"\\\\\\n1\",cause=\"first-fill\"} 5000\n";
        assert!(open.contains(line), "{open}");
        assert!(old.contains(line), "{old}");
        assert!(
            open.contains("# TYPE skmem_wmem_queued_added_bytes counter\n"),
            "{open}"
        );
        assert!(
            open.contains("# UNIT skmem_wmem_queued_added_bytes bytes\n"),
            "{open}"
        );
        assert!(
            old.contains("# TYPE skmem_wmem_queued_added_bytes_total counter\n"),
            "{old}"
        );
        assert!(
            open.ends_with("# EOF\n") && !old.contains("# EOF"),
            "{open}"
        );
        assert!(
            open.contains("skmem_excess_bytes_bucket{le=\"4096.0\"} 1\n"),
            "{open}"
        );
        assert!(open.contains("skmem_build_info{version=\"1\""), "{open}");
        let samples = |text: &str| {
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            let mut lines: Vec<String> = lines.map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(samples(&open).len(), samples(&old).len());
    }

    #[test]
    fn a_client_gets_what_it_would_rather_have() {
        // Prometheus 3 and 2.
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                          application/openmetrics-text;version=0.0.1;q=0.5,\
                          text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                          text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(Format::wanted(prometheus), Format::OpenMetrics);
        for old in ["", "*/*", "text/plain", "text/html", "image/png, */*;q=0.1"] {
            assert_eq!(Format::wanted(old), Format::Prometheus, "{old}");
        }
        let rather_plain = "application/openmetrics-text;version=1.0.0;q=0.2, text/plain;q=0.9";
        assert_eq!(Format::wanted(rather_plain), Format::Prometheus);
        let future = "application/openmetrics-text;version=9.0.0";
        assert_eq!(Format::wanted(future), Format::Prometheus);
    }

    /// Each metric that there is, with each cause.
    #[cfg(feature = "outside-tests")]
    fn everything() -> Vec<Family> {
        use skmem_common::{
            account::Account,
            cause::{Cause, LimitCause, Tier},
            receive_cause::ReceiveCause,
        };

        use crate::{
            diag::TcpState,
            serve::families::{Flight, Tripwire},
            snapshot::Row,
            testing::rows::{mem, socket},
        };
        let mut account = Box::new(Account::EMPTY);
        account.ident.id = 1;
        let tier = Tier::Observed;
        account.receiving.ledger.started = 1;
        account.ledger.limit(LimitCause::AutotunedUp, tier, 9, 1);
        account.blocked.reasons = [1; 3];
        account.blocked.reason_ns = [1; 3];
        account.blocked.holders.fill(1);
        (account.blocked.refusals, account.blocked.short_writes) = (1, 1);
        account.scheduled.refused = 1;
        let mut book = Book::new(10_000, FIXED);
        book.begin();
        // Up at one look, down at the next.
        for bytes in [1000, -2000] {
            for cause in Cause::ALL {
                account.ledger.book(*cause as u8, tier as u8, bytes, 1);
            }
            for cause in ReceiveCause::ALL {
                account.receiving.ledger.total[*cause as usize].bytes += i64::from(bytes);
            }
            book.account(&account, &who("web"), 1);
        }
        let row = Row::new(&socket(TcpState::Established, mem(5, 1, 2, 10)), 7);
        book.row(&row, &who("web"));
        book.end(|_| true);
        let machine = Machine {
            account: Some(crate::snapshot::account::tests::empty()),
            tracing: Some(Tracing::default()),
            flight: Some(Flight::default()),
            tripwire: Some(Tripwire::default()),
            ..Machine::default()
        };
        families(&book, &machine)
    }

    #[test]
    #[cfg(feature = "outside-tests")]
    fn promtool_finds_nothing_wrong() {
        use std::{
            io::Write as _,
            process::{Command, Stdio},
        };
        let promtool = std::env::var("SKMEM_TEST_PROMTOOL")
            .expect("`cargo xtask test --host` fetches promtool and names it");
        let mut child = Command::new(promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let text = text(everything(), Format::Prometheus);
        assert!(text.lines().count() > 150, "{text}");
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
}
