"""`wardrobe tune --range-test`: the loss over a rising learning rate, and the suggested rate."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import refused, wardrobe_here
from PIL import Image

from wardrobe.errors import WardrobeError
from wardrobe.tuning import range_test

RATES = np.geomspace(1e-5, 10, 100)


def test_the_rate_at_which_the_loss_falls_fastest_is_suggested() -> None:
    falling = 2.3 - 1.5 / (1 + np.exp(-3 * np.log(RATES / 0.01)))  # steepest at 0.01
    losses = np.where(RATES < 0.3, falling, 0.8 + 5 * RATES)  # and rising from 0.3 on
    assert range_test.suggest_rate(RATES, losses) == pytest.approx(0.01, rel=0.2)


def test_a_loss_that_never_falls_is_an_error() -> None:
    with pytest.raises(WardrobeError, match="the loss never fell"):
        range_test.suggest_rate(RATES, np.linspace(1, 9, 100))


def test_training_that_breaks_down_ends_the_test() -> None:
    steady = [2.0] * 20
    assert not range_test.has_diverged([])
    assert not range_test.has_diverged(steady)
    assert range_test.has_diverged([*steady, *[50.0] * 10])
    assert range_test.has_diverged([*steady, float("nan")])
    smooth = range_test.smooth_losses([*steady, float("inf"), 2.0])
    assert smooth == pytest.approx(np.full(20, 2.0))


def test_the_command_draws_the_losses(
    few_of_own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(range_test, "STEPS", 24)  # two epochs and a bit
    (tmp_path / "tiny.toml").write_text(
        'base = "baseline"\nconv_filters = [2, 2]\ndense_units = 8\nlearning_rate = 0.02\n'
    )
    command = "tune", "--recipe", "tiny.toml", "--range-test", "--data", few_of_own
    found = wardrobe_here(*command, "--json", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    printed = json.loads(found.stdout)
    series = json.loads((tmp_path / printed["figure"]).with_suffix(".json").read_text())
    assert len(series["losses"]) == len(series["rates"]) <= 24
    assert series["rates"][0] == pytest.approx(0.02 / range_test.SPAN)
    assert 0 < printed["suggested"] < 20
    with Image.open(tmp_path / printed["figure"]) as figure:
        assert figure.width > 1000
    refused(wardrobe_here("tune", "--range-test", cwd=tmp_path), 2, "no recipe is given")
