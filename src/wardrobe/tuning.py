"""Searches a recipe's fields for the best score on the validation split, with Optuna. The test split stays closed."""

import io
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from wardrobe import console, recipes, runs
from wardrobe.data import Dataset, load_data
from wardrobe.errors import UsageError
from wardrobe.progress import PlainDisplay
from wardrobe.recipes import Recipe

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
    "flip": lambda trial, _: trial.suggest_categorical("flip", [False, True]),
    "shift": lambda trial, _: trial.suggest_int("shift", 0, 3),
    "erase": lambda trial, _: trial.suggest_float("erase", 0.0, 0.5, step=0.1),
    "hardest": lambda trial, _: trial.suggest_float("hardest", 0.2, 1.0, step=0.1),
    "weight_decay": lambda trial, _: trial.suggest_float("weight_decay", 0.0, 0.5, step=0.05),
    "optimizer": lambda trial, _: trial.suggest_categorical("optimizer", ["adam", "muon"]),
    "schedule": lambda trial, _: trial.suggest_categorical("schedule", ["constant", "one-cycle"]),
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
    folder: Path,
    storage: str | None,
    stream: TextIO,
) -> dict[str, Any]:
    """Tries a recipe with other values of `fields` until there are `trials` trials, and returns the best.

    The first trial is the recipe as it is. A trial whose validation accuracy after an epoch is below the median of
    those before it is ended early. Called again with the same folder it goes on, also after a kill.

    Args:
        folder: gets study.db, where Optuna keeps the trials, and the trial's run while it is trained.
        storage: where the trials are kept in place of study.db, so that several hosts can search together: a file
            NAME.journal on a disk that all of them see, or the URL of a database, as SQLAlchemy writes it.

    Returns:
        {"recipe", "trials", "accuracy", "accuracy_as_it_is", "fields", "python"}: accuracies on validation, 0-1; the
        best values of the fields; the recipe as a line of Python.

    Raises:
        UsageError: an unknown recipe or field, no trial, or a storage that cannot be opened.
    """
    recipe = recipes.lasting(recipes.get(name), epochs)
    unknown = [field for field in fields if field not in SPACES]
    if unknown or not fields:
        raise UsageError(f"--fields {','.join(fields)}: {', '.join(SPACES)} can be tuned; choose among these")
    if trials < 1:
        raise UsageError(f"--trials {trials} tries nothing; give 1 or more")
    study = _study(
        f"{name}, {recipe.epochs} epochs of {limit or 'all'} images of {data}", recipe, fields, folder, storage
    )
    dataset = load_data(data, data_dir, limit)
    left = trials - _finished(study)
    print(f"{recipe.name} on {dataset.name}: {_finished(study)} trials are done, {max(left, 0)} to go", file=stream)
    if left > 0:
        study.optimize(
            _objective(recipe, fields, dataset, folder),
            callbacks=[lambda _, trial: _tell(trial, stream), lambda study, _: _stop_at(trials, study)],
        )
    return _best(study, recipe)


def _finished(study: "optuna.Study") -> int:
    """Returns how many trials have ended, those of other hosts included."""
    return sum(trial.state.is_finished() for trial in study.trials)


def _stop_at(trials: int, study: "optuna.Study") -> None:
    if _finished(study) >= trials:
        study.stop()


def _study(title: str, recipe: Recipe, fields: Sequence[str], folder: Path, storage: str | None) -> "optuna.Study":
    """Opens the study, or makes it, the recipe as it is its first trial."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    shared = storage is not None
    sampler = optuna.samplers.TPESampler(
        seed=None if shared else 0,  # hosts that search together must not try the same
        constant_liar=shared,
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of the heartbeat
            study = optuna.create_study(
                study_name=title,
                storage=_storage(storage or f"sqlite:///{folder / 'study.db'}"),
                sampler=sampler,
                pruner=optuna.pruners.MedianPruner(FEWEST_TRIALS, n_warmup_steps=recipe.epochs // 3),
                direction="maximize",
                load_if_exists=True,
            )
    except Exception as error:  # SQLAlchemy, each database's driver and the disk raise their own
        raise UsageError(
            f"--storage {storage} cannot be opened ({' '.join(str(error).split())[:200]}); give NAME.journal on a disk "
            "that all hosts see, or a database's URL, such as postgresql://USER:PASSWORD@HOST/NAME"
        ) from error
    if not study.trials:
        study.enqueue_trial({field: getattr(recipe, field) for field in fields})
    return study


def _storage(place: str) -> "optuna.storages.BaseStorage":
    """Opens a file NAME.journal, or a database by its URL."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    if place.endswith(JOURNAL):
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        return optuna.storages.JournalStorage(JournalFileBackend(place))
    return optuna.storages.RDBStorage(
        place,
        heartbeat_interval=60,  # seconds; a trial whose process died is tried again
        heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
    )


def _objective(
    recipe: Recipe, fields: Sequence[str], dataset: Dataset, folder: Path
) -> Callable[["optuna.Trial"], float]:
    with console.loading_quietly():
        from wardrobe import pipeline

    def accuracy(trial: "optuna.Trial") -> float:
        tried = replace(recipe, **{field: SPACES[field](trial, recipe) for field in fields})
        path = folder / f"trial-{trial.number}"
        shutil.rmtree(path, ignore_errors=True)  # of one that was killed
        run = runs.create(tried, path, data=dataset.name, seed=0)
        try:
            return float(pipeline.validate(run, dataset, _Pruning(trial))["accuracy"])
        finally:
            shutil.rmtree(path, ignore_errors=True)

    return accuracy


class _Pruning(PlainDisplay):
    """Tells Optuna of each epoch, and ends the trial when Optuna says so."""

    def __init__(self, trial: "optuna.Trial") -> None:
        super().__init__(io.StringIO())
        self.trial = trial

    def epoch(self, row: Mapping[str, float]) -> None:
        import optuna

        self.trial.report(row["val_accuracy"], int(row["epoch"]))
        if self.trial.should_prune():
            raise optuna.TrialPruned


def _tell(trial: "optuna.trial.FrozenTrial", stream: TextIO) -> None:
    shown = ", ".join(f"{field} {_short(value)}" for field, value in trial.params.items())
    score = "" if trial.value is None else f"{trial.value:.2%}"
    ended = trial.state.name.lower()
    print(f"trial {trial.number + 1}  {ended}  {score}  {shown}", file=stream, flush=True)


def _best(study: "optuna.Study", recipe: Recipe) -> dict[str, Any]:
    best, first = study.best_trial, study.trials[0]
    changed = ", ".join(f"{field}={_short(value)}" for field, value in best.params.items())
    return {
        "recipe": recipe.name,
        "trials": _finished(study),
        "accuracy": best.value,
        "accuracy_as_it_is": first.value,
        "fields": best.params,
        "python": f"dataclasses.replace(wardrobe.recipes.get({recipe.name!r}), {changed})",
    }


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else repr(value)
