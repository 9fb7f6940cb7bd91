"""How far the work on chunks is."""

import contextlib

import rich.console
import rich.progress


@contextlib.contextmanager
def show_progress(title, total, left, shown=True):
    """Draws a bar on the standard error, if that is a terminal.

    Args:
        title: str. What is worked on.
        total: int. Chunks in all.
        left: int. Chunks that are not yet done.
        shown: bool. Whether to draw anything.

    Yields:
        A function to call after each chunk.
    """
    console = rich.console.Console(stderr=True)
    with rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TextColumn("chunks"),
        rich.progress.TimeRemainingColumn(),
        console=console,
        disable=not (shown and console.is_terminal),
    ) as bar:
        task = bar.add_task(title, total=total, completed=total - left)
        yield lambda: bar.advance(task)
