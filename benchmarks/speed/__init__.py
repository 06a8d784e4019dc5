"""Time and memory.

- `predict`: `wardrobe predict` against Keras; processes and images that other benchmarks use.
- `serve`: `wardrobe serve` against MLServer. `load_generator`: the client process.
- `soak`: `wardrobe serve` under good and bad requests for a long time.
- `export`: each export format against Keras. `engine_speed`: the process that runs one of them.
- `scale`: `wardrobe predict --engine ray` against the plain command.
"""
