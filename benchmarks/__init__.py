"""Benchmarks, which write results/*.json, RESULTS.md, the model card and the essay. Not packaged.

- `__main__`: the command line, `python -m benchmarks NAME`.
- `results`: result files, and the pages that are made from them.
- `cached_runs`: training runs that later calls reuse or resume.
- `plots`: the figures of the benchmarks.
- `essay`: docs/how-a-cnn-sees.md.
- `accuracy`: how accurate recipes and models are.
- `speed`: time and memory of prediction, server, exported files and Ray.
"""
