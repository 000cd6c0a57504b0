"""The commands below `mrlm data`: list, make and check datasets."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mrlm_core.errors import ConfigError, nearest, problem

MAKEABLE = {
    "iot-shop": "the embedded dataset: a generated smart-shopping catalogue with five modalities (seconds)",
    "iot-shop-tiny": "the same at the size of the tests",
    "movielens-latest-small": "from a raw folder of GroupLens ml-latest-small (100,836 ratings)",
    "movielens-1m": "from a raw folder of GroupLens ml-1m (1,000,209 ratings)",
    "movielens-20m": "from a raw folder of GroupLens ml-20m (20,000,263 ratings)",
    "bookcrossing": "from a raw folder of BookCrossing's dump of 2004 (1,149,780 ratings)",
    "bookcrossing-implicit": "from interactions.csv, books.csv and users.csv of a filtered copy without ratings",
}
_OF_FILMS = ("plots", "posters", "knowledge", "entities", "features")
_OF_BOOKS = ("blurbs", "covers", "zeros")


def add_data(commands: Any) -> None:
    """The parsers of the commands."""
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
    converted = make.add_argument_group("converted datasets (movielens-..., bookcrossing...)")
    converted.add_argument("--raw", type=Path, metavar="DIR", help="the publisher's files, as they were unpacked")
    converted = make.add_argument_group("of films (movielens-...)")
    converted.add_argument("--plots", type=Path, metavar="F", help="CSV with movie_id and text")
    converted.add_argument("--posters", type=Path, metavar="F", help="folder or archive of <movie_id>.jpg")
    converted.add_argument("--knowledge", type=Path, metavar="F", help="TSV with head, relation, tail")
    converted.add_argument("--entities", type=Path, metavar="F", help="CSV with movie_id and entity")
    converted.add_argument("--features", action="append", default=[], metavar="NAME=F",
                           help="ready-made features: npz with ids and features; may be given again")
    converted = make.add_argument_group("of books (bookcrossing...)")
    converted.add_argument("--blurbs", type=Path, metavar="F", help="CSV with isbn and text")
    converted.add_argument("--covers", type=Path, metavar="F", help="folder or archive of <isbn>.jpg")
    converted.add_argument("--zeros", metavar="WHAT",
                           help="what a book read but not rated is: left-out (if not given), negatives, positives")
    make.set_defaults(run=_data_make)


def _data_list(arguments: argparse.Namespace) -> int:
    print("Can be made with `mrlm data make NAME`:")
    for name, text in MAKEABLE.items():
        print(f"  {name:24}{text}")
    there = present()
    print("In data/:" if there else "Nothing in data/ yet.")
    for name, title in there.items():
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
    _refuse(arguments, ("raw", *_OF_FILMS, *_OF_BOOKS), "a converted dataset")
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
    if arguments.name.startswith("bookcrossing"):
        _refuse(arguments, _OF_FILMS, "movielens-...")
        from mrlm_core.datasets.bookcrossing import make_bookcrossing

        given = {option: getattr(arguments, option) for option in _OF_BOOKS}
        return lambda out: make_bookcrossing(arguments.name, arguments.raw, out, **given)
    _refuse(arguments, _OF_BOOKS, "bookcrossing...")
    from mrlm_core.datasets.movielens import make_movielens

    media = {option: getattr(arguments, option) for option in _OF_FILMS if option != "features"}
    features = {key: Path(value) for key, value in map(pair, arguments.features)}
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
    if not is_dataset(out):
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


def present() -> dict[str, str]:
    """Name and title of each dataset folder in data/."""
    from mrlm_core.config import workspace

    return {folder.name: _title(folder) for folder in sorted((workspace() / "data").glob("*")) if is_dataset(folder)}


def is_dataset(folder: Path) -> bool:
    """Whether ``folder`` holds a dataset of ours or RecBole's atomic files."""
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


def pair(text: str) -> tuple[str, str]:
    """(name, value) of "name=value"; raises ConfigError for any other text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(problem(repr(text), "NAME=VALUE", "no `=`", "Write it as name=value."))
    return name, value
