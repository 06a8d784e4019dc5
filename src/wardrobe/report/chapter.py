"""A chapter of the report: its texts, and the function that computes and draws it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wardrobe.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Figures by name; measurements by name for explain.json; for figures that answer the pointer, the
# images that they show, from `explain.gallery`.
Findings = (
    tuple[dict[str, "Figure"], dict[str, Any]]
    | tuple[dict[str, "Figure"], dict[str, Any], dict[str, dict[str, Any]]]
)
# Figure name → heading and text; a text that depends on the run is a function of it.
Figures = Mapping[str, tuple[str, str | Callable[[Run], str]]]


@dataclass(frozen=True)
class Chapter:
    """One chapter. `explain/chapters/` has a module for each."""

    progress: str  # what the console prints while the chapter is computed
    figures: Figures
    compute: Callable[[Any], Findings]  # from an `explain.subject.Subject`
    needs_keras: bool = False  # False: works on a run that has only model.onnx
    needs_layers: bool = False  # True: of a recipe; left out for a network of one's own
    in_training: bool = False  # True: `wardrobe train` draws it; False: `wardrobe explain`
