//! What the edge counts of requests over HTTP, as Prometheus takes it.

use network::{HttpSite, LATENCY_BOUNDS};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;
use std::fmt;

/// The counts of all sites at one moment.
#[derive(Debug)]
pub(crate) struct HttpMetrics(pub(crate) Vec<HttpSite>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    project: String,
    service: String,
    port: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabels {
    project: String,
    service: String,
    port: u32,
    class: String,
}

fn labels(site: &HttpSite) -> Labels {
    Labels {
        project: site.project.to_string(),
        service: site.service.to_string(),
        port: u32::from(site.port),
    }
}

impl HttpMetrics {
    fn counters(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        count: impl Fn(&HttpSite) -> u64,
    ) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for site in &self.0 {
            let labels = labels(site);
            let one = family.encode_family(&labels);
            one?.encode_counter::<NoLabelSet, u64, u64>(&count(site), None)?;
        }
        Ok(())
    }
}

impl Collector for HttpMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        let help = "Responses to requests over HTTP, by class of their status";
        let mut family =
            encoder.encode_descriptor("http_responses", help, None, MetricType::Counter)?;
        for site in &self.0 {
            let Labels { project, service, port } = labels(site);
            for (class, count) in site.http.classes.iter().enumerate() {
                let class = format!("{}xx", class + 1);
                let (project, service) = (project.clone(), service.clone());
                let labels = ClassLabels { project, service, port, class };
                let one = family.encode_family(&labels);
                one?.encode_counter::<NoLabelSet, u64, u64>(count, None)?;
            }
        }
        let failed = "Responses of the edge's own, because no replica gave one";
        self.counters(&mut encoder, "http_failures", failed, |site| site.http.failed)?;
        let resent = "Requests that were sent again after a connection failed";
        self.counters(&mut encoder, "http_resends", resent, |site| site.http.resent)?;
        let help = "Time to the head of the response";
        let mut family =
            encoder.encode_descriptor("http_latency_seconds", help, None, MetricType::Histogram)?;
        for site in &self.0 {
            let bounds = LATENCY_BOUNDS.iter().map(|ms| *ms as f64 / 1_000.0);
            let buckets: Vec<(f64, u64)> =
                bounds.chain([f64::INFINITY]).zip(site.http.latency.iter().copied()).collect();
            let sum = site.http.latency_micros as f64 / 1_000_000.0;
            let count = site.http.latency.iter().sum();
            let labels = labels(site);
            let one = family.encode_family(&labels);
            one?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    #[test]
    fn counts_are_printed_as_prometheus_reads_them() {
        let http = network::HttpCounts {
            classes: [0, 7, 0, 1, 2],
            latency: vec![1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7],
            latency_micros: 1_500_000,
            failed: 2,
            resent: 3,
        };
        let site = HttpSite {
            project: "shop".parse().expect("a name"),
            service: "web".parse().expect("a name"),
            port: 80,
            ejected: 0,
            counts: network::Counts::default(),
            http,
        };
        let mut registry = Registry::with_prefix("cluster");
        registry.register_collector(Box::new(HttpMetrics(vec![site])));
        let mut text = String::new();
        encode(&mut text, &registry).expect("a String takes everything");
        let whose = "project=\"shop\",service=\"web\",port=\"80\"";
        for line in [
            format!("cluster_http_responses_total{{{whose},class=\"2xx\"}} 7"),
            format!("cluster_http_failures_total{{{whose}}} 2"),
            format!("cluster_http_resends_total{{{whose}}} 3"),
            format!("cluster_http_latency_seconds_sum{{{whose}}} 1.5"),
            format!("cluster_http_latency_seconds_count{{{whose}}} 10"),
            format!("cluster_http_latency_seconds_bucket{{le=\"0.002\",{whose}}} 3"),
            format!("cluster_http_latency_seconds_bucket{{le=\"+Inf\",{whose}}} 10"),
        ] {
            assert!(text.contains(&line), "{line} is not in:\n{text}");
        }
    }
}
