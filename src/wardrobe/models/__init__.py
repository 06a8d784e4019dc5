"""Recipes as data, and the Keras models that they describe.

- `recipes`: the fields of a recipe, and the recipes that ship. It needs no Keras.
- `keras_settings`: Keras is loaded with the settings that Wardrobe needs.
- `architecture`: recipe → model; what is found in a model by its layers' names.
- `own_network`: the model that a Python file builds.
- `initializers`: initial weights, and the whitened first convolution.
- `batch_norm`: batch normalization, fused where the backend can.
- `tta`: test-time augmentation.
- `gradients`: gradients on each backend.
"""
