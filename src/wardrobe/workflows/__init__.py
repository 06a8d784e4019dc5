"""What a command does from start to end.

api: the functions behind the commands and the Python API; they check before Keras is loaded.
train_run: trains a run, scores it, and writes its folder.
explain_run: computes the chapters of a run's report.
opening: what is opened before Keras is loaded: a run's data and model.
starting: Keras, and the other processes of a distributed training.
export_run: writes a model in another format.
image_sheet: explains the prediction of one image.
"""
