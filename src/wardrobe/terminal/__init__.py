"""What a person sees in the terminal besides results.

- `console`: warnings and notices.
- `interrupts`: Ctrl-C and SIGTERM.
- `progress`: progress of training, downloads and bulk prediction.
"""
