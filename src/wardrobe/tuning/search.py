"""Searches a recipe's fields for the best score on the validation split, with Optuna. The test split stays closed."""

import functools
import io
import itertools
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from wardrobe import runs
from wardrobe.data import AUTO, FASHION_MNIST, SYNTHETIC, Dataset, load_data
from wardrobe.errors import UsageError, WardrobeError
from wardrobe.models import recipes
from wardrobe.models.recipes import Recipe
from wardrobe.terminal import console
from wardrobe.terminal.progress import PlainDisplay
from wardrobe.tuning import ray_search
from wardrobe.tuning.ray_search import Fields, Report

if TYPE_CHECKING:
    import optuna

Space = Callable[["optuna.Trial", Recipe], Any]

# What a field may become. Those that change what an epoch costs are left out, so that trials can be compared.
SPACES: dict[str, Space] = {
    "learning_rate": lambda trial, recipe: trial.suggest_float(
        "learning_rate", recipe.learning_rate / 4, recipe.learning_rate * 4, log=True
    ),
    "batch_size": lambda trial, _: trial.suggest_categorical("batch_size", [32, 64, 128, 256, 512]),
    "dropout": lambda trial, _: trial.suggest_float("dropout", 0.0, 0.5, step=0.05),
    "alternating_flip": lambda trial, _: trial.suggest_categorical(
        "alternating_flip", [False, True]
    ),
    "max_shift": lambda trial, _: trial.suggest_int("max_shift", 0, 3),
    "erase_probability": lambda trial, _: trial.suggest_float(
        "erase_probability", 0.0, 0.5, step=0.1
    ),
    "hard_fraction": lambda trial, _: trial.suggest_float("hard_fraction", 0.2, 1.0, step=0.1),
    "weight_decay": lambda trial, _: trial.suggest_float("weight_decay", 0.0, 0.5, step=0.05),
    "optimizer": lambda trial, _: trial.suggest_categorical("optimizer", ["adam", "muon"]),
    "schedule": lambda trial, _: trial.suggest_categorical(
        "schedule", ["constant", "warmup-linear"]
    ),
}
JOURNAL = ".journal"  # how the name of Optuna's file for several hosts ends
FEWEST_TRIALS = 4  # that run to their end before any is pruned


def tune(
    name: str,
    trials: int,
    fields: Sequence[str],
    *,
    data: str,
    data_dir: Path | None,
    epochs: int | None,
    limit: int | None,
    out: Path,
    storage: str | None,
    address: str | None,
    stream: TextIO,
) -> dict[str, Any]:
    """Tries a recipe with other values of `fields` until there are `trials` trials, and returns the best.

    The first trial is the recipe as it is. A trial whose validation accuracy after an epoch is below the median of
    those before it is ended early. Called again with the same folder it goes on, also after a kill.

    Args:
        out: gets study.db, where Optuna keeps the trials, and the trial's run while it is trained.
        storage: where the trials are kept in place of study.db, so that several hosts can search together: a file
            NAME.journal on a disk that all of them see, or the URL of a database, as SQLAlchemy writes it.
        address: of a Ray cluster, on whose cores Ray Tune runs the trials; None: here, one after the other.

    Returns:
        {"recipe", "trials", "accuracy", "accuracy_as_it_is", "fields", "python"}: accuracies on validation, 0-1; the
        best values of the fields; the recipe as a line of Python. The accuracy as it is may be None: that trial is
        under way on another host, or was lost.

    Raises:
        UsageError: an unknown recipe or field, no trial, or a storage that cannot be opened.
        WardrobeError: there is no such cluster, or a trial failed there.
    """
    recipe = recipes.with_epochs(recipes.get(name), epochs)
    unknown = [field for field in fields if field not in SPACES]
    if unknown or not fields:
        raise UsageError(
            f"--fields {','.join(fields)}: {', '.join(SPACES)} can be tuned; choose among these"
        )
    if trials < 1:
        raise UsageError(f"--trials {trials} tries nothing; give 1 or more")
    title = f"{name}, {recipe.epochs} epochs of {limit or 'all'} images of {data}"
    kept = _opened(storage, out)
    study = _study(title, recipe, fields, kept, shared=storage is not None or address is not None)
    dataset = load_data(data, data_dir, limit)
    left = trials - _finished(study)
    print(
        f"{recipe.name} on {dataset.name}: {_finished(study)} trials are done, {max(left, 0)} to go",
        file=stream,
    )
    if left > 0 and address is None:
        study.optimize(
            _objective(recipe, fields, dataset, out),
            callbacks=[
                lambda _, trial: _tell(trial, stream),
                lambda study, _: _stop_at(trials, study),
            ],
        )
    elif left > 0 and address is not None:
        place = data if data in (AUTO, FASHION_MNIST, SYNTHETIC) else str(Path(data).resolve())
        on_node = functools.partial(
            _tried_on_node, recipe, place, data_dir and data_dir.resolve(), limit
        )
        suggest = functools.partial(_suggested, recipe=recipe, fields=fields)
        grace = max(1, recipe.epochs // 3)
        ray_search.search(
            study, kept, suggest, on_node, left, FEWEST_TRIALS, grace, out, address, stream
        )
    return _best(study, recipe)


def _finished(study: "optuna.Study") -> int:
    """Returns how many trials have ended, those of other hosts included."""
    return sum(trial.state.is_finished() for trial in study.trials)


def _stop_at(trials: int, study: "optuna.Study") -> None:
    if _finished(study) >= trials:
        study.stop()


def _study(
    title: str,
    recipe: Recipe,
    fields: Sequence[str],
    storage: "optuna.storages.BaseStorage",
    shared: bool,
) -> "optuna.Study":
    """Opens the study, or makes it, the recipe as it is its first trial.

    Args:
        shared: several trials go on at once.
    """
    import optuna

    study = optuna.create_study(
        study_name=title,
        storage=storage,
        sampler=optuna.samplers.TPESampler(
            seed=None if shared else 0,  # hosts that search together must not try the same
            constant_liar=shared,
        ),
        pruner=optuna.pruners.MedianPruner(FEWEST_TRIALS, n_warmup_steps=recipe.epochs // 3),
        direction="maximize",
        load_if_exists=True,
    )
    as_it_is = {field: getattr(recipe, field) for field in fields}
    if not study.trials:
        study.enqueue_trial(as_it_is, skip_if_exists=True)
    return study


def _opened(storage: str | None, folder: Path) -> "optuna.storages.BaseStorage":
    """Opens a file NAME.journal, a database by its URL, or study.db in `folder`."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if storage is not None and storage.endswith(JOURNAL):
            Path(storage).parent.mkdir(parents=True, exist_ok=True)
            return optuna.storages.JournalStorage(JournalFileBackend(storage))
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", optuna.exceptions.ExperimentalWarning
            )  # of the heartbeat
            return optuna.storages.RDBStorage(
                storage or f"sqlite:///{folder / 'study.db'}",
                heartbeat_interval=60,  # seconds; a trial whose process died is tried again
                heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
            )
    except Exception as error:  # SQLAlchemy, each database's driver and the disk raise their own
        raise UsageError(
            f"--storage {storage} cannot be opened ({' '.join(str(error).split())[:200]}); give NAME.journal on a disk "
            "that all hosts see, or a database's URL, such as postgresql://USER:PASSWORD@HOST/NAME"
        ) from error


def _suggested(trial: "optuna.Trial", recipe: Recipe, fields: Sequence[str]) -> None:
    for field in fields:
        SPACES[field](trial, recipe)


def _objective(
    recipe: Recipe, fields: Sequence[str], dataset: Dataset, folder: Path
) -> Callable[["optuna.Trial"], float]:
    import optuna

    def accuracy(trial: "optuna.Trial") -> float:
        epochs = itertools.count(1)

        def report(value: float) -> None:
            trial.report(value, next(epochs))
            if trial.should_prune():
                raise optuna.TrialPruned

        _suggested(trial, recipe, fields)
        return _tried(
            replace(recipe, **trial.params), dataset, folder / f"trial-{trial.number}", report
        )

    return accuracy


def _tried_on_node(
    recipe: Recipe,
    data: str,
    data_dir: Path | None,
    limit: int | None,
    fields: Fields,
    report: Report,
) -> float:
    """Returns the accuracy of the recipe with other fields, trained where Ray has room for it."""
    dataset = load_data(data, data_dir, limit)
    with tempfile.TemporaryDirectory() as folder:
        return _tried(replace(recipe, **fields), dataset, Path(folder) / "trial", report)


def _tried(recipe: Recipe, dataset: Dataset, path: Path, report: Report) -> float:
    """Returns a recipe's accuracy on validation; its run lies in `path` meanwhile."""
    with console.loading_quietly():
        from wardrobe.workflows import train_run
    shutil.rmtree(path, ignore_errors=True)  # of one that was killed
    run = runs.create_run(recipe, path, data=dataset.name, seed=0)
    try:
        return float(train_run.validate(run, dataset, _Reporting(report))["accuracy"])
    finally:
        shutil.rmtree(path, ignore_errors=True)


class _Reporting(PlainDisplay):
    """Hands on the validation accuracy after each epoch."""

    def __init__(self, report: Report) -> None:
        super().__init__(io.StringIO())
        self.report = report

    def epoch(self, row: Mapping[str, float]) -> None:
        self.report(row["val_accuracy"])


def _tell(trial: "optuna.trial.FrozenTrial", stream: TextIO) -> None:
    shown = ", ".join(
        f"{field} {recipes.format_value(value)}" for field, value in trial.params.items()
    )
    score = "" if trial.value is None else f"{trial.value:.2%}"
    ended = trial.state.name.lower()
    print(f"trial {trial.number + 1}  {ended}  {score}  {shown}", file=stream, flush=True)


def _best(study: "optuna.Study", recipe: Recipe) -> dict[str, Any]:
    complete = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    if not complete:
        raise WardrobeError(f"no trial of {recipe.name} came to its end; give --trials more")
    best = study.best_trial
    as_it_is = {field: getattr(recipe, field) for field in best.params}
    changed = ", ".join(
        f"{field}={recipes.format_value(value)}" for field, value in best.params.items()
    )
    return {
        "recipe": recipe.name,
        "trials": _finished(study),
        "accuracy": best.value,
        "accuracy_as_it_is": next(
            (trial.value for trial in complete if trial.params == as_it_is), None
        ),
        "fields": best.params,
        "python": f"dataclasses.replace(wardrobe.recipes.get({recipe.name!r}), {changed})",
    }
