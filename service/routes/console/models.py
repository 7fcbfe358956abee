"""Model versions: how good each is, whether the gate let it pass, and which one answers."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

from litestar import Controller, Response, get, post
from litestar.params import FromPath

from models.artifact import ArtifactStore
from models.errors import EndcapError, NotFoundError
from models.manifest import Interval, Manifest
from service.console.figure import Figure, make_figure
from service.console.next_steps import for_the_console
from service.console.plotter import Plotter
from service.console.specs import bars_by_name, intervals_by_name, lines_by_version
from service.console.tables import Table, rounded
from service.routes.console.downloads import csv_file, find_table, table_name
from service.routes.console.frame import ConsoleRequest, Page, go, page
from service.routes.console.gate import FormData, section
from service.routes.console.insights import HALF
from service.routes.models import promote_version, roll_back
from service.services import services_of

PATH = "/console/models"
MAIN_METRIC = "ndcg@10"
OURS, POPULARITY = "hybrid", "popularity"
REPORT_FILE = "report.html"
"""Written next to a version by ``endcap train``."""
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The report is one file with its styles inside. It may draw itself and do nothing else."""
STALE_DAYS = 14
VERDICT_TONES = {"passed": "good", "first": "good", "forced": "warn", "refused": "bad"}


class ModelPages(Controller):
    """Versions, newest first, and one by one."""

    path = "/models"
    opt = section("models")

    @get(sync_to_thread=True)
    def show(self, request: ConsoleRequest) -> Page:
        """List the versions."""
        services = services_of(request)
        versions = services.artifacts.versions()
        live = services.artifacts.live_version()
        return page(
            request,
            "models/list.html",
            title="Models",
            versions=versions,
            live=live,
            live_manifest=next((one for one in versions if one.version == live), None),
            previous=services.artifacts.previous_version(),
            metric=_metric(versions),
            value_of=_value_of,
            tones=VERDICT_TONES,
            stale_ms=STALE_DAYS * 86_400_000,
            figure=_draw_history(services.console.plotter, versions),
        )

    @get("/{version:str}", sync_to_thread=True)
    def show_version(self, request: ConsoleRequest, version: FromPath[str]) -> Page:
        """Show what a version was made from, how, and how good it is."""
        services = services_of(request)
        manifest = services.artifacts.manifest(version)
        return page(
            request,
            "models/show.html",
            title=f"Model {version}",
            manifest=manifest,
            live=services.artifacts.live_version(),
            previous=services.artifacts.previous_version(),
            tones=VERDICT_TONES,
            tables=_tables(manifest),
            figures=_draw(services.console.plotter, manifest),
            has_report=_report(services.artifacts, version) is not None,
            ours=OURS,
        )

    @get("/{version:str}/promote", sync_to_thread=True)
    def ask_to_promote(self, request: ConsoleRequest, version: FromPath[str]) -> Page:
        """Ask before a version goes live, beside what is live now."""
        services = services_of(request)
        live = services.artifacts.live_version()
        return page(
            request,
            "models/promote.html",
            title="Promote a model",
            manifest=services.artifacts.manifest(version),
            live=None if live is None else services.artifacts.manifest(live),
            metric=MAIN_METRIC,
            value_of=_value_of,
            tones=VERDICT_TONES,
        )

    @post("/{version:str}/promote", sync_to_thread=True)
    def promote(
        self, request: ConsoleRequest, version: FromPath[str], form: FormData
    ) -> Response[str]:
        """Make a version live; a refused one only where the box was ticked."""
        try:
            promote_version(request, version, is_forced=form.is_on("force"))
        except EndcapError as error:
            return go(request, f"{PATH}/{quote(version, safe='')}", _refused(error), "bad")
        return go(request, PATH, f"Model {version} is live; every worker follows within seconds.")

    @post("/rollback", sync_to_thread=True)
    def go_back(self, request: ConsoleRequest) -> Response[str]:
        """Make the version live that was live before."""
        try:
            live = roll_back(request).live
        except EndcapError as error:
            return go(request, PATH, _refused(error), "bad")
        return go(request, PATH, f"Rolled back: model {live} is live again.")

    @get("/{version:str}/report", sync_to_thread=True)
    def show_report(self, request: ConsoleRequest, version: FromPath[str]) -> Response[str]:
        """Show the trainer's own page, which may run and load nothing."""
        artifacts = services_of(request).artifacts
        artifacts.manifest(version)
        report = _report(artifacts, version)
        if report is None:
            raise NotFoundError(
                f"model version {version} has no report beside it; "
                "'endcap train' writes one unless --report names another place"
            )
        return Response(
            report, media_type="text/html", headers={"Content-Security-Policy": REPORT_POLICY}
        )

    @get("/{version:str}/{file:str}", sync_to_thread=True)
    def download(
        self, request: ConsoleRequest, version: FromPath[str], file: FromPath[str]
    ) -> Response[str]:
        """Give a table of a version away."""
        manifest = services_of(request).artifacts.manifest(version)
        name = table_name(file)
        return csv_file(f"{name}-{version}", find_table(_tables(manifest), name))

    @get("/history.csv", sync_to_thread=True)
    def download_history(self, request: ConsoleRequest) -> Response[str]:
        """Give the metrics of all versions away."""
        return csv_file("models", _history(services_of(request).artifacts.versions()))


def _refused(error: EndcapError) -> str:
    return f"Nothing was changed: {for_the_console(error.message)}"


def _report(artifacts: ArtifactStore, version: str) -> str | None:
    try:
        return (artifacts.folder(version) / REPORT_FILE).read_text()
    except OSError:
        return None


def _metric(versions: list[Manifest]) -> str:
    """Choose the metric to compare versions by: the usual one, else the first that is there."""
    names = [name for one in versions for name in one.metrics.get(OURS, {})]
    return MAIN_METRIC if MAIN_METRIC in names else next(iter(names), MAIN_METRIC)


def _value_of(manifest: Manifest, metric: str, recommender: str = OURS) -> float | None:
    return manifest.metrics.get(recommender, {}).get(metric)


def _history(versions: list[Manifest]) -> Table:
    names = sorted({name for one in versions for name in one.metrics.get(OURS, {})})
    return Table(
        ["Version", "Made at", "Verdict", "Interactions", *names],
        [
            (
                one.version,
                datetime.fromtimestamp(one.created_at_ms / 1000, UTC).isoformat(timespec="seconds"),
                one.gate.verdict,
                one.counts.get("interactions"),
                *(_value_of(one, name) for name in names),
            )
            for one in versions
        ],
    )


def _draw_history(plotter: Plotter, versions: list[Manifest]) -> Figure | None:
    metric = _metric(versions)
    points = [
        (f"{_moment(one.created_at_ms)} · {one.version[:4]}", name, value)
        for one in reversed(versions)
        for name in (OURS, POPULARITY)
        if (value := _value_of(one, metric, name)) is not None
    ]
    if len({version for version, *_ in points}) < 2:
        return None
    return make_figure(
        plotter,
        lines_by_version(points, ".3f"),
        title=f"{metric} from version to version",
        description="A line for the hybrid that answers and one for plain popularity.",
        columns=["Version", "Recommender", metric],
        rows=points,
        height=200,
    )


def _tables(manifest: Manifest) -> dict[str, Table]:
    metrics = sorted({name for values in manifest.metrics.values() for name in values}, key=_order)
    return {
        "metrics": Table(
            ["Recommender", *metrics],
            [
                (name, *(_with_interval(manifest, name, metric) for metric in metrics))
                for name, values in sorted(
                    manifest.metrics.items(), key=lambda pair: -pair[1].get(MAIN_METRIC, 0.0)
                )
            ],
        ),
        "segments": Table(
            [
                *("Segment", "Users", "Orders", "Average order value", "Items per order"),
                "Orders per month",
            ],
            [
                (
                    *(key, one.users, one.orders, rounded(one.average_order_value)),
                    *map(rounded, (one.items_per_order, one.orders_per_month)),
                )
                for key, one in manifest.segments.items()
            ],
        ),
        "settings": Table(
            ["Setting", "Value"],
            sorted((k, rounded(v)) for k, v in manifest.hyperparameters.items()),
        ),
    }


def _draw(plotter: Plotter, manifest: Manifest) -> dict[str, Figure]:
    metric = _metric([manifest])
    bars = sorted(
        ((name, values[metric]) for name, values in manifest.metrics.items() if metric in values),
        key=lambda pair: -pair[1],
    )
    gate = [
        (name, interval)
        for name, interval in (
            ("less popularity", manifest.gate.against_popularity),
            ("less the live one", manifest.gate.against_live),
        )
        if interval is not None
    ]
    return {
        "metrics": make_figure(
            plotter,
            bars_by_name([(name, value, f"{value:.4f}") for name, value in bars]),
            title=f"{metric} of every recommender",
            description="A bar for each recommender on the newest slice, which none has seen.",
            columns=["Recommender", metric],
            rows=bars,
            height=max(80, 28 * len(bars)),
            width=HALF,
        ),
        "gate": make_figure(
            plotter,
            intervals_by_name([(name, one.value, one.low, one.high) for name, one in gate]),
            title="What the gate looked at",
            description="The difference in quality with its 95 % interval; the line is none.",
            columns=["Hybrid", "Difference", "From", "To"],
            rows=[(name, *_bounds(one)) for name, one in gate],
            height=max(70, 50 * len(gate)),
            width=HALF,
        ),
    }


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%-d %b %H:%M")


def _bounds(interval: Interval) -> tuple[float, ...]:
    return tuple(round(number, 5) for number in (interval.value, interval.low, interval.high))


def _order(metric: str) -> tuple[str, int]:
    name, _, k = metric.partition("@")
    return name, int(k) if k.isdigit() else 0


def _with_interval(manifest: Manifest, recommender: str, metric: str) -> float | str | None:
    value = rounded(_value_of(manifest, metric, recommender))
    around = manifest.intervals.get(recommender, {}).get(metric)
    if around is None or value is None:
        return value
    return f"{value:g} ({rounded(around.low):g} to {rounded(around.high):g})"
