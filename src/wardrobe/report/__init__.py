"""A run's numbers and pictures → one HTML page that needs no network to be read."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from wardrobe.runs import Run
from wardrobe.runs.files import atomic_write

# Each plot of the page, in the order of reading: its name, the chapter's heading, and what to look for in it.
CHAPTERS: tuple[tuple[str, str, str], ...] = (
    (
        "samples",
        "The data",
        "Training images, a row a class. The model sees exactly this: 28 by 28 grey pixels.",
    ),
    (
        "curves",
        "Learning",
        "Each epoch shows the network as many images as there are to train on: every one once, or, where the "
        "recipe says so, those that are hard for it several times. Validation images are never trained on: "
        "where training improves and validation does not, the network is learning its images by heart.",
    ),
    (
        "predictions",
        "What it answers",
        "The first images of the split, not picked: what the network says, how sure it is, and what the image is.",
    ),
    (
        "confidence",
        "How sure it is",
        "The probability of every class beside the image; the last rows are mistakes, if there are any. A "
        "good network that errs is torn between two classes rather than sure of a wrong one.",
    ),
    (
        "confusion",
        "What it confuses",
        "Rows are what an image is, columns what it was taken for. Everything off the diagonal is a mistake.",
    ),
    (
        "per_class",
        "Class by class",
        "Precision and recall far apart mean a class that is named too often, or too seldom.",
    ),
    (
        "reliability",
        "How far to trust it",
        "The temperature divides all logits before the softmax. It is fitted on the validation split, changes "
        "no answer, and brings the stated confidence nearer to the truth, given enough images to tell.",
    ),
    (
        "mistakes",
        "The most confident mistakes",
        "Some are hard for a person too, and some labels are wrong.",
    ),
    (
        "confused",
        "The commonest confusions",
        "Each row is one kind of mistake. Ask yourself what you would have said: where two classes differ by "
        "a collar or a zip, 28 by 28 pixels may not show it.",
    ),
    (
        "label_errors",
        "Labels that are likely wrong",
        "Networks were trained on four fifths of the images and asked about the last fifth, until each image "
        "had been asked about. Shown are the labels that they doubt most. Judge by eye; the test images were "
        "not looked through.",
    ),
    (
        "filters",
        "The first layer",
        "The first convolution slides these small patterns over the image and answers where they fit: edges, "
        "bars and spots.",
    ),
    (
        "feature_maps",
        "Layer by layer",
        "Bright is where a filter found its pattern. The first layer's maps are still pictures of the "
        "garment, its edges and textures; the next layer combines them to parts, coarser in place and more "
        "particular in kind. The images are from the validation split.",
    ),
    (
        "parts",
        "What a part is made of",
        "A filter of the second layer looks for filters of the first, each in its place. The four that weigh "
        "most are drawn: what that filter looks for, and where in its window the second layer wants it.",
    ),
    (
        "maximised",
        "From edges to garments",
        "Starting from the mean garment, an image was changed, step by step, to excite one filter more, and "
        "made of patterns found in the data: that garments appear is put in, which of them appears is the "
        "network's. Early layers want edges, later ones parts, the last one whole garments.",
    ),
    (
        "exciting",
        "What makes a filter answer",
        "The training images that excite a filter most, and where in them. If the framed windows show the "
        "same thing, the filter has a meaning that a person can name.",
    ),
    (
        "probes",
        "How the classes come apart",
        "How well a linear classifier does if it is given what a layer gives, before, during and after "
        "training. Random convolutions keep what pixels have; squeezed into a few random sums behind them it is "
        "lost, and trained sums keep it: the distance to the grey line.",
    ),
    (
        "embedding",
        "The map that it made",
        "Each point is an image, as the layer before the last sees it, flattened to two dimensions. Where "
        "colours touch, the network is torn; t-SNE keeps neighbours together, but the distances between "
        "clusters mean nothing.",
    ),
    (
        "heat_maps",
        "Why this answer",
        "Grad-CAM shows where the last convolution found what speaks for the answer, and that alone; occlusion "
        "shows where a blurred patch makes the network less sure of it (red) or surer (blue).",
    ),
    (
        "map_check",
        "Are the heat maps true?",
        "A map that tells the truth names pixels without which the answer falls, and with which it rises; and "
        "it must change if the network forgets what it learnt. Compare with an order by chance, with "
        "brightness alone, and with the maps of a network of random weights.",
    ),
    (
        "selective",
        "When to say nothing",
        "If the network may keep silent where it is less sure than a threshold, the answers that it gives are "
        "right more often. The thresholds were chosen on validation images.",
    ),
    (
        "conformal",
        "Sets that keep a promise",
        "In place of one answer a set of classes, as large as it must be to hold the truth as often as "
        "promised. An empty set says: torn between classes, none of them likely enough.",
    ),
    (
        "unknown",
        "What it does not know",
        "Digits, noise and patterns are none of the classes, and a network has to say something. Familiarity, "
        "the logarithm of the sum of the logits' exponentials, tells some of them from clothing.",
    ),
    (
        "corruptions",
        "Bad light, bad lenses, bad aim",
        "The same images, changed as cameras and people change them. The network was not trained for it; what "
        "falls fast is what it takes for granted.",
    ),
    (
        "attacks",
        "Changes made to mislead",
        "Whoever knows the weights can find a small change of each pixel that misleads the network and that a "
        "person hardly sees. FGSM takes one step, PGD many.",
    ),
    (
        "attacked",
        "What such a change looks like",
        "A row a strength. Most of the garment stays what it was to you; see when the network's answer leaves it.",
    ),
)


def write_report(run: Run) -> Path:
    """Writes report.html from run.json, metrics.json, history.csv and those plots that the run has.

    Returns:
        The page's path.

    Raises:
        RunError: the run was not evaluated yet.
    """
    page = load_template("report.html").render(
        run=run.path.name,
        info=run.info(),
        metrics=run.metrics(),
        history=run.history(),
        chapters=_chapters(run),
    )
    with atomic_write(run.report_path) as path:
        path.write_text(page, encoding="utf-8")
    return run.report_path


def load_template(name: str, package: str = "wardrobe.report") -> jinja2.Template:
    """Returns a page template of `package`; values are escaped in HTML, and `percent` writes a share of 1."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=jinja2.select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share, digits=2: f"{100 * share:.{digits}f} %"
    return environment.get_template(name)


def _chapters(run: Run) -> list[Mapping[str, Any]]:
    return [
        {
            "name": name,
            "heading": heading,
            "text": text,
            "png": base64.b64encode(path.read_bytes()).decode(),
        }
        for name, heading, text in CHAPTERS
        if (path := run.plots_folder / f"{name}.png").is_file()
    ]
