"""Percentages: only all is written as 100 %, and only none as 0 %."""

import numpy as np
import pytest

from wardrobe import report
from wardrobe.percent import format_percent

CASES = {
    (0.9171, 1): "91.7 %",
    (0.9171, 2): "91.71 %",
    (0.5, 0): "50 %",
    (1.0, 1): "100.0 %",
    (0.9996, 1): ">99.9 %",
    (0.99949, 1): "99.9 %",
    (0.9996, 0): ">99 %",
    (0.99996, 2): ">99.99 %",
    (1 - 1e-16, 1): ">99.9 %",
    (0.0, 1): "0.0 %",
    (0.0004, 1): "<0.1 %",
    (0.0006, 1): "0.1 %",
    (1e-300, 2): "<0.01 %",
    (0.005, 0): "<1 %",
}


@pytest.mark.parametrize(("fraction", "digits"), CASES)
def test_only_all_is_100_percent_and_only_none_is_0(fraction: float, digits: int) -> None:
    for number in (fraction, np.float64(fraction)):
        assert format_percent(number, digits) == CASES[fraction, digits]


def test_pages_write_fractions_in_the_same_way() -> None:
    for name, package in (("report.html", "wardrobe.report"), ("results.md", "benchmarks")):
        percent = report.load_template(name, package).environment.filters["percent"]
        assert [percent(each) for each in (0.99999, 0.5)] == [">99.99 %", "50.00 %"]
