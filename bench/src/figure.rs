//! Results as lines of JSON, which `bench/run` collects into the table.

use std::time::Duration;

use serde_json::{Value, json};

/// One number that a scenario found.
pub(crate) struct Figure {
    name: &'static str,
    value: f64,
    better: &'static str,
    goals: Vec<Value>,
}

impl Figure {
    /// A figure of which more is better.
    pub(crate) fn more(name: &'static str, value: f64) -> Self {
        Self { name, value, better: "more", goals: Vec::new() }
    }

    /// A figure of which less is better.
    pub(crate) fn less(name: &'static str, value: f64) -> Self {
        Self { name, value, better: "less", goals: Vec::new() }
    }

    /// Adds the goal to be `times` better than the better peer.
    pub(crate) fn goal_peer(mut self, times: f64) -> Self {
        self.goals.push(json!({"kind": "peer", "times": times}));
        self
    }

    /// Adds the goal to reach `share` of the bare relay.
    pub(crate) fn goal_relay(mut self, share: f64) -> Self {
        self.goals.push(json!({"kind": "relay", "times": share}));
        self
    }

    /// Adds the goal not to be worse than `value` itself.
    pub(crate) fn goal_value(mut self, value: f64) -> Self {
        self.goals.push(json!({"kind": "value", "value": value}));
        self
    }

    /// The line for `scenario` and `variant`.
    pub(crate) fn line(&self, scenario: &str, variant: &str) -> String {
        json!({
            "scenario": scenario, "variant": variant, "figure": self.name, "value": self.value,
            "better": self.better, "goals": self.goals,
        })
        .to_string()
    }
}

/// Returns the `share` (0 to 1) percentile of `times` in milliseconds, 0 without any.
pub(crate) fn percentile_ms(times: &mut [Duration], share: f64) -> f64 {
    if times.is_empty() {
        return 0.0;
    }
    let at = ((times.len() - 1) as f64 * share).round() as usize;
    let (_, found, _) = times.select_nth_unstable(at);
    found.as_secs_f64() * 1000.0
}
