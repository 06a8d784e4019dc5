"""Fashion-MNIST: its files are found in any form, or downloaded, and checked by their content.

- `files`: the published files, where they are looked for, and the download
- `forms`: IDX, gzipped or not, CSV, .npz and Parquet, each read as the bytes of IDX files

Source: arXiv 1708.07747 and its repository, zalandoresearch/fashion-mnist.
"""
