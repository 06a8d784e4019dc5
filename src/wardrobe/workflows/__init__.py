"""What a command does from start to end.

api: the functions behind the commands and the Python API; they check before Keras is loaded.
planning: what a run trains: its recipe, and the network that it starts from.
opening: what is opened before Keras is loaded: a run's data and model.
starting: Keras, and the other processes of a distributed training.
train_run: trains a run, scores it, and writes its folder.
trackers: experiment trackers get what the run folder gets.
explain_run: computes the chapters of a run's report.
export_run: writes a model in another format.
image_sheet: explains the prediction of one image.
"""
