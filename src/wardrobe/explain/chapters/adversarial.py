"""Accuracy under adversarial attacks."""

from typing import TYPE_CHECKING

import numpy as np

from wardrobe.report.chapter import Chapter, Findings

if TYPE_CHECKING:
    from wardrobe.explain.subject import Subject

IMAGES = 500  # each is attacked 5 times by FGSM, and by PGD with 20 steps
EXAMPLES = 7  # columns of the figure
EPSILONS = 0.01, 0.02, 0.03, 0.05, 0.1  # largest change of a pixel; 1 is black to white

FIGURES = {
    "attacks": (
        "Adversarial attacks",
        "An attacker who knows the weights can find a small change of each pixel that changes the "
        "prediction and that a person hardly notices. FGSM takes one step, PGD many.",
    ),
    "adversarial_examples": (
        "Adversarial examples",
        "Each row is a stronger attack. You still recognise most of the garments; watch where the "
        "prediction changes.",
    ),
}


def _measure_attacks(subject: "Subject") -> Findings:
    from wardrobe import plots
    from wardrobe.evaluation import adversarial, metrics
    from wardrobe.inference import confidence

    scored = subject.scored[: subject.limit_images(IMAGES)]  # the first: not selected
    images, labels, temperature = scored.images, scored.labels, subject.metrics["temperature"]
    gradient = adversarial.make_loss_gradient(subject.keras_model)  # without test-time augmentation

    def predict_examples(changed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        examples = changed[:EXAMPLES]
        return examples, confidence.softmax(subject.logits(examples), temperature)

    clean = metrics.accuracy(subject.logits(images), labels)  # 0-1, the same model as attacked
    rows: dict[str, dict[float, float]] = {"FGSM": {}, "PGD": {}}
    examples = {0.0: predict_examples(images)}  # epsilon → images, probabilities
    for epsilon in EPSILONS:
        for name, attack in (("FGSM", adversarial.fgsm), ("PGD", adversarial.pgd)):
            changed = attack(gradient, images, labels, epsilon)
            rows[name][epsilon] = metrics.accuracy(subject.logits(changed), labels)
        examples[epsilon] = predict_examples(changed)  # of PGD
    accuracy = {
        name: {str(epsilon): each for epsilon, each in row.items()} for name, row in rows.items()
    }
    return {
        "attacks": plots.robustness.plot_attacks(rows, clean, len(scored)),
        "adversarial_examples": plots.robustness.plot_adversarial_examples(
            examples, labels[:EXAMPLES], subject.dataset.class_names
        ),
    }, {"attacks": {"images": len(scored), "clean": clean, "accuracy": accuracy}}


CHAPTER = Chapter(
    "How robust it is against adversarial attacks", FIGURES, _measure_attacks, needs_keras=True
)
