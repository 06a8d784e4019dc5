"""The garment finder: a small U-Net that learns to draw the masks of GrabCut.

- `recipe`: its settings, and what they reach
- `teacher`: photos → the masks to learn, with GrabCut
- `unet`: the network, photo → mask
- `augment`: photos and masks → training batches
- `fit`: trains, exports and checks the finder
- `python -m wardrobe.training.finder`: all of it
"""
