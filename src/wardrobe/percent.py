"""Fractions as percentages, in the same way in the terminal, in figures and on pages."""


def format_percent(fraction: float, digits: int = 1) -> str:
    """Returns a fraction, 0-1, as a percentage, such as "91.7 %".

    "100.0 %" means all, "0.0 %" none. What would only round to them is ">99.9 %" or "<0.1 %".
    """
    text, step = f"{100 * fraction:.{digits}f}", 10.0**-digits
    if fraction < 1 and float(text) == 100:
        text = f">{100 - step:.{digits}f}"
    elif fraction > 0 and float(text) == 0:
        text = f"<{step:.{digits}f}"
    return f"{text} %"
