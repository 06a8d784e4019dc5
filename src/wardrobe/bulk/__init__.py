"""Classification of millions of images, on one machine or a Ray cluster.

job: the whole job, from inputs to Parquet files.
inputs: what the arguments name: images, lists, Parquet files, addresses.
manifest: the job's parts, stored next to its answers.
worker: classifies a part, on Ray or without it.
preparation: prepares images in a child process, which one of them may end.
ray_cluster: starts or joins Ray.
store: files on this machine or at an address.
"""
