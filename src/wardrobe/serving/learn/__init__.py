"""Learn, the page that shows a network while it is trained: its API.

- `routes`: what each path answers
- `training`: runs: start, control, follow, download
- `runs`: the run that a path names
- `encoding`: run folder → JSON that any client reads
"""
