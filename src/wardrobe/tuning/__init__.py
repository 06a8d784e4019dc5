"""Hyperparameter search.

search: tries values of a recipe's fields on the validation split, with Optuna.
"""
