"""The layers in the report: those of the Keras model, for every recipe and for an own network."""

from pathlib import Path

import pytest
from conftest import ROOT

from wardrobe.models import architecture, recipes
from wardrobe.report import network


@pytest.mark.parametrize("name", [*recipes.RECIPES, "network.py"])
def test_the_layers_are_those_of_the_model(name: str, tmp_path: Path) -> None:
    recipe = recipes.get("baseline")
    if name == "network.py":
        recipe = recipes.with_network(recipe, str(ROOT / "examples/network.py"))
    else:
        recipe = recipes.get(name)
    model = architecture.build(recipe, 10)
    layers = network.describe(architecture.describe_layers(model), recipe.ensemble_size)
    assert recipe.ensemble_size * sum(each["count"] for each in layers) == model.count_params()
    assert not any("member" in each["name"] for each in layers)
    assert [each["name"] for each in layers if "softmax" in each["purpose"].lower()] == ["logits"]
    maps = [each for each in layers if len(each["output"]) == 3]
    for each in maps:
        each["output"] = [None, None, each["output"][2]]  # it takes images of any size
    shown = network.describe(layers, 1)[: len(maps)]
    assert {each["shape"][:8] for each in shown} == {"any×any×"}
    assert not any(each["picture"] for each in shown)
