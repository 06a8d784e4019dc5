"""Runs for a page: trainings are started, controlled and followed; nothing here trains.

- `requests`: request body → what to train, as a command and in Python
- `own_classes`: images that a page sends → a folder of images
- `jobs`: start, resume, pause, stop, one training at a time
- `processes`: the process of a training
- `folders`: run folder → JSON; its status
- `progress`: how far a training is
- `events`: what is new in a run folder, as server-sent events
- `archive`: run folder → zip file
"""
