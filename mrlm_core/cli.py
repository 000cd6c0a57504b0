"""The command `mrlm`: make and check datasets, run the study, build the book."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mrlm_core.errors import ConfigError, UserError, nearest, problem

# Heavy libraries are imported where they are used: `mrlm --help` answers at once.

MAKEABLE = {
    "iot-shop": "the embedded dataset: a generated smart-shopping catalogue with five modalities (seconds)",
    "iot-shop-tiny": "the same at the size of the tests",
    "movielens-latest-small": "from a raw folder of GroupLens ml-latest-small (100,836 ratings)",
    "movielens-1m": "from a raw folder of GroupLens ml-1m (1,000,209 ratings)",
    "movielens-20m": "from a raw folder of GroupLens ml-20m (20,000,263 ratings)",
}
_MEDIA = ("plots", "posters", "knowledge", "entities")


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
    _add_data(data.add_subparsers(title="commands", required=True, metavar="COMMAND"))
    _add_study(commands.add_parser("study", help="run the chapters on a dataset"))
    _add_release(commands.add_parser("release", help="run the comparison of all models and release its records"))
    _add_book(commands.add_parser("book", help="build the book from the executed chapters"))
    return parser


def _add_data(commands: Any) -> None:
    listing = commands.add_parser("list", help="what can be made, and what is there")
    listing.set_defaults(run=_data_list)
    check = commands.add_parser("check", help="validate a dataset folder and print its statistics (Table 1)")
    check.add_argument("folder", type=Path, metavar="DIR")
    check.set_defaults(run=_data_check)

    make = commands.add_parser("make", help="generate or convert a dataset into data/NAME")
    make.add_argument("name", metavar="NAME", help=", ".join(MAKEABLE))
    make.add_argument("--out", type=Path, metavar="DIR", help="instead of data/NAME")
    make.add_argument("--force", action="store_true", help="replace a dataset that is there")
    generated = make.add_argument_group("generated datasets (iot-shop)")
    generated.add_argument("--size", choices=("tiny", "small"))
    for count in ("users", "items", "ratings", "seed"):
        generated.add_argument(f"--{count}", type=int, metavar="N")
    converted = make.add_argument_group("converted datasets (movielens-...)")
    converted.add_argument("--raw", type=Path, metavar="DIR", help="the publisher's files, as they were unpacked")
    converted.add_argument("--plots", type=Path, metavar="F", help="CSV with movie_id and text")
    converted.add_argument("--posters", type=Path, metavar="F", help="folder or archive of <movie_id>.jpg")
    converted.add_argument("--knowledge", type=Path, metavar="F", help="TSV with head, relation, tail")
    converted.add_argument("--entities", type=Path, metavar="F", help="CSV with movie_id and entity")
    converted.add_argument("--features", action="append", default=[], metavar="NAME=F",
                           help="ready-made features: npz with ids and features; may be given again")
    make.set_defaults(run=_data_make)


def _add_study(study: argparse.ArgumentParser) -> None:
    study.add_argument("dataset", metavar="NAME", help="a dataset under data/")
    study.add_argument("--preset", help="sizes: laptop, paper, paper-bookcrossing or tiny")
    study.add_argument("--seeds", type=int, metavar="N", help="number of seeds")
    study.add_argument("--trials", type=int, metavar="N", help="number of tuning trials")
    study.add_argument("--only", default="", metavar="01,03", help="these chapters only")
    study.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="settings",
                       help="any other notebook parameter (value in YAML); may be given again")
    study.add_argument("--force", action="store_true", help="run chapters that are up to date too")
    study.set_defaults(run=_study)


def _add_release(release: argparse.ArgumentParser) -> None:
    release.add_argument("dataset", metavar="NAME", help="a dataset under data/")
    release.add_argument("--preset", default="laptop", help="sizes (laptop), as for study")
    release.add_argument("--seeds", type=int, default=3, metavar="N", help="number of splits and seeds (3)")
    release.add_argument("--trials", type=int, default=1, metavar="N", help="settings tried a model, on validation (1)")
    release.add_argument("--minutes", type=float, metavar="M",
                         help="with --trials: a model's trials start within so many minutes of its own (no limit)")
    release.add_argument("--encoders", action="store_true", help="compare the encoders of its modalities, not models")
    release.add_argument("--weights", action="append", default=[], metavar="NETWORK=FILE",
                         help="with --encoders: weights of squeezenet or resnet50; may be given again")
    release.set_defaults(run=_release)


def _add_book(book: argparse.ArgumentParser) -> None:
    book.add_argument("--executed", type=Path, metavar="DIR", help="executed chapters, instead of book/executed")
    book.add_argument("--out", type=Path, metavar="DIR", help="the HTML goes to DIR/_build/html")
    book.add_argument("-q", "--quiet", action="store_true", help="show warnings only")
    book.set_defaults(run=_book)


def _data_list(arguments: argparse.Namespace) -> int:
    print("Can be made with `mrlm data make NAME`:")
    for name, text in MAKEABLE.items():
        print(f"  {name:24}{text}")
    present = _present()
    print("In data/:" if present else "Nothing in data/ yet.")
    for name, title in present.items():
        print(f"  {name:24}{title}")
    return 0


def _data_make(arguments: argparse.Namespace) -> int:
    from mrlm_core.config import workspace

    name = arguments.name
    if name not in MAKEABLE:
        raise ConfigError(problem(f"dataset {name!r}", "one that can be made", "an unknown name",
                                  nearest(name, MAKEABLE)))
    make = _generate(arguments) if name.startswith("iot-shop") else _convert(arguments)
    out = arguments.out or workspace() / "data" / name
    with _free_place(out, arguments.force):
        make(out)
    print(f"{name}: made in {out}")
    return 0


def _generate(arguments: argparse.Namespace) -> Callable[[Path], Any]:
    _refuse(arguments, ("raw", *_MEDIA, "features"), "a converted dataset")
    size = arguments.size or ("tiny" if arguments.name == "iot-shop-tiny" else "small")
    counts = {f"n_{name}": getattr(arguments, name) for name in ("users", "items", "ratings")}
    from mrlm_core.datasets.iot_shop import make_iot_shop

    options = {**counts, "seed": arguments.seed}
    return lambda out: make_iot_shop(out, size=size, **{k: v for k, v in options.items() if v is not None})


def _convert(arguments: argparse.Namespace) -> Callable[[Path], Any]:
    _refuse(arguments, ("size", "users", "items", "ratings", "seed"), "a generated dataset")
    if arguments.raw is None:
        raise ConfigError(problem("--raw", "the folder with the publisher's files", "nothing",
                                  "Download and unpack it, then name it."))
    features = {key: Path(value) for key, value in map(_pair, arguments.features)}
    from mrlm_core.datasets.movielens import make_movielens

    media = {option: getattr(arguments, option) for option in _MEDIA}
    return lambda out: make_movielens(arguments.name, arguments.raw, out, **media, features=features)


def _refuse(arguments: argparse.Namespace, options: Sequence[str], kind: str) -> None:
    for option in options:
        if getattr(arguments, option) not in (None, []):
            raise ConfigError(problem(f"--{option}", f"with {kind}", f"with {arguments.name}", "Leave it out."))


@contextmanager
def _free_place(out: Path, force: bool) -> Iterator[None]:
    """See that ``out`` is free; an old dataset there is set aside, and put back when the new one is not made."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        yield
        return
    if not force:
        raise ConfigError(problem(str(out), "a place that is free", "files", "Give --force to make it anew, or --out."))
    if not _is_dataset(out):
        raise ConfigError(problem(str(out), "a dataset folder to replace", "other files", "Choose another --out."))
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as place:
        old = Path(place) / out.name
        out.rename(old)
        try:
            yield
        except BaseException:
            shutil.rmtree(out, ignore_errors=True)
            old.rename(out)
            raise


def _data_check(arguments: argparse.Namespace) -> int:
    from mrlm_core.datasets import load_dataset
    from mrlm_core.datasets.contract import describe

    dataset = load_dataset(arguments.folder)
    print(describe(dataset).map(lambda value: f"{value:,}").to_string())
    print("\nProblems:" if dataset.problems else "\nNo problems.")
    for found in dataset.problems:
        examples = f" (such as {', '.join(found.examples)})" if found.examples else ""
        print(f"  {found.where}: {found.count:,} {found.what}{examples}")
    return 0


def _study(arguments: argparse.Namespace) -> int:
    from mrlm_core.config import preset, workspace

    folder = workspace() / "data" / arguments.dataset
    if not _is_dataset(folder):
        present = ", ".join(_present()) or "none"
        raise ConfigError(
            problem(f"dataset {arguments.dataset!r}", "a dataset folder in data/", "none of that name",
                    f"There: {present}. Make one with `mrlm data make NAME`: {', '.join(MAKEABLE)}.")
        )
    if arguments.preset is not None:
        preset(arguments.preset)
    chosen = {name: getattr(arguments, name) for name in ("preset", "seeds", "trials")}
    parameters = {name: value for name, value in chosen.items() if value is not None}
    parameters |= {name: _value(text) for name, text in map(_pair, arguments.settings)}

    from mrlm_core.datasets import load_dataset
    from mrlm_core.study.notebooks import NotebookError, run_notebooks

    only = [name for name in arguments.only.split(",") if name]
    try:
        run_notebooks(arguments.dataset, load_dataset(folder).data_hash, parameters, only, arguments.force, _say)
    except NotebookError as error:
        print(f"mrlm: {error}", file=sys.stderr)
        return 1
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
    from mrlm_core.datasets import load_dataset
    from mrlm_core.study.comparison import comparison, release
    from mrlm_core.study.run import run_many
    from mrlm_core.study.spec import dataset_folder
    from mrlm_core.study.tune import ENDLESS, trials_of, tuned

    dataset = load_dataset(dataset_folder(arguments.dataset))
    specs = comparison(arguments.dataset, arguments.preset, arguments.seeds)
    seconds = ENDLESS if arguments.minutes is None else 60 * arguments.minutes
    records = run_many(tuned(specs, dataset, arguments.trials, seconds))
    trials = trials_of(specs, dataset) if arguments.trials > 1 else None
    print(f"{dataset.name}: {len(records)} records in {release(dataset.name, records, trials)}")
    for record in (record for record in records if record.failed):
        print(f"mrlm: {record.label} failed: {record.data['error']}", file=sys.stderr)
    return int(any(record.failed for record in records))


def _release_encoders(arguments: argparse.Namespace) -> int:
    from mrlm_core.config import preset
    from mrlm_core.datasets import load_dataset
    from mrlm_core.study.encoders import release
    from mrlm_core.study.spec import dataset_folder

    dataset = load_dataset(dataset_folder(arguments.dataset))
    weights = dict(map(_pair, arguments.weights))
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


def _present() -> dict[str, str]:
    """Name and title of each dataset folder in data/."""
    from mrlm_core.config import workspace

    return {folder.name: _title(folder) for folder in sorted((workspace() / "data").glob("*")) if _is_dataset(folder)}


def _is_dataset(folder: Path) -> bool:
    return (folder / "dataset.yml").is_file() or any(folder.glob("*.inter"))


def _title(folder: Path) -> str:
    import yaml

    file = folder / "dataset.yml"
    if not file.is_file():
        return "(RecBole's atomic files)"
    try:
        description = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return "(its dataset.yml cannot be read; `mrlm data check` says why)"
    return str(description.get("title", "")) if isinstance(description, dict) else ""


def _say(text: str) -> None:
    print(text, flush=True)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(problem(repr(text), "NAME=VALUE", "no `=`", "Write it as name=value."))
    return name, value


def _value(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(problem(repr(text), "a value in YAML", "none", "Quote it.")) from error



if __name__ == "__main__":
    sys.exit(main())
