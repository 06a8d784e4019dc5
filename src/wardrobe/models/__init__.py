"""Recipes as data, and the Keras models that they describe."""
