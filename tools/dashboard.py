"""Writes ops/grafana/headrace.json: `python -m tools.dashboard`. It is declared here, by Grafana's own SDK."""

from __future__ import annotations

from pathlib import Path

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef

TARGET = Path(__file__).parents[1] / "ops" / "grafana" / "headrace.json"
_SOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")
_SECONDS = "sum by (endpoint, le) (rate(headrace_request_seconds_bucket[5m]))"
_FAILING = "headrace_up_failing_since_timestamp_seconds"

# A row of the dashboard: its panels by title, each with its unit and its queries by legend.
Panels = dict[str, tuple[str, dict[str, str]]]

ROWS: dict[str, Panels] = {
    "Answers": {
        "Requests a second": (
            "reqps",
            {"{{endpoint}} {{status}}": "sum by (endpoint, status) (rate(headrace_requests_total[5m]))"},
        ),
        "Latency": (
            "s",
            {
                "{{endpoint}} p50": f"histogram_quantile(0.5, {_SECONDS})",
                "{{endpoint}} p99": f"histogram_quantile(0.99, {_SECONDS})",
            },
        ),
        "Rows by version": (
            "rowsps",
            {"{{endpoint}} {{version}}": "sum by (endpoint, version) (rate(headrace_predictions_total[5m]))"},
        ),
        "Mean score by version": (
            "none",
            {
                "{{endpoint}} {{version}}": "sum by (endpoint, version) (rate(headrace_version_scores[5m]))"
                " / sum by (endpoint, version) (rate(headrace_predictions_total[5m]))"
            },
        ),
        "Requests that wait": ("short", {"{{instance}}": "sum by (instance) (headrace_waiting_requests)"}),
        "Rows in a batch, p95": (
            "short",
            {"rows": "histogram_quantile(0.95, sum by (le) (rate(headrace_batch_rows_bucket[5m])))"},
        ),
        "Age of the newest feature row": ("s", {"{{endpoint}} {{view}}": "headrace_feature_age_seconds"}),
        "Unknown categories a second": (
            "short",
            {"{{endpoint}} {{field}}": "sum by (endpoint, field) (rate(headrace_unknown_categories_total[5m]))"},
        ),
        "Failures and writes refused": (
            "short",
            {
                "{{endpoint}} failed": "sum by (endpoint) (rate(headrace_version_failures_total[5m]))",
                "{{instance}} log": "headrace_log_failures",
            },
        ),
    },
    "Models": {
        "Monitors that alert": ("short", {"{{monitor}}": 'headrace_up_monitor_state{state="alert"}'}),
        "What monitors measure": ("none", {"{{monitor}} {{measure}}": "headrace_up_monitor_value"}),
        "Share of a new version": ("percentunit", {"{{endpoint}}": "headrace_up_rollout_share"}),
    },
    "Data": {
        "Rows": ("short", {"{{table}}": "headrace_up_rows"}),
        "Rows set aside": ("short", {"{{table}}": "headrace_up_rows_quarantined"}),
        "Since a source held something new": (
            "s",
            {"{{source}}": "time() - headrace_up_source_changed_timestamp_seconds"},
        ),
        "Since a source could be observed": (
            "s",
            {
                "{{source}}": (
                    "(time() - headrace_up_source_failing_since_timestamp_seconds)"
                    " * (headrace_up_source_failing_since_timestamp_seconds > bool 0)"
                )
            },
        ),
    },
    "Work": {
        "Applies an hour": ("short", {"{{outcome}}": "sum by (outcome) (increase(headrace_up_applies_total[1h]))"}),
        "Seconds of an apply, p90": (
            "s",
            {"seconds": "histogram_quantile(0.9, sum by (le) (rate(headrace_up_apply_seconds_bucket[1h])))"},
        ),
        "Steps under way, signals that wait": (
            "short",
            {"steps": "headrace_up_leases_held", "signals": "headrace_up_signals_waiting"},
        ),
        "Processes replaced": ("short", {"{{child}}": "increase(headrace_up_child_restarts_total[1h])"}),
        "Notices": (
            "short",
            {"{{channel}} {{outcome}}": "sum by (channel, outcome) (increase(headrace_up_notices_total[1h]))"},
        ),
    },
}
AGES = {
    "Loop turned": "time() - headrace_up_heartbeat_timestamp_seconds",
    "Last good apply": "time() - headrace_up_last_success_timestamp_seconds",
    "Failing for": f"(time() - {_FAILING}) * ({_FAILING} > bool 0)",
}
INFO = "headrace_up_info"


def built() -> str:
    """The dashboard as Grafana imports it."""
    board = (
        dashboard.Dashboard("Headrace")
        .uid("headrace")
        .tags(["headrace"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    board = board.with_row(dashboard.Row("Supervisor"))
    version = prometheus.Dataquery().expr(INFO).legend_format("{{environment}} {{version}}").ref_id("A")
    board = board.with_panel(
        stat.Panel().title("Looks after").datasource(_SOURCE).with_target(version).span(6).height(4)
    )
    for title, expression in AGES.items():
        query = prometheus.Dataquery().expr(expression).legend_format("{{instance}}").ref_id("A")
        panel = stat.Panel().title(title).datasource(_SOURCE).unit("s").with_target(query).span(6).height(4)
        board = board.with_panel(panel)
    for name, panels in ROWS.items():
        board = board.with_row(dashboard.Row(name))
        for title, (unit, queries) in panels.items():
            board = board.with_panel(_panel(title, unit, queries))
    return str(JSONEncoder(sort_keys=True, indent=2).encode(board.build())) + "\n"


def _panel(title: str, unit: str, queries: dict[str, str]) -> timeseries.Panel:
    panel = timeseries.Panel().title(title).unit(unit).datasource(_SOURCE).span(8).height(8)
    for number, (legend, expression) in enumerate(queries.items()):
        query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(chr(ord("A") + number))
        panel = panel.with_target(query)
    return panel


if __name__ == "__main__":
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(built(), encoding="utf-8")
