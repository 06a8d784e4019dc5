"""What a person sees in the terminal besides results.

- `console`: warnings and notices.
- `progress`: progress of training, downloads and bulk prediction.
"""
