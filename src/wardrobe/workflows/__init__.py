"""What a command does from start to end.

api: the functions behind the commands and the Python API; they check before Keras is loaded.
train_run: trains a run, scores it, and writes its folder.
explain_run: computes the chapters of a run's report.
export_run: writes a model in another format.
image_sheet: explains the prediction of one image.
"""
