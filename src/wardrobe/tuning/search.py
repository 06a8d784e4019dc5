"""Searches a recipe's fields for the best validation accuracy, with Optuna."""

import hashlib
import io
import itertools
import json
import shlex
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from wardrobe import runs
from wardrobe.data import Dataset, load_training_data
from wardrobe.errors import UsageError, WardrobeError
from wardrobe.models import keras_settings, recipes
from wardrobe.models.recipes import Recipe
from wardrobe.percent import format_percent
from wardrobe.terminal.progress import TrainingDisplay
from wardrobe.workflows.planning import plan, recipe_files

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

Suggest = Callable[["Trial", str, Recipe], Any]  # trial, field, recipe → the value to try


def _choice(*values: Any) -> Suggest:
    return lambda trial, field, _: trial.suggest_categorical(field, values)


def _range(low: float, high: float, step: float) -> Suggest:
    return lambda trial, field, _: trial.suggest_float(field, low, high, step=step)


# The values that a field may take. Fields that change the cost of an epoch are left out, so that
# trials are comparable.
SEARCH_SPACE: dict[str, Suggest] = {
    "learning_rate": lambda trial, field, recipe: trial.suggest_float(
        field, recipe.learning_rate / 4, recipe.learning_rate * 4, log=True
    ),
    "batch_size": _choice(32, 64, 128, 256, 512),
    "dropout": _range(0.0, 0.5, step=0.05),
    "alternating_flip": _choice(False, True),
    "max_shift": lambda trial, field, _: trial.suggest_int(field, 0, 3),
    "erase_probability": _range(0.0, 0.5, step=0.1),
    "hard_fraction": _range(0.2, 1.0, step=0.1),
    "weight_decay": _range(0.0, 0.5, step=0.05),
    "optimizer": _choice("adam", "muon"),
    "schedule": _choice("constant", "warmup-linear"),
}
JOURNAL = ".journal"  # the suffix of an Optuna journal file, which several hosts can share
STARTUP_TRIALS = 4  # that finish before any trial is pruned
HEARTBEAT = 60  # seconds; a trial whose process died is retried


def tune(
    name: str | Path,
    trials: int,
    fields: Sequence[str],
    *,
    data: str,
    data_dir: Path | None,
    epochs: int | None,
    limit: int | None,
    out: Path | None,
    storage: str | None,
    stream: TextIO,
    photos_dir: Path | None = None,
) -> dict[str, Any]:
    """Tries values of a recipe's fields until the study has `trials` trials, and returns the best.

    The first trial is the unchanged recipe. A trial is pruned when its validation accuracy after an
    epoch is below the median of the earlier trials. Call it again with the same `out` or `storage`
    to resume.

    Args:
        name: recipe name, or the path of its file.
        trials: number of trials in total, earlier ones included, 1 or more.
        fields: fields to vary, keys of `SEARCH_SPACE`.
        data, data_dir, limit, photos_dir: as in `load_training_data`.
        epochs: epochs of each trial; None: the recipe's.
        out: folder for study.db, the run of the current trial, and the best recipe, best.toml;
            None: runs/tune-RECIPE.
        storage: where the trials are kept instead of study.db, so that several hosts can search
            together: a file NAME.journal on a shared disk, or a database URL for SQLAlchemy.
        stream: gets a line for each finished trial.

    Returns:
        {"recipe", "trials", "accuracy", "recipe_accuracy", "fields", "python", "file", "command"}:
        validation accuracy of the best trial and of the unchanged recipe, 0-1; the best values of
        the fields; the best recipe as a line of Python; its TOML file, and the shell command that
        trains it. "recipe_accuracy" is None if that trial has not completed.

    Raises:
        UsageError: the recipe or a field is unknown, `trials` is below 1, or the storage cannot be
            opened.
        WardrobeError: no trial completed.
    """
    recipe = plan.choose_recipe(name, {}, epochs)
    plan.refuse_network(recipe, "wardrobe tune")
    out = out or runs.ROOT / f"tune-{recipe.name}"
    if not fields or not set(fields) <= SEARCH_SPACE.keys():
        raise UsageError(
            f"--fields {','.join(fields)} cannot be tuned; choose from {', '.join(SEARCH_SPACE)}"
        )
    if trials < 1:
        raise UsageError(f"--trials {trials} is too small; give 1 or more")
    runs.check_writable(out)
    opened = _open_storage(storage, out)  # before the data, which may take long to load
    whole = replace(recipe, held_out=None)  # trials are compared on all validation images
    dataset = load_training_data(whole, data, data_dir, limit, photos_dir)
    title = name_study(recipe, dataset, limit)
    study = _open_study(title, recipe, fields, opened, storage is not None)
    done = _count_finished(study)
    left = max(trials - done, 0)
    print(f"{recipe.name} on {dataset.name}: {done} trials done, {left} to go", file=stream)
    if left:
        import optuna

        finished = [state for state in optuna.trial.TrialState if state.is_finished()]
        study.optimize(
            _make_objective(recipe, fields, dataset, out),
            callbacks=[
                lambda _, trial: _print_trial(trial, stream),
                optuna.study.MaxTrialsCallback(trials, states=finished),  # on all hosts
            ],
        )
    best = _describe_best(study, recipe)
    file = out / "best.toml"
    recipe_files.write(replace(recipe, **best["fields"]), file)
    places = {"--data-dir": data_dir, "--photos-dir": photos_dir, "--limit": limit}
    words = ["wardrobe", "train", "--recipe", file, "--data", data]
    words += [word for pair in places.items() if pair[1] is not None for word in pair]
    return {**best, "file": str(file), "command": shlex.join(map(str, words))}


def name_study(recipe: Recipe, dataset: Dataset, limit: int | None) -> str:
    """Returns the name of the study; another recipe or other data gives another name."""
    fields = asdict(recipe), dataset.checksums, dataset.class_names
    digest = hashlib.sha256(json.dumps(fields).encode()).hexdigest()[:8]
    images = f"{limit or 'all'} images of {dataset.name}"  # not "auto" or a link, which may change
    return f"{recipe.name}, {recipe.epochs} epochs of {images}, {digest}"


def _count_finished(study: "Study") -> int:
    return sum(trial.state.is_finished() for trial in study.trials)


def _open_study(
    title: str, recipe: Recipe, fields: Sequence[str], storage: "BaseStorage", is_shared: bool
) -> "Study":
    """Opens the study, or creates it with the unchanged recipe as its first trial."""
    import optuna

    study = optuna.create_study(
        study_name=title,  # other settings make another study in the same storage
        storage=storage,
        sampler=optuna.samplers.TPESampler(
            seed=None if is_shared else 0,  # hosts with the same seed would try the same values
            constant_liar=is_shared,  # keeps away from the values that other hosts are trying
        ),
        pruner=optuna.pruners.MedianPruner(STARTUP_TRIALS, n_warmup_steps=recipe.epochs // 3),
        direction="maximize",  # validation accuracy
        load_if_exists=True,  # resumes
    )
    if not study.trials:
        unchanged = {field: getattr(recipe, field) for field in fields}
        study.enqueue_trial(unchanged, skip_if_exists=True)  # hosts may start together
    return study


def _open_storage(storage: str | None, folder: Path) -> "BaseStorage":
    """Opens a NAME.journal file, a database by its URL, or study.db in `folder`."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if storage is not None and storage.endswith(JOURNAL):
            Path(storage).parent.mkdir(parents=True, exist_ok=True)
            return optuna.storages.JournalStorage(JournalFileBackend(storage))
        with warnings.catch_warnings():  # the heartbeat is marked as experimental
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.storages.RDBStorage(
                storage or f"sqlite:///{folder / 'study.db'}",
                heartbeat_interval=HEARTBEAT,
                heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
            )
    except Exception as error:  # SQLAlchemy, each database driver and the disk raise their own
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"--storage {storage} cannot be opened ({reason}); give NAME.journal on a shared disk, "
            "or a database URL such as postgresql://USER:PASSWORD@HOST/NAME"
        ) from error


def _make_objective(
    recipe: Recipe, fields: Sequence[str], dataset: Dataset, folder: Path
) -> Callable[["Trial"], float]:
    """Returns the function that Optuna maximises: trial → validation accuracy."""
    import optuna

    def train_trial(trial: "Trial") -> float:
        epochs = itertools.count(1)

        def report(accuracy: float) -> None:
            trial.report(accuracy, next(epochs))  # Optuna counts steps from 1 here, as epochs
            if trial.should_prune():
                raise optuna.TrialPruned

        values = {field: SEARCH_SPACE[field](trial, field, recipe) for field in fields}
        path = folder / f"trial-{trial.number}"
        return _validate(replace(recipe, **values), dataset, path, report)

    return train_trial


def _validate(
    recipe: Recipe, dataset: Dataset, path: Path, report: Callable[[float], None]
) -> float:
    """Trains a recipe and returns its validation accuracy. Its run folder exists only meanwhile."""
    with keras_settings.loading_keras():
        from wardrobe.workflows import train_run
    shutil.rmtree(path, ignore_errors=True)  # left by a killed process
    run = runs.create_run(recipe, path, data=dataset.name, seed=0)
    try:
        return float(train_run.validate(run, dataset, _EpochReporter(report))["accuracy"])
    finally:
        shutil.rmtree(path, ignore_errors=True)


class _EpochReporter(TrainingDisplay):
    """A display that prints nothing and passes on the validation accuracy of each epoch."""

    def __init__(self, report: Callable[[float], None]) -> None:
        super().__init__(io.StringIO())
        self._report = report

    def epoch(self, row: Mapping[str, float]) -> None:
        self._report(row["val_accuracy"])


def _print_trial(trial: "FrozenTrial", stream: TextIO) -> None:
    accuracy = "" if trial.value is None else format_percent(trial.value, 2)
    values = _format_fields(trial.params, " ")
    state = trial.state.name.lower()
    print(f"trial {trial.number + 1}  {state}  {accuracy}  {values}", file=stream, flush=True)


def _format_fields(fields: Mapping[str, Any], between: str) -> str:
    """Returns the fields of a trial, floats with three significant digits."""
    values = {k: f"{v:.3g}" if isinstance(v, float) else repr(v) for k, v in fields.items()}
    return ", ".join(field + between + value for field, value in values.items())


def _describe_best(study: "Study", recipe: Recipe) -> dict[str, Any]:
    complete = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    if not complete:
        raise WardrobeError(f"no trial of {recipe.name} completed; raise --trials")
    best = study.best_trial  # of the complete ones
    unchanged = {field: getattr(recipe, field) for field in best.params}
    values = _format_fields(best.params, "=")
    is_shipped = recipe.name in recipes.RECIPES
    base = f"wardrobe.recipes.get({recipe.name!r})" if is_shipped else repr(recipe)
    return {
        "recipe": recipe.name,
        "trials": _count_finished(study),
        "accuracy": best.value,
        "recipe_accuracy": next(
            (trial.value for trial in complete if trial.params == unchanged), None
        ),
        "fields": best.params,
        "python": f"dataclasses.replace({base}, {values})",
    }
