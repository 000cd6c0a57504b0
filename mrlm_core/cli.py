"""The command `mrlm`: make and check datasets, run the study, build the book."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mrlm_core.cli_data import MAKEABLE, add_data, is_dataset, pair, present
from mrlm_core.errors import ConfigError, UserError, problem

# Heavy libraries are imported where they are used: `mrlm --help` answers at once.

_SCHEDULER = "local (a worker a core, memory allowing) or the address of a Dask scheduler (all in this process)"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 when all is well, 1 when a chapter or the book failed, 2 for a user's mistake."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except UserError as error:
        print(f"mrlm: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mrlm: stopped; the same command goes on from here", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mrlm", description="A reproducibility study of the MRLM recommender.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    data = commands.add_parser("data", help="list, make or check datasets")
    add_data(data.add_subparsers(title="commands", required=True, metavar="COMMAND"))
    _add_study(commands.add_parser("study", help="run the chapters on a dataset"))
    _add_release(commands.add_parser("release", help="run the comparison of all models and release its records"))
    runs = commands.add_parser("runs", help="carry the finished runs of a long study to another machine")
    _add_runs(runs.add_subparsers(title="commands", required=True, metavar="COMMAND"))
    _add_book(commands.add_parser("book", help="build the book from the executed chapters"))
    _add_settings(commands.add_parser("settings", help="list every setting of a preset by its dotted name"))
    return parser


def _add_study(study: argparse.ArgumentParser) -> None:
    study.add_argument("dataset", metavar="NAME", help="a dataset under data/")
    study.add_argument("--preset", help="sizes: laptop, paper, paper-bookcrossing or tiny")
    study.add_argument("--seeds", type=int, metavar="N", help="number of seeds")
    study.add_argument("--trials", type=int, metavar="N", help="number of tuning trials")
    study.add_argument("--scheduler", metavar="S", help=_SCHEDULER)
    study.add_argument("--only", default="", metavar="01,03", help="these chapters only")
    study.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="settings",
                       help="any other notebook parameter (value in YAML); may be given again")
    study.add_argument("--force", action="store_true", help="run chapters that are up to date too")
    study.add_argument("--release", action="store_true",
                       help="keep the executed chapters with their output in book/results")
    study.set_defaults(run=_study)


_PLAN = {"preset": "laptop", "seeds": 3, "repeats": 1, "trials": 1, "minutes": None, "models": ""}  # unless asked for


def _add_release(release: argparse.ArgumentParser) -> None:
    release.add_argument("dataset", metavar="NAME", help="a dataset under data/")
    release.add_argument("--preset", help="sizes (%(default)s), as for study")
    release.add_argument("--seeds", type=int, metavar="N", help="number of splits and seeds (%(default)s)")
    release.add_argument("--repeats", type=int, metavar="N",
                         help="trainings on each split of the models the study is about (%(default)s)")
    release.add_argument("--trials", type=int, metavar="N",
                         help="settings tried a model, on validation (%(default)s)")
    release.add_argument("--minutes", type=float, metavar="M",
                         help="with --trials: so many minutes for a model's trials, shared out among them (no limit)")
    release.add_argument("--models", metavar="A,B,C", help="only these, in this order; others stay (all)")
    release.add_argument("--scheduler", metavar="S", help=_SCHEDULER)
    release.add_argument("--variants", nargs="?", const="", metavar="A; B; C",
                         help="run the variants of the released MRLM that claims need, not models; or only these")
    release.add_argument("--encoders", action="store_true", help="compare the encoders of its modalities, not models")
    release.add_argument("--weights", action="append", default=[], metavar="NETWORK=FILE",
                         help="with --encoders: weights of squeezenet or resnet50; may be given again")
    release.set_defaults(run=_release, **_PLAN)


def _add_runs(commands: Any) -> None:
    for name, does in (("keep", "copy them from runs/ to book/results/NAME/runs/, to be committed"),
                       ("take", "copy them back, to go on from them")):
        command = commands.add_parser(name, help=does)
        command.add_argument("dataset", metavar="NAME", help="a dataset under data/")
        command.set_defaults(run=_runs, does=name)


def _add_book(book: argparse.ArgumentParser) -> None:
    book.add_argument("--executed", type=Path, metavar="DIR", help="executed chapters, instead of book/executed")
    book.add_argument("--out", type=Path, metavar="DIR", help="the HTML goes to DIR/_build/html")
    book.add_argument("-q", "--quiet", action="store_true", help="show warnings only")
    book.set_defaults(run=_book)


def _add_settings(settings: argparse.ArgumentParser) -> None:
    settings.add_argument("--preset", default="laptop", help="sizes (laptop), as for study")
    settings.set_defaults(run=_settings)


def _study(arguments: argparse.Namespace) -> int:
    from mrlm_core.config import preset, workspace
    from mrlm_core.study.scheduler import check_scheduler

    folder = workspace() / "data" / arguments.dataset
    if not is_dataset(folder):
        there = ", ".join(present()) or "none"
        raise ConfigError(
            problem(f"dataset {arguments.dataset!r}", "a dataset folder in data/", "none of that name",
                    f"There: {there}. Make one with `mrlm data make NAME`: {', '.join(MAKEABLE)}.")
        )
    chosen = {name: getattr(arguments, name) for name in ("preset", "seeds", "trials", "scheduler")}
    parameters = {name: value for name, value in chosen.items() if value is not None}
    parameters |= {name: _value(text) for name, text in map(pair, arguments.settings)}
    preset(parameters.get("preset", "laptop"), parameters.get("settings"))  # before a chapter has begun
    check_scheduler(parameters.get("scheduler"))

    from mrlm_core.datasets import load_dataset
    from mrlm_core.study.notebooks import NotebookError, run_notebooks

    only = [name for name in arguments.only.split(",") if name]
    try:
        data_hash = load_dataset(folder).data_hash
        executed = run_notebooks(arguments.dataset, data_hash, parameters, only, arguments.force, _say)
    except NotebookError as error:
        print(f"mrlm: {error}", file=sys.stderr)
        return 1
    if arguments.release:
        from mrlm_core.study.released_chapters import release_chapters

        for kept in release_chapters(executed, arguments.dataset):
            _say(f"released: {kept}")
    return 0


def _settings(arguments: argparse.Namespace) -> int:
    from mrlm_core.config import preset, settings_of

    named = settings_of(preset(arguments.preset)).items()
    _say("\n".join(f"{name}: {list(value) if isinstance(value, tuple) else value}" for name, value in named))
    return 0


def _release(arguments: argparse.Namespace) -> int:
    if arguments.encoders:
        return _release_encoders(arguments)
    if arguments.weights:
        raise ConfigError(problem("--weights", "with --encoders", "without", "Leave it out; for models, weights are a "
                                  "setting or stand in dataset.yml."))
    if arguments.minutes is not None and (arguments.trials < 2 or not arguments.minutes > 0):
        raise ConfigError(problem("--minutes", "more than 0, with --trials of at least 2",
                                  f"{arguments.minutes:g} with --trials {arguments.trials}", "Correct one of them."))
    if arguments.variants is not None:
        return _release_variants(arguments)
    from mrlm_core.study.release import make_release
    from mrlm_core.study.released import Plan
    from mrlm_core.study.tune import ENDLESS

    seconds = ENDLESS if arguments.minutes is None else 60 * arguments.minutes
    plan = Plan(arguments.preset, arguments.seeds, arguments.repeats, arguments.trials, seconds)
    only = _names(arguments.models, ",")
    return _failures(make_release(arguments.dataset, plan, arguments.scheduler, _say, only).records)


def _names(text: str, separator: str) -> list[str]:
    return [name.strip() for name in text.split(separator) if name.strip()]


def _release_variants(arguments: argparse.Namespace) -> int:
    if other := [f"--{name}" for name, usual in _PLAN.items() if getattr(arguments, name) != usual]:
        raise ConfigError(problem(other[0], "left out with --variants, which takes it from the release",
                                  str(getattr(arguments, other[0][2:])), "Leave it out."))
    from mrlm_core.study.release_variants import release_variants

    only = _names(arguments.variants, ";")  # names of variants have commas
    return _failures(release_variants(arguments.dataset, arguments.scheduler, _say, only))


def _failures(records: Sequence[Any]) -> int:
    """Tell of each run that failed; 1 if any did."""
    failed = [record for record in records if record.failed and not record.lack]
    for record in failed:
        print(f"mrlm: {record.label} failed: {record.data['error']}", file=sys.stderr)
    return int(bool(failed))


def _runs(arguments: argparse.Namespace) -> int:
    from mrlm_core.study import carried

    copies = {"keep": carried.keep, "take": carried.take}[arguments.does](arguments.dataset)
    print(f"{arguments.dataset}: {len(copies)} runs copied{f' to {copies[0].parent}' if copies else ', all are there'}")
    return 0


def _release_encoders(arguments: argparse.Namespace) -> int:
    from mrlm_core.config import preset
    from mrlm_core.datasets import load_dataset
    from mrlm_core.study.encoders import release
    from mrlm_core.study.spec import dataset_folder

    dataset = load_dataset(dataset_folder(arguments.dataset))
    weights = dict(map(pair, arguments.weights))
    file = release(dataset, preset(arguments.preset).preprocessing, weights, arguments.seeds)
    print(f"{dataset.name}: encoders compared in {file}")
    return 0


def _book(arguments: argparse.Namespace) -> int:
    from mrlm_core.study.book import BookError, build_book

    try:
        index = build_book(arguments.executed, arguments.out, quiet=arguments.quiet, say=_say)
    except BookError as error:
        print(f"mrlm: {error}", file=sys.stderr)
        return 1
    print(f"The book is at {index}")
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


def _value(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(problem(repr(text), "a value in YAML", "none", "Quote it.")) from error



if __name__ == "__main__":
    sys.exit(main())
