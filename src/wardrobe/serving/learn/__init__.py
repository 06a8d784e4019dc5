"""Learn, the page that shows a network while it is trained: its API.

- `routes`: what each path answers
"""
