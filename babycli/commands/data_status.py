"""`babycli data status`: what is there, without reading an image.

Owns the words on the screen. The work is done in babycli/data/verify.py.
"""

from __future__ import annotations

from babycli.commands.chosen import SetOption, chosen_tasks
from babycli.commands.data_verify import is_demo, links_document, mending, tell_eval
from babycli.commands.options import DataOption, JsonOption, TasksOption, name_width, print_json, tell
from babycli.commands.progress import progress_bar
from babycli.data.manifest import all_lie_outside
from babycli.data.root import OTHERS, DatasetRoot
from babycli.data.verify import Options, TaskSummary, verify_dataset
from babycli.wording import Depth, tasks_words

SHOWN_PROBLEMS = 5


def status(
    tasks: TasksOption = None, data_set: SetOption = None, as_json: JsonOption = False, data: DataOption = None
) -> None:
    """Show what is there: label files, links and where they lead, and which tasks are ready.

    Examples:
    # all tasks
    babycli data status
    # one task, of a dataset folder elsewhere
    babycli data status -t vtwt -d path/to/dataset
    # for a program
    babycli data status --json
    """
    root = DatasetRoot.find(data)
    with progress_bar("looking for images", unit=" images") as count:
        chosen = chosen_tasks(root, tasks, data_set)
        verified = verify_dataset(root, chosen, Options(depth=Depth.NAMES), count)
    summaries = verified.tasks
    if as_json:
        print_json({s.task: _status_document(s) for s in summaries})
        return
    is_outside = all_lie_outside(chosen)
    why_not_there = "" if is_outside else root.why_not_there
    if not is_outside:
        tell(f"dataset folder: {root.path.absolute()}" + (f", {why_not_there}" if why_not_there else ""))
    width = name_width(summary.task for summary in summaries)
    for summary in summaries if not why_not_there else ():
        state = "not ready" if summary.problems else "ready"
        tell(f"{summary.task:<{width}} {state}" + ("  (demo)" if is_demo(summary) else ""))
        for link_summary in summary.links:
            there = f"  {link_summary.n_sound} of {link_summary.n_images} images there by name"
            counted = there if summary.images_checked else ""
            if root.link_state(link_summary.link.path) != "missing":
                tell(f"    {link_summary.link.path} -> {link_summary.target}{counted}")
        for problem in summary.problems[:SHOWN_PROBLEMS]:
            tell(f"    {problem.kind} {problem.subject}" + (f": {problem.detail}" if problem.detail else ""))
        if len(summary.problems) > SHOWN_PROBLEMS:
            tell(f"    and {len(summary.problems) - SHOWN_PROBLEMS} more; see  babycli data verify{root.words}")
    if verified.problems:
        tell(f"To mend:  {mending(root, chosen, verified.problems, tasks_words(tasks))}")
        tell_eval(root, (task for task, s in zip(chosen, summaries, strict=True) if s.n_incomplete and s.n_complete))
        if not is_outside:
            tell(f"{OTHERS} dataset folder")
    if any(summary.images_checked for summary in summaries):
        tell(f"Whether the images are sound:  babycli data verify{root.words}{tasks_words(tasks)}")


def _status_document(summary: TaskSummary) -> dict[str, object]:
    return {
        "ready": not summary.problems,
        "data": summary.data_set,
        "rows": summary.n_rows,
        "links": links_document(summary),
        "problems": [str(problem) for problem in summary.problems],
    }
