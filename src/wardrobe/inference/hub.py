"""The Hugging Face Hub: a model from hf://OWNER/NAME[@REVISION], and a model to it with its card.

Only model.onnx is ever downloaded: a .keras or a pickle file can run code. huggingface_hub keeps
it in its cache, so it is downloaded once and works offline afterwards.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wardrobe.errors import ModelError
from wardrobe.inference.classifier import HUB

FILE = "model.onnx"

# huggingface_hub reads these when it is imported.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # stderr is for errors
os.environ.setdefault("HF_HUB_VERBOSITY", "error")

import huggingface_hub  # noqa: E402
from huggingface_hub import errors  # noqa: E402

REASONS = {  # error → what is said after the address; a subclass before its base
    errors.RevisionNotFoundError: ": there is no such revision; give a branch, tag or commit",
    errors.RepositoryNotFoundError: (
        ": there is no such repository, or your token may not use it; check the name, or run: hf "
        "auth login"
    ),
    errors.LocalEntryNotFoundError: (
        " is not in the cache, and the hub cannot be reached; check the network, HF_HUB_OFFLINE "
        "and HF_ENDPOINT"
    ),
    errors.EntryNotFoundError: (
        f" has no {FILE}; give a repository that wardrobe export --to-hub wrote"
    ),
}


def download(address: str) -> Path:
    """Returns the cached model.onnx of hf://OWNER/NAME or hf://OWNER/NAME@REVISION.

    Raises:
        ModelError: there is no such repository, revision or file, or the hub cannot be reached and
            the file is not in the cache.
    """
    name, _, revision = address.removeprefix(HUB).partition("@")
    with _explain_errors(address):
        return Path(huggingface_hub.hf_hub_download(name, FILE, revision=revision or None))


def upload(model: Path, metadata: dict[str, Any], name: str) -> str:
    """Uploads an .onnx file, its model card and its metadata; creates the repository if missing.

    Args:
        metadata: that of the file; see `Classifier.metadata`.
        name: OWNER/NAME, or NAME for a repository of the token's user.

    Returns:
        The address of the commit.

    Raises:
        ModelError: there is no token, it has no right to write, or the hub cannot be reached.
    """
    add = huggingface_hub.CommitOperationAdd
    config = {**metadata, "id2label": dict(enumerate(metadata["class_names"]))}
    with _explain_errors(name):
        api = huggingface_hub.HfApi()
        repository = api.create_repo(name, exist_ok=True).repo_id
        contents = {
            FILE: model.read_bytes(),
            "config.json": json.dumps(config, indent=2).encode(),
            "README.md": str(_write_card(repository, metadata)).encode(),
        }
        files = [add(path, content) for path, content in contents.items()]
        return api.create_commit(repository, files, commit_message="Upload model").commit_url


def _write_card(name: str, metadata: dict[str, Any]) -> huggingface_hub.ModelCard:
    data, split, n = metadata["data"], metadata["split"], metadata["n"]
    accuracy, classes = metadata["accuracy"], ", ".join(metadata["class_names"])
    low, high = metadata["accuracy_interval_95"]
    is_own = data not in ("fashion-mnist", "synthetic")
    source = "own images" if is_own else data
    front = huggingface_hub.ModelCardData(
        license="other" if is_own else "mit",  # of own photos, their owner knows
        library_name="onnxruntime",
        pipeline_tag="image-classification",
        tags=["clothing", "onnx", "wardrobe"],
        metrics=["accuracy"],
        model_name=name.partition("/")[2],
        eval_results=[
            huggingface_hub.EvalResult(
                task_type="image-classification",
                dataset_type="own-images" if is_own else data,
                dataset_name=source,
                dataset_split=split,
                metric_type="accuracy",
                metric_value=accuracy,
            )
        ],
    )
    return huggingface_hub.ModelCard(
        f"---\n{front.to_yaml()}\n---\n\n# {name}\n\n"
        f"A convolutional network that classifies images of clothing (28x28 pixels, 0-255, light "
        f"on black): recipe `{metadata['recipe']}` of Wardrobe, trained on {source}.\n\n"
        f"Accuracy {accuracy:.2%} on {n:,} {split} images "
        f"(95 % interval {low:.2%} to {high:.2%}).\n\nClasses: {classes}.\n\n"
        f"```sh\nwardrobe predict --model {HUB}{name} photo.jpg\n```\n"
    )


@contextmanager
def _explain_errors(address: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of huggingface_hub and of its HTTP client
        status = getattr(getattr(error, "response", None), "status_code", None)
        reason = ": " + " ".join(str(error).split())[:200]
        if status in (401, 403) or isinstance(error, errors.LocalTokenNotFoundError):
            reason = ": your token is missing or may not do this; run: hf auth login"
        reasons = (text for kind, text in REASONS.items() if isinstance(error, kind))
        raise ModelError(f"{address}{next(reasons, reason)}") from error
