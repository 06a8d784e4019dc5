"""`wardrobe predict`."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from wardrobe.cli import options
from wardrobe.cli.app import INFERENCE, app, print_json
from wardrobe.errors import SomeFailedError, UsageError

RAY = "With --engine ray"  # the panel of its options
OTHER_ENGINE = "leave it out, or choose the other engine"


@app.command(rich_help_panel=INFERENCE)
def predict(
    paths: Annotated[
        list[str] | None,
        Argument(
            metavar="PATH...",
            help="Images, folders, glob patterns, https:// addresses, or '-' for standard input",
            show_default=False,
        ),
    ] = None,
    model: options.Model = None,
    top: Annotated[
        int | None,
        Option(min=1, help="Number of classes to list", show_default="2; all in JSON and CSV"),
    ] = None,
    csv: Annotated[Path | None, Option(help="Write the predictions to this CSV file")] = None,
    save_input: Annotated[Path | None, Option(help="Folder for PNGs of the model's input")] = None,
    camera: Annotated[
        bool, Option("--camera", help="Take a picture; the second camera is the PATH 'camera:1'")
    ] = False,
    engine: Annotated[str, Option(help="'local', or 'ray' for millions of images")] = "local",
    out: Annotated[
        str | None,
        Option(
            help="Output folder for Parquet files, or an address such as s3://bucket/answers. "
            "PATH can be an address, a .txt list, or Parquet with a column 'bytes'. Run the same "
            "command again to resume",
            rich_help_panel=RAY,
        ),
    ] = None,
    ray_address: Annotated[
        str | None,
        Option(
            help="Address of the Ray cluster",
            show_default="$RAY_ADDRESS, or this machine",
            rich_help_panel=RAY,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        Option(min=1, help="Number of processes", show_default="one per core", rich_help_panel=RAY),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Classify photos: class, confidence, runner-up, or that a photo is unlike the classes."""
    paths = [*(paths or []), *(["camera:0"] if camera else [])]
    if not paths:
        raise UsageError("no image is given; give a file, a folder, an address, or --camera")
    if engine == "ray":
        local = {"top": top, "csv": csv, "save_input": save_input}
        options.refuse(local, f"--engine ray; {OTHER_ENGINE}")
        return _predict_on_ray(paths, model, out, ray_address, workers, as_json)
    if engine != "local":
        raise UsageError(f"--engine {engine} is unknown; give 'local' or 'ray'")
    on_ray = {"out": out, "ray_address": ray_address, "workers": workers}
    options.refuse(on_ray, f"--engine local; {OTHER_ENGINE}")
    if csv is not None and as_json:
        raise UsageError("--csv and --json were both given; choose one")
    from wardrobe.inference import output

    done, failed = output.predict(
        paths, model, top=top, csv_path=csv, save_input=save_input, as_json=as_json
    )
    if failed:
        raise SomeFailedError(
            f"{failed:,} of {done + failed:,} could not be used; see the reason for each above"
        )


def _predict_on_ray(
    paths: list[str],
    model: str | None,
    out: str | None,
    ray_address: str | None,
    workers: int | None,
    as_json: bool,
) -> None:
    if out is None:
        raise UsageError("--engine ray was given without --out; give the output folder: --out DIR")
    from wardrobe.inference import streams

    refused = [path for path in paths if path == streams.STDIN or path.startswith(streams.CAMERA)]
    if refused:
        raise UsageError(
            f"{refused[0]!r} cannot be given with --engine ray; give files, folders, lists or "
            "Parquet"
        )
    from wardrobe.bulk import job

    done = job.classify(paths, model, out=out, ray_address=ray_address, workers=workers)
    if as_json:
        return print_json(done)
    new, before = done["images"] - done["images_before"], done["images_before"]
    earlier = f"; {before:,} already done" if before else ""
    print(
        f"{new:,} images in {done['seconds']:.1f} s, {done['images_per_second']:,.1f} images/s"
        f"{earlier}"
    )
    why = "; the column 'error' has the reasons" if done["failed"] else ""
    print(f"Written: {done['out']}; {done['failed']:,} of {done['images']:,} images failed{why}")
