"""The training loop and what it is made of.

- `loop`: trains a recipe, epoch by epoch.
- `sampling`: the images of each epoch; hard-example mining.
- `losses`, `schedules`, `muon`: losses and metrics, learning rates, the Muon optimizer.
- `precision`: bfloat16 or float32, as the devices allow.
- `live`: steps.csv and live.npz, by which a training is followed.
- `control`: pause, stop and another learning rate while training runs.
- `checkpoints`: the models that a run keeps on disk.
- `finder/`: the network that finds the garment in a photo.
- `distributed/`: several processes that train one model.
"""
