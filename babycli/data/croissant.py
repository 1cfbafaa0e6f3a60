"""A linked dataset in the words of Croissant 1.0 (JSON-LD): its label files with their columns, and checksums of all.

Owns the document. The checksums of pictures are those of the lock, as they were linked; no picture is read. Paths are
those in the dataset folder: the pictures are restricted, and nothing says where they could be fetched.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from babycli.data.datasets import joint_data_set
from babycli.data.labels import Labels
from babycli.data.lock import Lock
from babycli.data.manifest import full_name
from babycli.data.sources import link_command
from babycli.errors import DataError
from babycli.wording import listed

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
_TERMS = (  # all of them, as its programs expect, used here or not
    *("citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet", "format"),
    *("includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex"),
    *("repeated", "replace", "samplingRate", "separator", "source", "subField", "transform"),
)
_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in _TERMS},
}
_ENCODINGS = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
}
_ANY_FILE = "application/octet-stream"


def document(labels: Sequence[Labels], lock: Lock, root_words: str) -> dict[str, Any]:
    """Makes the document of these label files and the pictures that they name.

    ``root_words`` name the dataset folder in a command. Raises DataError for a picture without a checksum.
    """
    files = {of_task.task.label_path: of_task.sha256 for of_task in labels}
    for of_task in labels:
        files.update(_pictures(of_task, lock, root_words))
    data_set = joint_data_set(of_task.data_set for of_task in labels if of_task.data_set)
    title = data_set.title if data_set is not None else "several sets"
    names = ", ".join(full_name(of_task.task) for of_task in labels)
    note = f" {data_set.note}" if data_set is not None and data_set.note else ""
    papers = data_set.papers if data_set is not None else ()
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": f"babycli: {title}",
        "description": f"Label files of {names}, the pictures that they name, and the SHA-256 of each file.{note}",
        "conformsTo": CONFORMS_TO,
        **({"citeAs": "".join(paper.to_bibtex() for paper in papers)} if papers else {}),
        "distribution": [_file(path, sha256) for path, sha256 in files.items()],
        "recordSet": [_records(of_task) for of_task in labels if of_task.task.label_format == "csv"],
    }


def _pictures(labels: Labels, lock: Lock, root_words: str) -> Iterator[tuple[str, str]]:
    """Gives the path and the checksum of each picture that a label file names, link by link."""
    for link in dict.fromkeys(labels.task.links.values()):
        known = lock.links[link].sha256 if link in lock.links else {}
        names = labels.image_names(link)
        if lacking := [name for name in names if name not in known]:
            raise DataError(
                f"there is no checksum of {len(lacking)} of {len(names)} pictures behind {link}: {listed(lacking)}",
                f"link them, which takes it:  {link_command(labels.task.links, root_words)}",
            )
        yield from ((posixpath.join(link, name), known[name]) for name in names)


def _file(path: str, sha256: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "contentUrl": path,
        "encodingFormat": _ENCODINGS.get(posixpath.splitext(path)[1].lower(), _ANY_FILE),
        "sha256": sha256,
    }


def _records(labels: Labels) -> dict[str, Any]:
    name, path = full_name(labels.task), labels.task.label_path
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{column}",
                "name": column,
                "dataType": "sc:Text",
                "source": {"fileObject": {"@id": path}, "extract": {"column": column}},
            }
            for column in labels.task.columns
        ],
    }
