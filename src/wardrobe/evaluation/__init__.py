"""How good and how honest predictions are. The only package that opens the test split.

scoring: a model's metrics on a split.
photos: a model's metrics on photos.
metrics: accuracy, log-likelihood, Brier score.
calibration: temperature scaling, reliability, expected calibration error.
selective: selective prediction.
conformal: prediction sets.
out_of_distribution: inputs that are not clothing.
corruptions: images that are noisy, blurred, badly lit or badly framed.
adversarial: FGSM and PGD.
"""
