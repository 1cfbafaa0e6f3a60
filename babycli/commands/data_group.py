"""`babycli data`: which commands it has.

Owns their order and names. Each is imported when it is used.
"""

from __future__ import annotations

import typer

from babycli.commands.on_use import OnUse, group_of

COMMANDS = {
    "labels": OnUse(
        "babycli.commands.data", "labels", "Fetch the label files, or import them; checked against the manifests."
    ),
    "link": OnUse(
        "babycli.commands.data",
        "link",
        "Check folders or zips of images against the labels, then link them into the dataset folder.",
    ),
    "status": OnUse(
        "babycli.commands.data_status",
        "status",
        "Show what is there: label files, links and where they lead, and which tasks are ready.",
    ),
    "verify": OnUse(
        "babycli.commands.data_verify",
        "verify",
        "Check labels against the manifests and images against the labels; exit 3 or 4 if anything is wrong.",
    ),
    "manifest": OnUse(
        "babycli.commands.data_verify",
        "write_manifest",
        "Write the SHA-256 of every file in a folder or zip, for `verify --manifest` and `sha256sum -c`.",
    ),
    "croissant": OnUse(
        "babycli.commands.data_croissant",
        "croissant",
        "Write the linked dataset, its files and their SHA-256, as Croissant metadata (JSON-LD).",
    ),
    "extract": OnUse(
        "babycli.commands.data_copy",
        "unpack",
        "Unpack a zip, checked and in parallel; interrupted, the same command goes on.",
    ),
    "subset": OnUse(
        "babycli.commands.data_copy",
        "subset",
        "Copy just the images that tasks read, with labels, links and checksums: a dataset folder for a cluster.",
    ),
    "overlap": OnUse(
        "babycli.commands.data_overlap",
        "overlap",
        "Find the trials whose pictures are in a training set, by bytes, name, recording or look.",
    ),
    "unlink": OnUse(
        "babycli.commands.data",
        "unlink",
        "Remove the links from the dataset folder. Images, label files and real folders stay.",
    ),
}
app = typer.Typer(
    cls=group_of(COMMANDS),
    no_args_is_help=True,
    help="""Label files and images: fetch, link, check.

    Examples:
    # SAYCam frames and the other pictures of BabyVLM, below one folder
    babycli data link path/to/saycam_images
    # what is there, and what is not
    babycli data status
    # whether each picture is as it should be
    babycli data verify
    """,
)
