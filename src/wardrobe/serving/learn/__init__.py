"""Learn, the page that shows a network while it is trained: its API.

- `routes`: what each path answers
- `training`: runs: start, control, follow, download
- `epochs`: a run's network at each of its epochs
- `runs`: the run that a path names
- `encoding`: run folder → JSON that any client reads
"""
