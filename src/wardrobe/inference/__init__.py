"""A model file at work, without Keras or TensorFlow.

- `classifier`: `Classifier`, images → predictions
- `engines`: ONNX Runtime, LiteRT and OpenVINO behind one interface
- `confidence`: logits → probabilities and familiarity
- `predict`: paths → predictions; `output`: predictions → lines, JSON, CSV
- `activations`: the layers of a model.onnx; `occlusion`: an attribution map for any model
"""
