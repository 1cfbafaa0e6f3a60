"""Which packages a machine without network lacks for benchmarks/gpu.py, and the commands that bring them there.

    python benchmarks/gpu.py --wheels DIR                       on that machine: what is missing, by metadata alone
    python benchmarks/gpu.py --wheels DIR --has torch==2.11.0,... --python 3.12
                                                    elsewhere, where babycli is installed: with what those need

Owns the walk through requirements. Never uses pip or the network itself. A package that is not installed does not say
what it needs: so the first command prints the second, which knows.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
ALSO = ("pytest",)  # the checkpoints of the losses are those of the tests


@dataclass(slots=True)
class Missing:
    """What a machine lacks: by name, what asks for it."""

    asked_by: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)  # of these it is not known here what they need


def say_missing(folder: Path, has: str | None, python: str | None) -> int:
    """Prints what is missing and the next command; gives 0 where nothing is, else 1."""
    version = python or f"{sys.version_info.major}.{sys.version_info.minor}"
    if has is None:
        there: dict[str, str] = {
            canonicalize_name(each.metadata["Name"]): each.version for each in metadata.distributions()
        }
    else:
        there = {canonicalize_name(each.partition("==")[0]): each.partition("==")[2] for each in has.split(",") if each}
    missing = find_missing(there, version)
    if not missing.asked_by:
        print(f"nothing is missing for Python {version}")
        return 0
    for name, asker in missing.asked_by.items():
        print(f"missing: {name} (needed by {asker})")
    if has is None and missing.unknown:
        given = ",".join(f"{name}=={found}" for name, found in sorted(there.items()))
        print("\nwhat these need besides is known where babycli is installed; give this command there:")
        print(f"  python benchmarks/gpu.py --wheels {folder} --python {version} --has {given}")
        return 1
    for name in missing.unknown:
        print(f"{name} is not installed here either: what it needs is not in this list")
    pins = [f"{name}=={metadata.version(name)}" for name in missing.asked_by if name not in missing.unknown]
    print("\nget them where there is a network, and install them from the folder on the other machine:")
    print(f"  python -m pip download --dest {folder} --python-version {version} --only-binary :all: --no-deps "
          + " ".join([*pins, *missing.unknown]))  # fmt: skip
    print(f"  python -m pip install --no-index --no-deps --find-links {folder} {' '.join(missing.asked_by)}")
    return 1


def find_missing(there: Mapping[str, str], python: str) -> Missing:
    """Follows the requirements of babycli through the packages that are installed here."""
    wanted = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    waiting = [(requirement, "babycli") for requirement in wanted] + [(name, "the benchmark") for name in ALSO]
    missing, seen = Missing(), set[str]()
    machine = {"extra": "", "python_version": python, "python_full_version": f"{python}.0"}
    while waiting:
        text, asker = waiting.pop(0)
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        if name in seen or (requirement.marker is not None and not requirement.marker.evaluate(machine)):
            continue
        is_new_enough = not there.get(name) or requirement.specifier.contains(there[name], prereleases=True)
        if name in there and is_new_enough:
            continue  # with all that it needs
        seen.add(name)
        missing.asked_by[name] = f"{asker}: {requirement.specifier}, there is {there[name]}" if name in there else asker
        try:
            needed = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            missing.unknown.append(name)
            continue
        waiting += [(each, name) for each in needed]
    return missing
