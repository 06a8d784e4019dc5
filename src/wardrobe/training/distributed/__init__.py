"""Several processes that train one model with JAX.

- `launch`: which process this is. Loads no Keras.
- `supervisor`: runs the training process and reports how it ended. Loads no Keras.
- `collectives`: what the processes exchange.
"""
