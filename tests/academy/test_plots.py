"""The plot style: legible on both themes and without colour, nothing cut off, saved whole."""

from __future__ import annotations

import errno
import itertools
import json
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from matplotlib.text import Text

from meridian.academy import plots
from meridian.foundation.profiling.bench import BenchmarkResult, Fingerprint
from meridian.fs import OsFileSystem

HERE = Fingerprint("Testing CPU", 2, "Linux", "3.11", "0.6", "2.4")
LONG = "a very long statement of workload, bias and machine that has to be wrapped " * 8


def result(name: str, ratio: float, peer: str, **more: Any) -> BenchmarkResult:
    return BenchmarkResult(name=name, ratio=ratio, spread=0.1, peer=peer, unit="get", **more)


RACES = [
    result("insert_many", 11.2, "sqlite3", target=8.0, ci95=(10.9, 11.6)),
    result("insert_many", 1.1, "LMDB", target=1.2, ci95=(0.9, 1.3)),
    result("get", 0.04, "LMDB", target=0.3),
    BenchmarkResult.gap("insert", peer="LMDB", unit="get", note="lmdb is not installed"),
    result("insert", 430.0, "sqlite3", subject="reference"),
]


def growth() -> plots.Plot:
    flat = [7e-7, 7.1e-7, 7.2e-7]
    data = {name: np.array(flat) * (1 + i / 500) for i, name in enumerate(("clock", "lru", "2q"))}
    return plots.growth_plot(
        (64, 1_024, 65_536), data, title="Flat", ci={"lru": ([6e-7] * 3, [8e-7] * 3)}
    )


def distribution(kind: Any) -> plots.Plot:
    rng = np.random.default_rng(0)
    data = {name: rng.lognormal(i, 0.3, 200) for i, name in enumerate(("512 B", "4 KiB"))}
    return plots.distribution_plot(data, xlabel="latency, us", kind=kind, title="Reads", log=True)


def waves() -> plots.Plot:
    x = np.linspace(0, 6, 200)
    data = {f"policy {i}": np.sin(x + i / 9) for i in range(8)}
    return plots.lines(x, data, xlabel="accesses", ylabel="hit rate", title="Waves")


ATTEMPTS = [
    plots.Attempt(
        f"2026-{11 + day // 28:02}-{1 + day % 28:02}T10:00:00+00:00", value, number, 0.9 * value
    )
    for day, value, number in ((1, 0.31, 1), (3, 0.5, 0), (30, 0.93, 2), (31, 1.02, 0))
]


def race_with_history() -> plots.Plot:
    return plots.race_plot(RACES[1:2], title="A race", history=ATTEMPTS)


def growth_with_history() -> plots.Plot:
    sizes = (64, 512, 4_096)
    data = {"submission": [1e-6, 2e-6, 4e-6], "model answer": [9e-7, 9e-7, 1e-6]}
    past = [attempt._replace(value=attempt.value - 0.4) for attempt in ATTEMPTS]
    return plots.growth_plot(sizes, data, title="Hits", limit=0.1, history=past)


GALLERY = {
    "race with history": race_with_history,
    "race of many attempts": lambda: plots.race_plot(RACES[1:2], history=ATTEMPTS * 5),
    "growth with history": growth_with_history,
    "race": lambda: plots.race_plot(RACES, title="A race"),
    "race of one": lambda: plots.race_plot(RACES[:1]),
    "growth": growth,
    "ecdf": lambda: distribution("ecdf"),
    "hist": lambda: distribution("hist"),
    "lines": waves,
}


def shown_texts(fig: plots.Plot) -> list[Text]:
    return [
        text
        for text in fig.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text.axes in (None, *fig.axes)
    ]


def drawn(fig: plots.Plot) -> Any:
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return canvas.get_renderer()


def tick_labels(fig: plots.Plot) -> set[Text]:
    """Labels of ticks outside the limits exist but are never drawn."""
    every, inside = set(), set()
    for ax in fig.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                every |= {tick.label1, tick.label2}
                if low <= tick.get_loc() <= high:
                    inside |= {tick.label1, tick.label2}
    return every - inside


@pytest.mark.parametrize("name", GALLERY)
def test_no_label_is_cut_off(name: str) -> None:
    fig = GALLERY[name]()
    plots.note(fig, plots.statement(workload=LONG, bias="none", env=HERE))
    renderer = drawn(fig)
    whole = fig.get_tightbbox(renderer).padded(0.1)  # in inches: what `image` saves
    hidden = tick_labels(fig)
    texts = [text for text in shown_texts(fig) if text not in hidden]
    assert len(texts) > 5
    for text in texts:
        box = text.get_window_extent(renderer).transformed(fig.dpi_scale_trans.inverted())
        assert whole.x0 <= box.x0, text
        assert box.x1 <= whole.x1, text
        assert whole.y0 <= box.y0, text
        assert box.y1 <= whole.y1, text
    assert whole.width < fig.get_figwidth() * 1.15  # the picture is still the size asked for


@pytest.mark.parametrize("name", GALLERY)
def test_labels_do_not_overlap(name: str) -> None:
    fig = GALLERY[name]()
    plots.note(fig, LONG)
    renderer = drawn(fig)
    hidden = tick_labels(fig)
    boxes = [
        (text.get_text(), Text.get_window_extent(text, renderer))
        for text in shown_texts(fig)
        if text not in hidden
    ]
    for (one, a), (two, b) in itertools.combinations(boxes, 2):
        wide = min(a.x1, b.x1) - max(a.x0, b.x0)
        high = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert min(wide, high) < 1.5, f"{one!r} and {two!r} overlap by {wide:.1f} x {high:.1f} px"


def contrast(color: str, background: str) -> float:
    """WCAG 2.2 contrast ratio."""

    def luminance(name: str) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(name)]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    low, high = sorted((luminance(color), luminance(background)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("background", ["#ffffff", "#111111"])
def test_colours_stand_out_on_both_themes(background: str) -> None:
    assert contrast(plots.INK, background) > 4.3
    for name, color in plots.PALETTE.items():
        assert contrast(color, background) > 3.8, name


def test_series_differ_without_colour() -> None:
    looks = [plots.series(i) for i in range(12)]
    for kind in ("marker", "hatch"):
        assert len({getattr(look, kind) for look in looks[:6]}) == 6
    assert len({str(look.dashes) for look in looks[:6]}) == 6
    assert len({(look.color, look.marker) for look in looks}) == 12
    with pytest.raises(ValueError, match="index >= 0"):
        plots.series(-1)


# Machado, Oliveira and Fernandes (2009), severity 1.0, applied to linear light.
SIMULATED = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


@pytest.mark.parametrize("deficiency", SIMULATED)
def test_first_two_colours_stay_apart_for_colour_blind_eyes(deficiency: str) -> None:
    """Blue and vermilion, which carry almost every plot; the rest leans on markers and labels."""

    def seen(color: str) -> np.ndarray:
        linear = np.array(
            [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
        )
        return np.clip(np.array(SIMULATED[deficiency]) @ linear, 0, 1) ** (1 / 2.4)

    blue, vermilion = list(plots.PALETTE.values())[:2]
    assert np.abs(seen(blue) - seen(vermilion)).max() > 0.35


@pytest.mark.parametrize("name", GALLERY)
def test_everything_drawn_is_legible_on_both_themes(name: str) -> None:
    """Text and lines use the ink or the palette, never black or white; the page shows through."""
    fig = GALLERY[name]()
    plots.note(fig, "note")
    allowed = {to_rgb(color) for color in (plots.INK, *plots.PALETTE.values())}
    drawn(fig)
    for text in shown_texts(fig):
        assert to_rgb(text.get_color()) in allowed, text
    for ax in fig.axes:
        for line in (*ax.lines, *ax.get_xticklines(), *ax.get_yticklines()):
            assert to_rgb(line.get_color()) in allowed
        for spine in ax.spines.values():
            assert to_rgb(spine.get_edgecolor()) in allowed
    pixels = imread(_as_file(fig.image("png")))
    assert pixels[0, 0, 3] == 0
    assert (pixels[..., 3] > 0.9).any()


def _as_file(data: bytes) -> Any:
    import io

    return io.BytesIO(data)


def test_style_is_left_as_found() -> None:
    before = dict(mpl.rcParams)
    with plots.style():
        assert mpl.rcParams["text.color"] == plots.INK
    growth().image("png")
    assert dict(mpl.rcParams) == before


def test_use_style_stays() -> None:
    with mpl.rc_context():
        plots.use_style()
        assert mpl.rcParams["axes.labelcolor"] == plots.INK


def test_figure_keeps_the_style_for_what_is_drawn_later() -> None:
    fig, axes = plots.figure(rows=2, cols=2, title="Four", sharex=True)
    assert axes.shape == (2, 2)
    axes[1, 1].plot([1, 10_000], [1, 2])
    axes[1, 1].set_xlabel("later")
    drawn(fig)
    for text in shown_texts(fig):
        assert to_rgb(text.get_color()) == to_rgb(plots.INK)


def test_notebook_shows_a_figure_at_its_size() -> None:
    fig = growth()
    png, metadata = fig._repr_png_()
    width, height = struct.unpack(">II", png[16:24])
    assert metadata == {"width": width * 2 // 3, "height": height * 2 // 3}
    assert abs(metadata["width"] / 96 - fig.get_figwidth()) < 0.8


def test_save_writes_all_three(tmp_path: Path) -> None:
    fig = plots.race_plot(RACES)
    data = {
        "results": RACES,
        "env": HERE,
        "array": np.arange(3.0),
        "odd": [np.float32(1.5), float("nan"), np.array([np.inf, 1.0]), tmp_path],
        7: "number as key",
    }
    saved = plots.save(fig, tmp_path / "deep" / "race.v1", data)
    assert [path.name for path in saved] == ["race.v1.png", "race.v1.svg", "race.v1.json"]
    assert saved.png.read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(saved.svg).getroot().tag.endswith("svg")
    numbers = json.loads(saved.json.read_text())
    assert numbers["results"][0]["ratio"] == 11.2
    assert numbers["env"]["cpu"] == "Testing CPU"
    assert numbers["odd"] == [1.5, None, [None, 1.0], str(tmp_path)]
    assert numbers["7"] == "number as key"
    assert len(list((tmp_path / "deep").iterdir())) == 3


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    one = plots.save(growth(), tmp_path / "one", {})
    two = plots.save(growth(), tmp_path / "two", {})
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]


def test_a_failed_save_changes_nothing(tmp_path: Path) -> None:
    fig = growth()
    saved = plots.save(fig, tmp_path / "growth", {"n": 1})
    before = [path.read_bytes() for path in saved]
    with pytest.raises(TypeError, match="Cannot write a object as JSON"):
        plots.save(fig, tmp_path / "growth", {"n": object()})

    class FullDisk(OsFileSystem):
        def create(self, path: Any) -> Any:
            if ".svg" in str(path):
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().create(path)

    with pytest.raises(OSError, match="No space"):
        plots.save(fig, tmp_path / "growth", {"n": 2}, fs=FullDisk())
    assert [path.read_bytes() for path in saved] == before
    assert len(list(tmp_path.iterdir())) == 3
    with pytest.raises(ValueError, match="file name"):
        plots.save(fig, "/", {})


def test_race_takes_report_entries() -> None:
    entries = [race.entry() for race in RACES]
    fig = plots.race_plot(entries)
    texts = {text.get_text() for text in shown_texts(fig)}
    assert {"11.2\u00d7", "1.1\u00d7", "0.04\u00d7", "430\u00d7", "not measured"} <= texts


def test_race_says_target_subject_and_gap() -> None:
    texts = {text.get_text() for text in shown_texts(plots.race_plot(RACES))}
    assert "11.2\u00d7   target 8\u00d7 met" in texts
    assert "1.1\u00d7   target 1.2\u00d7 missed" in texts
    assert "reference: 430\u00d7" in texts
    assert "lmdb is not installed" in texts
    shared = [result("get", 2.0, "sqlite3"), result("get", 3.0, "sqlite3", subject="reference")]
    texts = {text.get_text() for text in shown_texts(plots.race_plot(shared))}
    assert {"meridian: 2\u00d7", "reference: 3\u00d7"} <= texts


def test_race_positions_are_the_ratios() -> None:
    fig = plots.race_plot(RACES[:3])
    (ax,) = fig.axes
    points = sorted(
        float(line.get_xdata()[0])
        for line in ax.lines
        if line.get_marker() == "o" and len(line.get_xdata()) == 1
    )
    assert points == [0.04, 1.1, 11.2]
    assert ax.get_xscale() == "log"
    low, high = ax.get_xlim()
    assert low < 0.04 < 11.6 < high


def test_growth_states_the_slope() -> None:
    sizes = (10, 100, 1_000)
    fig = plots.growth_plot(sizes, {"linear": [1e-6 * s for s in sizes], "flat": [1e-6] * 3})
    texts = {text.get_text() for text in shown_texts(fig)}
    assert {"linear  (slope 1.00)", "flat  (slope 0.00)"} <= texts or {
        "linear  (slope 1.00)",
        "flat  (slope -0.00)",
    } <= texts


def test_the_limit_of_growth_is_drawn_and_named() -> None:
    fig = growth_with_history()
    texts = {text.get_text() for text in shown_texts(fig)}
    assert {"allowed  (slope 0.10)", "allowed"} <= texts
    guide = fig.axes[0].lines[-1]
    x, y = (np.asarray(data, float) for data in guide.get_data())
    assert list(y) == pytest.approx([1e-6 * (n / 64) ** 0.1 for n in x])


def test_history_is_dated_and_numbered_and_ends_with_now() -> None:
    fig = race_with_history()
    above, below = fig.axes
    labels = [label.get_text() for label in below.get_xticklabels()]
    assert labels == ["#1\n2 Nov", "race\n4 Nov", "#2\n3 Dec", "race\n4 Dec", "now"]
    values = [line.get_ydata() for line in below.lines if line.get_linestyle() == "None"]
    assert [list(y) for y in values] == [[0.31, 0.5, 0.93, 1.02], [1.1]]
    assert above.get_xlabel() == "times as fast as the peer (log scale, bar = 95 % interval)"
    assert len(plots.race_plot(RACES[:1]).axes) == 1
    gap = [result("get", 1.0, "x"), RACES[3]]
    assert len(plots.race_plot(gap[1:], history=ATTEMPTS).axes) == 1  # nothing to compare with


def test_attempts_of_one_day_are_told_by_the_hour() -> None:
    day = [plots.Attempt(f"2026-11-20T1{i}:30:00+00:00", 1 + i / 10, i) for i in (1, 2)]
    fig = plots.race_plot(RACES[:1], history=[*day, plots.Attempt("long ago", 2.0, 3)])
    labels = [label.get_text() for label in fig.axes[1].get_xticklabels()]
    assert labels == ["#1\n11:30", "#2\n12:30", "#3\n", "now"]


def test_only_the_latest_attempts_are_shown() -> None:
    fig = plots.race_plot(RACES[:1], history=ATTEMPTS * 5)
    assert len(fig.axes[1].get_xticks()) == 10


def test_a_slope_fitted_elsewhere_is_the_one_shown() -> None:
    fig = plots.growth_plot((1, 10), {"a": [1, 10], "b": [1, 10]}, slopes={"a": 0.81})
    texts = {text.get_text() for text in shown_texts(fig)}
    assert {"a  (slope 0.81)", "b  (slope 1.00)"} <= texts


def test_flat_growth_is_not_zoomed_into() -> None:
    low, high = growth().axes[0].get_ylim()
    assert high / low >= 9.9


def test_a_second_note_replaces_the_first() -> None:
    fig = growth()
    height = fig.get_figheight()
    plots.note(fig, LONG)
    assert fig.get_figheight() > height
    plots.note(fig, "")
    assert fig.get_figheight() == pytest.approx(height)
    plots.note(fig, "first")
    plots.note(fig, "second\n\nline")
    texts = [text.get_text() for text in shown_texts(fig)]
    assert "second\n\nline" in texts
    assert "first" not in texts


def test_statement() -> None:
    text = plots.statement(workload="100 gets.", bias="ours.", versions={"sqlite": "3"}, env=HERE)
    assert text.splitlines() == [
        "Workload: 100 gets.",
        "Bias: ours.",
        f"Measured on {HERE}, sqlite 3.",
    ]
    assert "Bias" not in plots.statement(workload="w", env=HERE)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.race_plot([]), "at least one result"),
        (lambda: plots.race_plot([{"name": "x"}]), "ratio"),
        (lambda: plots.lines([], {}, xlabel="", ylabel=""), "at least one line"),
        (lambda: plots.lines([1, 2], {"a": [1]}, xlabel="", ylabel=""), "Expected 2 values"),
        (lambda: plots.lines([1, 2], {"a": [[1, 2]]}, xlabel="", ylabel=""), "2 dimensions"),
        (lambda: plots.lines([1], {"a": [0]}, xlabel="", ylabel="", log="y"), "positive"),
        (lambda: plots.lines([0], {"a": [1]}, xlabel="", ylabel="", log="x"), "positive"),
        (lambda: plots.growth_plot([1], {"a": [1]}), "two sizes"),
        (lambda: plots.growth_plot([1, 2], {"a": [1, 0]}), "positive values for 'a'"),
        (
            lambda: plots.race_plot(RACES[:1], history=[plots.Attempt("", 0.0)]),
            "positive values on a log axis",
        ),
        (lambda: plots.distribution_plot({}, xlabel=""), "at least one series"),
        (lambda: plots.distribution_plot({"a": []}, xlabel=""), "at least one sample"),
        (lambda: plots.distribution_plot({"a": [np.nan]}, xlabel=""), "finite samples"),
        (lambda: plots.distribution_plot({"a": [0.0]}, xlabel="", log=True), "positive"),
        (
            lambda: plots.distribution_plot({"a": [1.0]}, xlabel="", kind="pie"),  # type: ignore[arg-type]
            "'ecdf' or 'hist'",
        ),
    ],
)
def test_bad_input(draw: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()


def test_gaps_in_a_line_and_single_points() -> None:
    fig = plots.lines(
        [1, 2, 3], {"a": [1, np.nan, 3], "none": [np.nan] * 3}, xlabel="x", ylabel="y"
    )
    assert "a" in {text.get_text() for text in shown_texts(fig)}
    plots.lines([1], {"a": [1]}, xlabel="x", ylabel="y").image("png")
    plots.distribution_plot({"a": [1.0, 1.0]}, xlabel="x", kind="hist").image("png")
    plots.distribution_plot({"a": [1.0]}, xlabel="x").image("png")


def test_importing_plots_does_not_load_pyplot() -> None:
    code = "import sys, meridian.academy.plots; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
