"""Numbers as text: the same in HTML, SVG and Markdown. Needs nothing but the standard library."""

from __future__ import annotations

import math

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None, digits: int = 3) -> str:
    r"""Three significant digits: ``0.0244``, ``1.70``, ``2.53×10⁻⁴``; a dash where there is no number.

    >>> number(0.000253), number(1.7), number(0.0), number(12345)
    ('2.53×10⁻⁴', '1.70', '0', '12\u202f345')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    if float(value).is_integer() and 1 <= abs(value) < 1e9:
        return whole(int(value))
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = int(exponent)
    if -3 <= power < 5:
        return signed(f"{float(f'{mantissa}e{power}'):.{max(0, digits - 1 - power)}f}")
    return f"{signed(mantissa)}×{power_of_ten(power)}"


def signed(figures: str) -> str:
    """Figures with a minus sign, not a hyphen."""
    return figures.replace("-", "−")


def coordinate(value: float) -> str:
    """A time or a place, as short as it is: ``0.05``, ``2``, ``0.344``.

    >>> coordinate(0.05), coordinate(2.0), coordinate(-0.34375)
    ('0.05', '2', '−0.344')
    """
    return signed(f"{value:.3g}") if abs(value) < 1e3 or not math.isfinite(value) else number(value)


def power_of_ten(power: int) -> str:
    """``10⁻⁴``; 1 and 10 as they are."""
    return {0: "1", 1: "10"}.get(power, "10" + str(power).translate(_SUPERSCRIPT))


def whole(value: int) -> str:
    r"""An integer with thin spaces between thousands, from 10 000 on.

    >>> whole(1200), whole(1234567)
    ('1200', '1\u202f234\u202f567')
    """
    return signed(f"{value:,}".replace(",", "\u202f") if abs(value) >= 10_000 else str(value))


def times(ratio: float) -> str:
    """A factor of at least one in words a person would say: ``1.4 times``, ``6800 times``.

    >>> times(1.44), times(6812.0)
    ('1.4 times', '6800 times')
    """
    if ratio < 10:
        return f"{ratio:.2g} times" if ratio >= 1.05 else f"{ratio:.3g} times"
    rounded = float(f"{ratio:.2g}")
    return f"{whole(int(rounded))} times" if rounded < 1e6 else f"{number(rounded, 2)} times"


def duration(seconds: float | None) -> str:
    """``0.4 s``, ``42 s``, ``5 min 12 s``, ``3 h 4 min``; a dash where unknown."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return (
        f"{int(seconds // 60)} min {int(seconds % 60)} s"
        if minutes < 60
        else f"{minutes // 60} h {minutes % 60} min"
    )
