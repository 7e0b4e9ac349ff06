//! Tests the metrics with a recorder of the test's own. Other tests of the process record as
//! well, so only the metrics of the caches of this test are looked at.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

use super::world::{Manner, World, wait_until};

/// The values by name and labels; of a histogram, the number of observations.
type Recorded = Arc<Mutex<BTreeMap<String, f64>>>;

struct Memory {
    recorded: Recorded,
    described: Mutex<Vec<String>>,
}

struct Metric {
    key: String,
    recorded: Recorded,
}

impl Metric {
    fn update(&self, update: impl FnOnce(&mut f64)) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        update(recorded.entry(self.key.clone()).or_default());
    }
}

impl CounterFn for Metric {
    fn increment(&self, by: u64) {
        self.update(|value| *value += by as f64);
    }

    fn absolute(&self, now: u64) {
        self.update(|value| *value = now as f64);
    }
}

impl GaugeFn for Metric {
    fn increment(&self, by: f64) {
        self.update(|value| *value += by);
    }

    fn decrement(&self, by: f64) {
        self.update(|value| *value -= by);
    }

    fn set(&self, now: f64) {
        self.update(|value| *value = now);
    }
}

impl HistogramFn for Metric {
    fn record(&self, _: f64) {
        self.update(|value| *value += 1.0);
    }
}

impl Memory {
    fn metric(&self, key: &Key) -> Arc<Metric> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let key = format!("{}{{{}}}", key.name(), labels.join(","));
        Arc::new(Metric { key, recorded: self.recorded.clone() })
    }

    fn describe(&self, name: &KeyName) {
        self.described.lock().unwrap_or_else(PoisonError::into_inner).push(name.as_str().to_owned());
    }
}

impl Recorder for &'static Memory {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&name);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.metric(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.metric(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.metric(key))
    }
}

#[test]
fn metrics_are_recorded() {
    let memory: &'static Memory =
        Box::leak(Box::new(Memory { recorded: Recorded::default(), described: Mutex::default() }));
    metrics::set_global_recorder(memory).map_err(|_| "the process has a recorder").unwrap();
    let of =
        |metric: &str| memory.recorded.lock().unwrap_or_else(PoisonError::into_inner).get(metric).copied();
    let is = |metric: &str, value: f64| {
        wait_until(&format!("{metric} is {value}"), || of(metric) == Some(value));
    };

    let world = World::new(&["metered", "other_metered"]);
    let buster = world.builder(Duration::from_secs(1)).start().unwrap();
    let cache = buster.cache("metered").unwrap();
    let values = cache.values::<u64>("v", 1).unwrap().shared();
    (0..5).for_each(|_| drop(values.get_or_insert_with("k", || 1)));
    cache.values::<u64>("v", 1).unwrap().shared().get_or_insert_with("k", || unreachable!("it is shared"));
    assert!(values.get_or_try_insert_with("l", || Err(())).is_err());
    let both = buster.values_of::<u64>(&["metered", "other_metered"], "v", 1).unwrap();
    (0..2).for_each(|_| drop(both.get_or_insert_with("k", || 1)));

    is("bustard.cache.lookups{cache=metered,result=hit}", 5.0);
    is("bustard.cache.lookups{cache=metered,result=shared_hit}", 1.0);
    is("bustard.cache.lookups{cache=metered,result=miss}", 3.0);
    is("bustard.cache.lookups{cache=other_metered,result=hit}", 1.0);
    is("bustard.cache.loads{cache=metered,result=ok}", 2.0);
    is("bustard.cache.loads{cache=metered,result=error}", 1.0);
    is("bustard.cache.load.duration{cache=metered}", 3.0);
    for _ in 0..3 {
        world.invalidate("metered");
    }
    is("bustard.invalidations{cache=metered}", 3.0);
    assert_eq!(of("bustard.invalidations{cache=other_metered}"), None);
    assert!(of("bustard.refresh.age{}").is_some() && of("bustard.refresh.caches{}").is_some());
    let errors = || of("bustard.refresh.errors{}").unwrap_or_default();
    let before = errors();
    world.set(|state| state.looking = Manner::Fails);
    wait_until("failures are counted", || errors() > before);
    world.set(|state| state.looking = Manner::Well);

    // The page has each metric that is described, and no other one.
    let page = include_str!("../../../docs/metrics.md");
    let mut described = memory.described.lock().unwrap().clone();
    described.sort();
    described.dedup();
    let documented: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| `bustard.")).collect();
    let mut documented: Vec<String> =
        documented.iter().map(|rest| format!("bustard.{}", rest.split('`').next().unwrap())).collect();
    documented.sort();
    assert_eq!(documented, described);
    let recorded = memory.recorded.lock().unwrap();
    for name in recorded.keys().map(|key| key.split('{').next().unwrap()) {
        assert!(described.iter().any(|described| described == name), "{name} is not described");
    }
}
