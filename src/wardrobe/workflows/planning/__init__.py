"""What a run trains: its recipe, and the trained network that it starts from. No Keras is loaded.

plan: the recipe with its settings, and the command that repeats it.
recipe_files: a recipe in a file.
sources: the trained network that training starts from, `--from`.
"""
