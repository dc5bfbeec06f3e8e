"""The kinds of panel that the dashboard has: how each looks is said once, what it shows is said by its row."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as commons
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
RUNBOOKS = "${docs}/runbooks/"

OF = 'job=~"$job", ledger=~"$ledger", instance=~"$instance"'
"""Label matchers of every expression: the processes that are looked at."""
OF_LICENSE = f'{OF}, license=~"$license"'
"""The same for metrics with a license."""

Panel = bargauge.Panel | stat.Panel | statetimeline.Panel | table.Panel | timeseries.Panel
Steps = Sequence[tuple[float | None, str]]
"""Colors with the value from which each holds, None for the first."""

NEUTRAL: Steps = ((None, "blue"),)
GOOD_AT_ONE: Steps = ((None, "red"), (1, "green"))
BAD_FROM_ONE: Steps = ((None, "green"), (1, "red"))
LIMIT_USED: Steps = ((None, "green"), (0.5, "yellow"), (0.8, "orange"), (0.95, "red"))
"""Where the alerts on users begin."""


class Query(NamedTuple):
    """An expression and how its series are called."""

    expr: str
    legend: str = ""


def share(part: str, whole: str) -> str:
    """Return the expression of a share that is no number, and so no point, where the whole is nothing."""
    return f"{part} / ({whole} > 0)"


def quantiles(metric: str, by: str = "") -> list[Query]:
    """Return the median and the 99th percentile of a histogram, over all processes."""
    labels, called = (f"le, {by}", f"{{{{{by}}}}} ") if by else ("le", "")
    buckets = f"sum by ({labels}) (rate({metric}_bucket{{{OF}}}[$__rate_interval]))"
    return [Query(f"histogram_quantile({rank}, {buckets})", f"{called}p{rank * 100:.0f}") for rank in (0.5, 0.99)]


def curves(
    title: str,
    text: str,
    unit: str,
    queries: Iterable[Query],
    *,
    span: int = 8,
    steps: Steps = NEUTRAL,
    stacked: bool = False,
    events: bool = False,
    logarithmic: bool = False,
    most: float | None = None,
    runbook: str = "",
) -> timeseries.Panel:
    """Return curves over time. ``stacked`` ones add up; ``events`` are counted in each interval
    and stand on each other as bars.

    ``steps`` are drawn as lines at their values.
    """
    legend = common.VizLegendOptions().display_mode(commons.LegendDisplayMode.TABLE)
    legend.placement(commons.LegendPlacement.BOTTOM).show_legend(True).calcs(["lastNotNull", "max"])
    tooltip = common.VizTooltipOptions().mode(commons.TooltipDisplayMode.MULTI).sort(commons.SortOrder.DESCENDING)
    panel = timeseries.Panel().legend(legend).tooltip(tooltip).show_points(commons.VisibilityMode.NEVER)
    panel.line_width(1).line_interpolation(commons.LineInterpolation.LINEAR)
    panel.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
    if events:
        panel.draw_style(commons.GraphDrawStyle.BARS).interval("1m")
    if stacked or events:
        panel.fill_opacity(40).stacking(common.StackingConfig().mode(commons.StackingMode.NORMAL).group("A"))
    if logarithmic:
        panel.scale_distribution(common.ScaleDistributionConfig().type(commons.ScaleDistribution.LOG).log(10))
    else:
        panel.min(0)
    if most is not None:
        panel.max(most)
    if len(steps) > 1:
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(commons.GraphTresholdsStyleMode.DASHED))
    return _finish(panel, title, text, unit, [_range(query) for query in queries], span, 8, steps, runbook)


def number(
    title: str,
    text: str,
    unit: str,
    expr: str,
    *,
    legend: str = "",
    steps: Steps = NEUTRAL,
    none: str = "no data",
    span: int = 3,
    height: int = 4,
    runbook: str = "",
) -> stat.Panel:
    """Return the last value as a big number; ``none`` is what stands there while the expression gives nothing."""
    panel = stat.Panel().color_mode(commons.BigValueColorMode.VALUE).graph_mode(commons.BigValueGraphMode.NONE)
    panel.no_value(none).reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    panel.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
    return _finish(panel, title, text, unit, [_now(Query(expr, legend))], span, height, steps, runbook)


def bars(
    title: str,
    text: str,
    unit: str,
    queries: Iterable[Query],
    *,
    steps: Steps = NEUTRAL,
    none: str = "no data",
    span: int = 8,
    most: float | None = None,
    runbook: str = "",
) -> bargauge.Panel:
    """Return last values as horizontal bars, up to ``most``."""
    panel = bargauge.Panel().orientation(commons.VizOrientation.HORIZONTAL).min(0).no_value(none)
    panel.display_mode(commons.BarGaugeDisplayMode.BASIC).show_unfilled(True)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    panel.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
    if most is not None:
        panel.max(most)
    return _finish(panel, title, text, unit, [_now(query) for query in queries], span, 8, steps, runbook)


def states(
    title: str,
    text: str,
    queries: Iterable[Query],
    words: Mapping[int, tuple[str, str]],
    *,
    span: int = 12,
    runbook: str = "",
) -> statetimeline.Panel:
    """Return bands over time: ``words`` are the text and color of each value."""
    panel = statetimeline.Panel().show_value(commons.VisibilityMode.AUTO).merge_values(True).row_height(0.8)
    panel.legend(common.VizLegendOptions().show_legend(False)).fill_opacity(70).line_width(0)
    texts = {
        str(value): models.ValueMappingResult(text=word, color=color, index=at)
        for at, (value, (word, color)) in enumerate(words.items())
    }
    panel.mappings([models.ValueMap(options=texts)])
    steps = [(None if at == 0 else value, color) for at, (value, (_, color)) in enumerate(sorted(words.items()))]
    panel.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
    return _finish(panel, title, text, "none", [_range(query) for query in queries], span, 8, steps, runbook)


def rows(
    title: str,
    text: str,
    unit: str,
    expr: str,
    *,
    hidden: Iterable[str] = (),
    names: Mapping[str, str] | None = None,
    steps: Steps = NEUTRAL,
    none: str = "none",
    span: int = 8,
    height: int = 8,
    runbook: str = "",
) -> table.Panel:
    """Return a table with a row for each series, its labels as columns; ``names`` are other names of columns."""
    shown = {"excludeByName": dict.fromkeys(["Time", *hidden], True), "renameByName": dict(names or {})}
    panel = (
        table.Panel().no_value(none).with_transformation(models.DataTransformerConfig(id_val="organize", options=shown))
    )
    target = _now(Query(expr)).format(PromQueryFormat.TABLE)
    return _finish(panel, title, text, unit, [target], span, height, steps, runbook)


def _range(query: Query) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(query.expr).legend_format(query.legend).range().datasource(DATASOURCE)


def _now(query: Query) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(query.expr).legend_format(query.legend).instant().datasource(DATASOURCE)


def _finish(
    panel: Any,
    title: str,
    text: str,
    unit: str,
    targets: Sequence[Any],
    span: int,
    height: int,
    steps: Steps,
    runbook: str,
) -> Any:
    scale = dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE)
    scale.steps([models.Threshold(value=value, color=color) for value, color in steps])
    panel.title(title).description(text).unit(unit).datasource(DATASOURCE).span(span).height(height).thresholds(scale)
    for name, target in zip("ABCDEFGH", targets, strict=False):
        panel.with_target(target.ref_id(name))
    if runbook:
        anchor = f"{RUNBOOKS}#{runbook.lower()}"
        panel.links(
            [
                dashboard.DashboardLink(f"Runbook: {runbook}")
                .type(models.DashboardLinkType.LINK)
                .url(anchor)
                .target_blank(True)
            ]
        )
    return panel
