"""Image file → upright RGB pixels.

- `decode`: opens and reads an image
- `limits`: what it may cost, checked before memory is allocated
- `repair`: damaged files whose pixels are complete
- `depth`: more than 8 bits per channel
"""
