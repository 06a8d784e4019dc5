"""A search of Optuna's whose trials Ray Tune runs on a cluster: one a core, those that fall behind ended early."""

import functools
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from wardrobe.bulk import ray_cluster
from wardrobe.errors import WardrobeError
from wardrobe.models import recipes

if TYPE_CHECKING:
    import optuna

Fields = Mapping[str, Any]  # of a recipe: name → value
Report = Callable[[float], None]  # told the validation accuracy after each epoch

ACCURACY = "accuracy"
TRIES = 3  # of a trial whose machine is lost
SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # Optuna's study holds all that is kept
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the search, and not as if it were done
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
}


def search(
    study: "optuna.Study",
    storage: "optuna.storages.BaseStorage",
    space: Callable[["optuna.Trial"], None],
    tried: Callable[[Fields, Report], float],
    count: int,
    fewest: int,
    grace: int,
    folder: Path,
    address: str,
    stream: TextIO,
) -> None:
    """Has Ray Tune try `count` more sets of fields; what they gave stands in the study afterwards.

    Args:
        storage: where the study is.
        space: suggests a value for each field.
        tried: trains with the fields, on any node; returns the accuracy. Can be pickled.
        fewest, grace: trials, and epochs of one, before it may be ended early: it is below the median of the others.
        folder: for Ray Tune's own files, while it runs.
        stream: gets a line for each trial at its end.

    Raises:
        WardrobeError: there is no cluster at `address`, or a trial failed.
    """
    ray_cluster.check_reachable(address)
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    with ray_cluster.connect(address, None):
        from ray import tune
        from ray.tune.schedulers import MedianStoppingRule
        from ray.tune.search.optuna import OptunaSearch

        logging.getLogger("ray.tune").setLevel(logging.ERROR)
        searcher = OptunaSearch(
            space,
            ACCURACY,
            "max",
            study_name=study.study_name,
            storage=storage,
            sampler=study.sampler,
        )
        tuner = tune.Tuner(
            tune.with_resources(functools.partial(_trial, tried=tried), {"cpu": 1}),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=MedianStoppingRule(
                    "training_iteration",
                    ACCURACY,
                    "max",
                    grace_period=grace,
                    min_samples_required=fewest,
                ),
                num_samples=count,
            ),
            run_config=tune.RunConfig(
                name="ray",
                storage_path=str(folder.resolve()),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=TRIES - 1),
                callbacks=[_told(stream)],
            ),
        )
        try:
            results = tuner.fit()
        finally:
            shutil.rmtree(folder / "ray", ignore_errors=True)
    if results.errors:
        raise WardrobeError(
            f"a trial failed ({str(results.errors[0]).strip().splitlines()[-1]}); the others are kept"
        )


def _trial(fields: Fields, tried: Callable[[Fields, Report], float]) -> None:
    from ray import tune

    tune.report({ACCURACY: tried(fields, lambda accuracy: tune.report({ACCURACY: accuracy}))})


def _told(stream: TextIO) -> Any:
    from ray import tune

    class Told(tune.Callback):
        def on_trial_complete(
            self, iteration: int, trials: list[Any], trial: Any, **info: Any
        ) -> None:
            fields = ", ".join(
                f"{name} {recipes.format_value(value)}" for name, value in trial.config.items()
            )
            print(f"trial  {trial.last_result[ACCURACY]:.2%}  {fields}", file=stream, flush=True)

    return Told()
