"""Films: as many frames as asked for, of the right size, in the right colours, and always the same bytes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from ups_core.analyze import films
from ups_core.analyze.fieldmap import SIGNED, VALUES, colours
from ups_core.analyze.samples import Sample, sample

FIELD = {"name": "w", "unit": "1", "label": "vorticity ω"}


def decoded(path: Path) -> np.ndarray:
    """All frames, (F, H, W, 3), as a player shows them."""
    reader = imageio_ffmpeg.read_frames(str(path))
    width, height = next(reader)["size"]
    return np.stack([np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader])


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], dtype=float)


def plane(truth: np.ndarray, prediction: np.ndarray) -> Sample:
    """A sample over the plane from (F, X, Y) twice."""
    arrays = {"truth": truth[None, :, None], "prediction": prediction[None, :, None]}
    nodes = {"t": np.arange(len(truth)) * 0.1, "x": np.arange(8) / 8, "y": np.arange(8) / 8}
    return sample({**arrays, **nodes}, 0, [FIELD], [], 1)


def line(truth: np.ndarray, prediction: np.ndarray) -> Sample:
    """A sample on a line from (F, X) twice."""
    arrays = {"truth": truth[None, :, None], "prediction": prediction[None, :, None]}
    nodes = {"t": np.arange(len(truth)) * 0.1, "x": np.arange(truth.shape[1]) / truth.shape[1]}
    return sample({**arrays, **nodes}, 0, [FIELD], [], 1)


def at(panel: int, x: float, y: float) -> tuple[int, int]:
    """Row and column of a place in the nth map: x to the right and y up, both from 0 to 1."""
    width, height = films.SIZE[2]
    left, bottom, wide, tall = films.map_box(panel)
    return round((1 - bottom - y * tall) * height), round((left + x * wide) * width)


def test_maps_have_the_colours_of_their_values(tmp_path: Path) -> None:
    truth = np.zeros((7, 8, 8), dtype=np.float32)
    truth[:, 4:] = 1.0  # the right half, as the first axis is x
    truth[3:, :, 4:] = 0.5  # from the fourth frame on, the upper half
    prediction = truth.copy()
    prediction[6, :4, :4] -= 0.25
    path = tmp_path / "film.mp4"
    films.film(path, plane(truth, prediction))
    frames = decoded(path)
    width, height = films.SIZE[2]
    assert frames.shape == (7, height, width, 3)
    values, errors = colours(VALUES), colours(SIGNED)
    expected = {
        (0, 0, 0.25, 0.25): values[0], (0, 0, 0.75, 0.25): values[-1], (0, 1, 0.75, 0.75): values[-1],
        (5, 0, 0.25, 0.75): values[24], (5, 1, 0.75, 0.25): values[-1], (5, 2, 0.25, 0.25): errors[24],
        (6, 2, 0.25, 0.25): errors[0], (6, 2, 0.75, 0.75): errors[24],
    }  # fmt: skip
    for (frame, panel, x, y), colour in expected.items():
        row, column = at(panel, x, y)
        found = frames[frame, row - 2 : row + 3, column - 2 : column + 3].reshape(-1, 3).mean(axis=0)
        assert np.abs(found - rgb(colour)).max() < 6, (frame, panel, x, y)


def test_curves_move_and_break_where_nothing_is_finite(tmp_path: Path) -> None:
    x = np.arange(64) / 64
    truth = np.stack([np.sin(2 * np.pi * (x - shift)) for shift in np.linspace(0, 0.5, 5)]).astype(np.float32)
    prediction = truth.copy()
    prediction[3:] = np.nan
    path = tmp_path / "film.mp4"
    films.film(path, line(truth, prediction))
    frames = decoded(path).astype(int)
    width, height = films.SIZE[1]
    assert frames.shape == (5, height, width, 3)

    def drawn(frame: np.ndarray, colour: str) -> int:
        """Pixels of a colour below the legend."""
        return int((np.abs(frame[60:] - rgb(colour)).max(axis=2) < 40).sum())

    assert all(drawn(frame, films.TRUTH) > 500 for frame in frames)
    assert all(drawn(frame, films.SURROGATE) > 300 for frame in frames[:3])
    assert all(drawn(frame, films.SURROGATE) < 30 for frame in frames[3:])
    assert all(np.abs(a[60:] - b[60:]).max() > 50 for a, b in itertools.pairwise(frames))


def test_the_same_fields_give_the_same_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    one = plane(*rng.normal(size=(2, 4, 8, 8)).astype(np.float32))
    paths = [tmp_path / name for name in ("a.mp4", "b.mp4")]
    for path in paths:
        films.film(path, one)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_what_cannot_be_encoded_is_told(tmp_path: Path) -> None:
    def frames() -> Iterator[np.ndarray]:
        yield np.zeros((16, 16, 3), np.uint8)

    with pytest.raises(RuntimeError, match="encoded"):
        films.write(tmp_path / "nowhere" / "film.mp4", frames(), 4)


@pytest.mark.parametrize(("frames", "fps"), [(2, 1), (41, 7), (65, 11), (1000, 20)])
def test_a_film_takes_some_seconds(frames: int, fps: int) -> None:
    assert films.rate(frames) == fps
