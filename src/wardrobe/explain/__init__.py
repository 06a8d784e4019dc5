"""Why a model predicts what it does: its layers, its heat maps, its data.

subject: a run opened for the chapters.
chapters: the chapters of the report, a module each.
filters: kernels, feature maps, and the images that activate a filter most.
activation_maximization: synthetic images that activate a filter.
probes: how well a linear classifier does on each layer's activations.
embedding: the features before the last layer, nearest neighbours, two-dimensional maps.
attribution: heat maps of a prediction.
onnx_sheet: one image's prediction, explained without Keras.
faithfulness: whether heat maps show what the model uses.
label_errors: labels that are probably wrong.
"""
