"""Films of single samples: truth, surrogate and error as they move.

A film has the same bytes wherever the same libraries make it from the same fields: it is encoded by one
thread with a constant quantiser and without what x264 would choose by processor, and it holds
no time. So it may be part of a published object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from ups_core.analyze.fieldmap import DISTANCES, SIGNED, VALUES, colours, edges, largest, within
from ups_core.analyze.numbers import coordinate
from ups_core.analyze.particles import Particles
from ups_core.analyze.samples import Sample

#: Width and height in pixels, multiples of 16 as every player can show; by number of spatial axes.
SIZE = {1: (768, 512), 2: (1024, 416)}
#: About how long a film takes, and the most frames a second.
SECONDS, MOST_A_SECOND = 6, 20
#: As in the report's style sheet, on paper.
PAPER, INK, TRUTH, SURROGATE, ERROR = "#fcfcfa", "#1b1d22", "#9b9da1", "#1f5fae", "#a3262e"

STYLE = {
    "figure.dpi": 100, "figure.facecolor": PAPER, "axes.facecolor": PAPER, "savefig.facecolor": PAPER,
    "font.family": "DejaVu Sans", "font.size": 11, "text.color": INK, "axes.edgecolor": "#666b75",
    "axes.labelcolor": INK, "xtick.color": "#666b75", "ytick.color": "#666b75", "axes.titlelocation": "left",
    "axes.titlesize": 11, "axes.titleweight": "bold",
}  # fmt: skip


def film(path: Path, one: Sample | Particles) -> None:
    """Write a sample of a transient problem as MP4.

    One dimension: the curves of truth and surrogate, and the error below them. Two: three maps, or three
    boxes of particles. The scales are those of the whole sample, so that nothing jumps.
    """
    # Whatever the user's matplotlibrc says.
    with style.context(STYLE, after_reset=True):
        write(path, _frames(one), rate(len(one.truth)))


def rate(frames: int) -> int:
    """Frames a second."""
    return max(1, min(MOST_A_SECOND, round(frames / SECONDS)))


def write(path: Path, frames: Iterator[np.ndarray], fps: int) -> None:
    """Encode frames (H, W, 3) of uint8, all of one size, as H.264."""
    first = next(frames)
    height, width, _ = first.shape
    encoder = imageio_ffmpeg.write_frames(
        str(path), (width, height), fps=fps, codec="libx264", ffmpeg_log_level="error",
        quality=None,  # pyright: ignore[reportArgumentType]
        output_params=[
            "-vf", "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int+bitexact",
            "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
            "-preset", "veryfast", "-qp", "18",
            "-threads", "1", "-x264-params", "threads=1:cpu-independent=1",
            "-fflags", "+bitexact", "-flags", "+bitexact", "-map_metadata", "-1", "-movflags", "+faststart",
        ],
    )  # fmt: skip
    encoder.send(None)
    encoder.send(np.ascontiguousarray(first))
    for frame in frames:
        encoder.send(np.ascontiguousarray(frame))
    encoder.close()
    if not path.exists():
        raise RuntimeError(f"{path.name} could not be encoded; the lines above say why")


def _frames(one: Sample | Particles) -> Iterator[np.ndarray]:
    if isinstance(one, Particles):
        return _boxes(one)
    return _curves(one) if one.y is None else _maps(one)


def map_box(nth: int) -> tuple[float, float, float, float]:
    """Left, bottom, width and height of a map in shares of the frame."""
    return 0.06 + nth * 0.32, 0.25, 0.265, 0.63


def _maps(one: Sample) -> Iterator[np.ndarray]:
    """Three maps, x to the right and y up, with their colour bars."""
    assert one.y is not None
    bound, figure, images = largest(one.error) or 1.0, _figure(SIZE[2]), []
    x, y = one.nodes
    for i, (values, (low, high), title) in enumerate(one.panels(bound)):
        left, _, width, _ = box = map_box(i)
        axes = figure.add_axes(box, xlabel="x", ylabel="" if i else "y", title=title)
        image = axes.imshow(
            values[0].T, origin="lower", interpolation="nearest", vmin=low, vmax=high, aspect="auto",
            cmap=ListedColormap(colours(SIGNED if title == "error" else VALUES)), animated=True,
            extent=(*edges(x), *edges(y)),
        )  # fmt: skip
        figure.colorbar(image, cax=figure.add_axes((left, 0.09, width, 0.03)), orientation="horizontal")
        images.append((axes, image, np.where(np.isfinite(values), values, np.nan)))

    def show(frame: int) -> list[tuple[Axes, Artist]]:
        for _, image, values in images:
            image.set_data(values[frame].T)
        return [(axes, image) for axes, image, _ in images]

    yield from _filmed(figure, one, show)


def _boxes(one: Particles) -> Iterator[np.ndarray]:
    """The particles of truth and surrogate, and how far they are apart, x to the right and y up."""
    figure, bound, moved = _figure(SIZE[2]), largest(one.distance) or 1.0, []
    along = (None, None) if one.headings is None else one.headings
    rows = (
        (one.truth, along[0], INK, "truth"),
        (one.prediction, along[1], SURROGATE, "surrogate"),
        (one.truth, one.error, None, f"error: {one.label}"),
    )
    for i, (places, ways, colour, title) in enumerate(rows):
        left, _, width, _ = box = map_box(i)
        axes = figure.add_axes(box, xlim=one.ends[0], ylim=one.ends[1], xlabel=one.axes[0], title=title)
        axes.set_ylabel("" if i else one.axes[1])
        size = (
            72 / 100 * np.clip(0.38 * one.spacing / one.size[0] * width * SIZE[2][0], 2.0, 6.0)
        )  # in points
        dots = axes.scatter([], [], s=size**2, linewidths=0, color=colour, animated=True)
        thin = size / (2 if colour is None else 3)
        strokes = LineCollection([], linewidths=thin, colors=colour, capstyle="round", animated=True)
        axes.add_collection(strokes)
        if colour is None:
            for artist in (dots, strokes):
                artist.set(cmap=ListedColormap(colours(DISTANCES)), clim=(0.0, bound))
            figure.colorbar(dots, cax=figure.add_axes((left, 0.09, width, 0.03)), orientation="horizontal")
        moved.append((axes, places, ways, dots, strokes))

    def show(frame: int) -> list[tuple[Axes, Artist]]:
        distance = one.distance[frame, one.drawn]
        order = one.drawn[np.argsort(distance)]  # the largest are drawn last
        for _, places, ways, dots, strokes in moved:
            at = places[frame][:, order].T.astype(np.float64)  # (m, 2)
            dots.set_offsets(np.where(np.isfinite(at), at, np.nan))
            if ways is not None:
                ends = at + ways[frame][:, order].T
                strokes.set_segments(np.where(np.isfinite(ends), np.stack([at, ends]), np.nan).swapaxes(0, 1))
        for artist in moved[-1][3:]:
            artist.set_array(np.sort(distance))
        return [(axes, artist) for axes, *_, dots, strokes in moved for artist in (strokes, dots)]

    yield from _filmed(figure, one, show)


def _curves(one: Sample) -> Iterator[np.ndarray]:
    """The curves of truth and surrogate, and the error below."""
    low, high = within(one.truth, one.prediction)
    bound, air = 1.08 * largest(one.error) or 1.0, 0.06 * (high - low) or 0.5
    figure = _figure(SIZE[1])
    above = figure.add_axes((0.115, 0.42, 0.86, 0.5), ylim=(low - air, high + air), ylabel=one.label)
    below = figure.add_axes((0.115, 0.11, 0.86, 0.25), ylim=(-bound, bound), ylabel="error", xlabel="x")
    for axes in (above, below):
        axes.set_xlim(float(one.x[0]), float(one.x[-1]))
        axes.grid(color="#dcdcd6", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    above.tick_params(labelbottom=False)
    drawn = (
        (above, one.truth, TRUTH, 5.0, "truth"),
        (above, one.prediction, SURROGATE, 1.6, "surrogate"),
        (below, one.error, ERROR, 1.6, ""),
    )
    lines = []
    for axes, values, colour, width, label in drawn:
        (line,) = axes.plot(one.x, values[0], color=colour, linewidth=width, label=label, animated=True)
        lines.append((axes, np.where(np.isfinite(values), values, np.nan), line))
    figure.legend(
        handles=above.get_lines(), loc="upper right", bbox_to_anchor=(0.985, 1.0), ncols=2, frameon=False
    )

    def show(frame: int) -> list[tuple[Axes, Artist]]:
        for _, values, line in lines:
            line.set_ydata(values[frame])
        return [(axes, line) for axes, _, line in lines]

    yield from _filmed(figure, one, show)


def _figure(size: tuple[int, int]) -> Figure:
    figure = Figure(figsize=(size[0] / 100, size[1] / 100))
    FigureCanvasAgg(figure)
    return figure


def _filmed(
    figure: Figure, one: Sample | Particles, show: Callable[[int], list[tuple[Axes, Artist]]]
) -> Iterator[np.ndarray]:
    """Draws what stands still once, and what moves over it in every frame: (H, W, 3) each."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    assert one.t is not None
    clock = figure.text(0.5, 0.96, "", ha="center", va="center", animated=True)
    canvas.draw()
    still = canvas.copy_from_bbox(figure.bbox)
    for frame, now in enumerate(one.t):
        canvas.restore_region(still)
        clock.set_text(f"t = {coordinate(float(now))}")
        for axes, artist in show(frame):
            axes.draw_artist(artist)
        figure.draw_artist(clock)
        yield np.asarray(canvas.buffer_rgba())[..., :3].copy()
